"""What is in stock at one moment.

By the metric dictionary (`stock_available`): of each warehouse the newest count and what was received and adjusted
after it; and the units of orders cancelled less those of orders created after the newest of the SKU's counts. "After"
is by event time, in milliseconds; of two counts of a warehouse at one ms the smaller is in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import NO_INTS, Ints
from streams.stock.ledger import OTHER_BITS, Ledger, LedgerEntries
from streams.stock.pairs import PairIndex, grown

NEVER = -1
"""In place of a count's time: there is none."""


@dataclass(frozen=True, slots=True)
class WarehouseStock:
    """What one warehouse has of a SKU."""

    warehouse: int
    level_ms: int
    """When it was last counted."""
    units: int


class StockLevels:
    """State at `as_of_ms`: counts every entry before it, and none from it on. 16 bytes a (SKU, warehouse), 24 a SKU.

    SKUs without a count take no room.
    """

    def __init__(self, pairs: PairIndex, keep_ms: int | None = None) -> None:
        """`pairs`: may be shared with other moments. `keep_ms`: an older count does not count; None: all do."""
        self.pairs = pairs
        self.as_of_ms = 0
        self._keep_ms = keep_ms
        self._oldest_ms: int | None = None
        """No count in force is older than this."""
        self._level_ms: Ints = NO_INTS
        """# <pair>: time of the count in force"""
        self._held: Ints = NO_INTS
        """# <pair>: that count, and what was received and adjusted after it"""
        self._newest_ms: Ints = NO_INTS
        """# <SKU>: time of the newest count in force"""
        self._stored: Ints = NO_INTS
        """# <SKU>: sum of what its warehouses hold"""
        self._ordered: Ints = NO_INTS
        """# <SKU>: units cancelled less units ordered after the newest count"""

    # Moving on -------------------------------------------------------------------------------------------------------

    def advance(self, ledger: Ledger, as_of_ms: int) -> None:
        """Go on to a later moment; `ledger` is all that happened between the two."""
        self._take(ledger, self._counts_at)
        self.as_of_ms = as_of_ms
        self._expire()

    def add_moves(self, moves: LedgerEntries) -> None:
        """Moves before `as_of_ms` that came late."""
        self._move(moves, self._counts_at)

    def correct(self, history: Ledger) -> None:
        """Counts before `as_of_ms` that came late, in their place among all else.

        `history`: all entries of their SKUs from the oldest of these counts to `as_of_ms`. Late moves among them must
        have been added.
        """
        self._take(history, None)
        self._expire()

    def copy(self, source: StockLevels, skus: Ints) -> None:
        """Take over some SKUs as they are in another moment that shares `pairs`."""
        self._fit()
        source._fit()
        places = self.pairs.of_skus(skus)
        self._level_ms[places], self._held[places] = source._level_ms[places], source._held[places]
        skus = skus[skus < self.pairs.skus]
        for mine, theirs in zip(self._by_sku(), source._by_sku(), strict=True):
            mine[skus] = theirs[skus]
        if source._oldest_ms is not None:
            self._none_older_than(source._oldest_ms)

    def _take(self, ledger: Ledger, counts: Callable[[Ints, Ints], npt.NDArray[np.bool_]] | None) -> None:
        """Counts, then moves: all that are after the count in force, or only those of what was counted just now."""
        levels = ledger.levels
        places, recounted = NO_INTS, NO_INTS
        if len(levels):
            newest = levels.where(np.append(levels.pairs[1:] != levels.pairs[:-1], True))
            found = self.pairs.place(newest.pairs)
            self._fit()
            in_force = newest.times >= self._level_ms[found]
            newest, places = newest.where(in_force), found[in_force]
            recounted = self._count(newest, places)
        if counts is not None:
            self._move(ledger.moves, counts)
            return

        def anew(at: Ints, skus: Ints) -> npt.NDArray[np.bool_]:
            return np.where(at >= 0, np.isin(at, places), np.isin(skus, recounted))

        self._move(ledger.moves, anew)

    def _count(self, levels: LedgerEntries, places: Ints) -> Ints:
        """Counts of pairs, each newer than the one in force or the same; returns the SKUs whose newest they are."""
        skus = levels.skus
        np.add.at(self._stored, skus, levels.amounts - self._held[places])
        self._level_ms[places], self._held[places] = levels.times, levels.amounts
        if len(places):
            self._none_older_than(int(levels.times.min()))
        is_newest = levels.times >= self._newest_ms[skus]
        recounted = np.unique(skus[is_newest])
        np.maximum.at(self._newest_ms, skus, levels.times)
        self._ordered[recounted] = 0
        return recounted

    def _counts_at(self, at: Ints, skus: Ints) -> npt.NDArray[np.bool_]:
        return np.ones(len(at), np.bool_)

    def _move(self, moves: LedgerEntries, counts: Callable[[Ints, Ints], npt.NDArray[np.bool_]]) -> None:
        """Moves that are after the count in force, of those that `counts` (by pair or -1, and SKU) lets through."""
        self._fit()
        moves = moves.where(moves.skus < self.pairs.skus)
        if len(moves) == 0:
            return
        of_order = moves.others < 0
        at = self.pairs.find(moves.pairs)  # no pair is without a warehouse, so those of orders have none
        since = np.where(of_order, self._newest_ms[moves.skus], self._level_ms[at] if len(self._level_ms) else NEVER)
        since[~of_order & (at < 0)] = NEVER
        chosen = (since != NEVER) & (moves.times > since) & counts(at, moves.skus)
        ordered, stored = chosen & of_order, chosen & ~of_order
        np.add.at(self._ordered, moves.skus[ordered], moves.amounts[ordered])
        np.add.at(self._stored, moves.skus[stored], moves.amounts[stored])
        np.add.at(self._held, at[stored], moves.amounts[stored])

    def _none_older_than(self, ts_ms: int) -> None:
        self._oldest_ms = ts_ms if self._oldest_ms is None else min(self._oldest_ms, ts_ms)

    def _expire(self) -> None:
        """Take back counts that are too old."""
        if self._keep_ms is None or self._oldest_ms is None:
            return
        first_ms = self.as_of_ms - self._keep_ms
        if self._oldest_ms >= first_ms:
            return
        old = np.flatnonzero((self._level_ms != NEVER) & (self._level_ms < first_ms))
        np.subtract.at(self._stored, self.pairs.codes[old] >> OTHER_BITS, self._held[old])
        self._level_ms[old], self._held[old] = NEVER, 0
        gone = (self._newest_ms != NEVER) & (self._newest_ms < first_ms)
        self._newest_ms[gone], self._ordered[gone] = NEVER, 0
        kept = self._level_ms[self._level_ms != NEVER]
        self._oldest_ms = int(kept.min()) if len(kept) else None

    def _fit(self) -> None:
        """Room for every pair there is by now."""
        pairs, skus = len(self.pairs), self.pairs.skus
        if pairs > len(self._level_ms):
            self._level_ms, self._held = grown(self._level_ms, pairs, NEVER), grown(self._held, pairs, 0)
        if skus > len(self._newest_ms):
            self._newest_ms = grown(self._newest_ms, skus, NEVER)
            self._stored, self._ordered = grown(self._stored, skus, 0), grown(self._ordered, skus, 0)

    def _by_sku(self) -> tuple[Ints, Ints, Ints]:
        return self._newest_ms, self._stored, self._ordered

    # Asking ----------------------------------------------------------------------------------------------------------

    def available(self, skus: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """`stock_available` of SKUs, and whether each has one; below 0 where more was ordered than there was."""
        if len(self._newest_ms) == 0:
            return np.zeros(len(skus), np.int64), np.zeros(len(skus), np.bool_)
        within = (skus >= 0) & (skus < len(self._newest_ms))
        places = np.where(within, skus, 0)
        known = within & (self._newest_ms[places] != NEVER)
        return np.where(known, self._stored[places] + self._ordered[places], 0), known

    def every(self) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The same of all SKUs: # [SKU]."""
        return self._stored + self._ordered, self._newest_ms != NEVER

    def known(self) -> Ints:
        """The SKUs with a count in force, ascending."""
        return np.flatnonzero(self._newest_ms != NEVER)

    def counted_in(self, start_ms: int, end_ms: int) -> Ints:
        """The SKUs with a count in force of [start_ms, end_ms), ascending."""
        inside = (self._level_ms >= start_ms) & (self._level_ms < end_ms)
        return np.unique(self.pairs.codes[: len(inside)][inside[: len(self.pairs.codes)]] >> OTHER_BITS)

    def counted_ms(self, sku: int) -> int | None:
        """When a SKU was last counted, in any warehouse."""
        newest = int(self._newest_ms[sku]) if sku < len(self._newest_ms) else NEVER
        return None if newest == NEVER else newest

    def counting(self, sku: int, moves: LedgerEntries) -> LedgerEntries:
        """Of moves before `as_of_ms` those of a SKU that its stock is made of, besides its counts."""
        mine = moves.of_skus(np.array([sku]))
        places = self.pairs.find(mine.pairs)
        pairs = np.where(places >= 0, self._level_ms[places], NEVER) if len(self._level_ms) else places
        newest = NEVER if (counted := self.counted_ms(sku)) is None else counted
        since = np.where(mine.others < 0, newest, pairs)
        return mine.where((since != NEVER) & (mine.times > since))

    def shelves(self, sku: int) -> list[WarehouseStock]:
        """What each warehouse with a count holds of a SKU, orders left out."""
        self._fit()
        places = self.pairs.of_skus(np.array([sku]))
        places = places[self._level_ms[places] != NEVER] if len(places) else places
        others = LedgerEntries(self.pairs.codes[places]).others
        return [
            WarehouseStock(warehouse, level_ms, units)
            for warehouse, level_ms, units in zip(
                others.tolist(), self._level_ms[places].tolist(), self._held[places].tolist(), strict=True
            )
        ]


def out_since_ms(available: int, counted_ms: int, times: Ints, amounts: Ints) -> int | None:
    """When the stock last fell to 0 or below; None where there is some.

    `available`: stock now. `counted_ms`: the newest count of the SKU in any warehouse. `times` and `amounts`: the moves
    after it that count (epoch ms; any order). A SKU that was out of stock at its newest count is out since then: what
    was before that is told by the count alone.
    """
    if available > 0:
        return None
    order = np.argsort(times, kind="stable")
    times, amounts = times[order], amounts[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]  # what happens at one ms happens at once
    after = available - int(amounts.sum()) + np.cumsum(amounts)[last]
    moments = times[last]
    in_stock = np.flatnonzero(after > 0)
    if len(in_stock):
        return int(moments[in_stock[-1] + 1])
    return counted_ms if available - int(amounts.sum()) <= 0 or len(moments) == 0 else int(moments[0])
