"""Available stock at a time.

As the metric dictionary defines `stock_available`: each warehouse's newest count plus receipts and adjustments after
it, plus units of orders cancelled minus units of orders created after the SKU's newest count. "After" is by event time
in milliseconds; of two counts of a warehouse at the same ms the smaller applies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import NO_INTS, Ints
from streams.stock.ledger import OTHER_BITS, Ledger, LedgerEntries
from streams.stock.pairs import PairIndex, grown

NEVER = -1
"""Time of a missing count."""


class StockLevels:
    """Stock at `as_of_ms`, from all entries before it. 16 bytes per (SKU, warehouse), 24 per SKU.

    SKUs without a count take no memory.
    """

    def __init__(self, pairs: PairIndex, keep_ms: int | None = None) -> None:
        """`pairs` may be shared with other instances. `keep_ms`: maximum age of a count; None: unlimited."""
        self.pairs = pairs
        self.as_of_ms = 0
        self._keep_ms = keep_ms
        self._oldest_ms: int | None = None
        """No valid count is older than this."""
        self._level_ms: Ints = NO_INTS
        """# <pair>: time of the valid count"""
        self._held: Ints = NO_INTS
        """# <pair>: that count plus later receipts and adjustments"""
        self._newest_ms: Ints = NO_INTS
        """# <SKU>: time of the newest valid count"""
        self._stored: Ints = NO_INTS
        """# <SKU>: sum over its warehouses"""
        self._ordered: Ints = NO_INTS
        """# <SKU>: units cancelled minus units ordered after the newest count"""

    def advance(self, ledger: Ledger, as_of_ms: int) -> None:
        """Advance to a later time; `ledger` holds all events in between."""
        self._take(ledger)
        self.as_of_ms = as_of_ms
        self._expire()

    def add_moves(self, moves: LedgerEntries) -> None:
        """Add late moves before `as_of_ms`."""
        self._move(moves)

    def correct(self, history: Ledger) -> None:
        """Insert late counts before `as_of_ms`.

        `history`: all entries of their SKUs from the oldest of these counts to `as_of_ms`. Late moves among them must
        already have been added.
        """
        self._take(history, only_recounted=True)
        self._expire()

    def copy(self, source: StockLevels, skus: Ints) -> None:
        """Copy some SKUs from another instance that shares `pairs`."""
        self._fit()
        source._fit()
        indexes = self.pairs.of_skus(skus)
        self._level_ms[indexes], self._held[indexes] = source._level_ms[indexes], source._held[indexes]
        skus = skus[skus < self.pairs.skus]
        for target, origin in zip(self._by_sku(), source._by_sku(), strict=True):
            target[skus] = origin[skus]
        if source._oldest_ms is not None:
            self._none_older_than(source._oldest_ms)

    def _take(self, ledger: Ledger, *, only_recounted: bool = False) -> None:
        """Apply counts, then moves: those after the valid count, or only those of SKUs just counted."""
        levels = ledger.levels
        indexes, recounted = NO_INTS, NO_INTS
        if len(levels):
            newest = levels.where(np.append(levels.pairs[1:] != levels.pairs[:-1], True))
            pair_indexes = self.pairs.place(newest.pairs)
            self._fit()
            in_force = newest.times >= self._level_ms[pair_indexes]
            newest, indexes = newest.where(in_force), pair_indexes[in_force]
            recounted = self._count(newest, indexes)
        if not only_recounted:
            self._move(ledger.moves)
            return

        def just_counted(of_pair: Ints, skus: Ints) -> npt.NDArray[np.bool_]:
            return np.where(of_pair >= 0, np.isin(of_pair, indexes), np.isin(skus, recounted))

        self._move(ledger.moves, just_counted)

    def _count(self, levels: LedgerEntries, indexes: Ints) -> Ints:
        """Apply counts that are not older than the valid ones; returns the SKUs whose newest count they are."""
        skus = levels.skus
        np.add.at(self._stored, skus, levels.amounts - self._held[indexes])
        self._level_ms[indexes], self._held[indexes] = levels.times, levels.amounts
        if len(indexes):
            self._none_older_than(int(levels.times.min()))
        is_newest = levels.times >= self._newest_ms[skus]
        recounted = np.unique(skus[is_newest])
        np.maximum.at(self._newest_ms, skus, levels.times)
        self._ordered[recounted] = 0
        return recounted

    def _move(self, moves: LedgerEntries, counts: Callable[[Ints, Ints], npt.NDArray[np.bool_]] | None = None) -> None:
        """Apply moves after the valid count, restricted by `counts` (of pair or -1, and SKU)."""
        self._fit()
        moves = moves.where(moves.skus < self.pairs.skus)
        if len(moves) == 0:
            return
        of_order = moves.others < 0
        pair_of = self.pairs.find(moves.pairs)  # no pair lacks a warehouse, so moves of orders have none
        counted_ms = np.where(
            of_order, self._newest_ms[moves.skus], self._level_ms[pair_of] if len(self._level_ms) else NEVER
        )
        counted_ms[~of_order & (pair_of < 0)] = NEVER
        chosen = (counted_ms != NEVER) & (moves.times > counted_ms)
        if counts is not None:
            chosen &= counts(pair_of, moves.skus)
        ordered, stored = chosen & of_order, chosen & ~of_order
        np.add.at(self._ordered, moves.skus[ordered], moves.amounts[ordered])
        np.add.at(self._stored, moves.skus[stored], moves.amounts[stored])
        np.add.at(self._held, pair_of[stored], moves.amounts[stored])

    def _none_older_than(self, ts_ms: int) -> None:
        self._oldest_ms = ts_ms if self._oldest_ms is None else min(self._oldest_ms, ts_ms)

    def _expire(self) -> None:
        """Remove expired counts."""
        if self._keep_ms is None or self._oldest_ms is None:
            return
        first_ms = self.as_of_ms - self._keep_ms
        if self._oldest_ms >= first_ms:
            return
        expired_pairs = np.flatnonzero((self._level_ms != NEVER) & (self._level_ms < first_ms))
        np.subtract.at(self._stored, self.pairs.codes[expired_pairs] >> OTHER_BITS, self._held[expired_pairs])
        self._level_ms[expired_pairs], self._held[expired_pairs] = NEVER, 0
        expired_skus = (self._newest_ms != NEVER) & (self._newest_ms < first_ms)
        self._newest_ms[expired_skus], self._ordered[expired_skus] = NEVER, 0
        kept = self._level_ms[self._level_ms != NEVER]
        self._oldest_ms = int(kept.min()) if len(kept) else None

    def _fit(self) -> None:
        """Extend the arrays to all known pairs."""
        pairs, skus = len(self.pairs), self.pairs.skus
        if pairs > len(self._level_ms):
            self._level_ms, self._held = grown(self._level_ms, pairs, NEVER), grown(self._held, pairs, 0)
        if skus > len(self._newest_ms):
            self._newest_ms = grown(self._newest_ms, skus, NEVER)
            self._stored, self._ordered = grown(self._stored, skus, 0), grown(self._ordered, skus, 0)

    def _by_sku(self) -> tuple[Ints, Ints, Ints]:
        return self._newest_ms, self._stored, self._ordered

    def available(self, skus: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """`stock_available` of SKUs, and whether each has one; negative if more was ordered than was available."""
        if len(self._newest_ms) == 0:
            return np.zeros(len(skus), np.int64), np.zeros(len(skus), np.bool_)
        within = (skus >= 0) & (skus < len(self._newest_ms))
        indexes = np.where(within, skus, 0)
        known = within & (self._newest_ms[indexes] != NEVER)
        return np.where(known, self._stored[indexes] + self._ordered[indexes], 0), known

    def every(self) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """`available` of all SKUs: # [SKU]."""
        return self._stored + self._ordered, self._newest_ms != NEVER

    def counted_in(self, start_ms: int, end_ms: int) -> Ints:
        """The SKUs with a valid count in [start_ms, end_ms), ascending."""
        inside = (self._level_ms >= start_ms) & (self._level_ms < end_ms)
        return np.unique(self.pairs.codes[: len(inside)][inside[: len(self.pairs.codes)]] >> OTHER_BITS)

    def counted_ms(self, sku: int) -> int | None:
        """Time of a SKU's newest count in any warehouse."""
        newest = int(self._newest_ms[sku]) if sku < len(self._newest_ms) else NEVER
        return None if newest == NEVER else newest

    def counting(self, sku: int, moves: LedgerEntries) -> LedgerEntries:
        """The moves before `as_of_ms` that contribute to a SKU's stock besides its counts."""
        sku_moves = moves.of_skus(np.array([sku]))
        indexes = self.pairs.find(sku_moves.pairs)
        pair_counted_ms = np.where(indexes >= 0, self._level_ms[indexes], NEVER) if len(self._level_ms) else indexes
        newest_counted_ms = NEVER if (counted := self.counted_ms(sku)) is None else counted
        counted_ms_of = np.where(sku_moves.others < 0, newest_counted_ms, pair_counted_ms)
        return sku_moves.where((counted_ms_of != NEVER) & (sku_moves.times > counted_ms_of))

    def shelves(self, sku: int) -> list[tuple[int, int, int]]:
        """Stock of a SKU per warehouse with a count, without orders: (warehouse, units, time of its newest count)."""
        self._fit()
        indexes = self.pairs.of_skus(np.array([sku]))
        indexes = indexes[self._level_ms[indexes] != NEVER] if len(indexes) else indexes
        columns = LedgerEntries(self.pairs.codes[indexes]).others, self._held[indexes], self._level_ms[indexes]
        return list(zip(*(column.tolist() for column in columns), strict=True))


def out_since_ms(available: int, counted_ms: int, times: Ints, amounts: Ints) -> int | None:
    """When the stock last fell to 0 or below; None if there is some.

    `available`: stock now. `counted_ms`: newest count of the SKU. `times` and `amounts`: the moves after it that
    contribute (epoch ms; any order). A SKU out of stock at its newest count is out since then.
    """
    if available > 0:
        return None
    order = np.argsort(times, kind="stable")
    times, amounts = times[order], amounts[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]  # moves of the same ms apply together
    stock_after = available - int(amounts.sum()) + np.cumsum(amounts)[last]
    move_times = times[last]
    in_stock = np.flatnonzero(stock_after > 0)
    if len(in_stock):
        return int(move_times[in_stock[-1] + 1])
    return counted_ms if available - int(amounts.sum()) <= 0 or len(move_times) == 0 else int(move_times[0])
