"""Stock at the newest as-of, updated incrementally as entries arrive and the as-of moves, forward or back.

It holds two states: `now` at the as-of, and the `floor` some time behind it, with all entries in between by minute. A
late count is inserted by recomputing its SKUs from the floor, and so is an as-of that moves back. Updates cost in
proportion to their size; only counts from before the floor need stored history (`history_needed_from_ms`).
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from streams.panes.arrays import NO_INTS, Ints
from streams.panes.tiered_sum import TieredSum
from streams.stock.ledger import EMPTY_LEDGER, Ledger, LedgerEntries, merge_ledgers, pair_codes
from streams.stock.pairs import PairIndex, grown
from streams.stock.stock_levels import StockLevels


class PromotionSales:
    """Units by (SKU, promotion): 20 bytes per pair."""

    def __init__(self) -> None:
        self._pairs = PairIndex()
        self._units: Ints = NO_INTS

    def add(self, sales: LedgerEntries, sign: int = 1) -> None:
        """Add sales, or subtract them (-1)."""
        if len(sales) == 0:
            return
        indexes = self._pairs.place(sales.pairs)
        self._units = grown(self._units, len(self._pairs), 0)
        np.add.at(self._units, indexes, sign * sales.amounts)

    def units(self, skus: Ints, promotion: int) -> Ints:
        """Units of SKUs sold under a promotion."""
        indexes = self._pairs.find(pair_codes(skus, promotion))
        return np.where(indexes >= 0, self._units[indexes], 0) if len(self._units) else np.zeros(len(skus), np.int64)


BUCKET_MS = 60_000
"""Length of the buckets that entries are kept in."""


class StockState:
    """Stock at an as-of that moves. Entries arrive in any order, each once."""

    def __init__(self, keep_ms: int | None = None, *, lag_ms: int = 3_600_000, lag_entries: int = 4_000_000) -> None:
        """`keep_ms`: maximum age of a count. `lag_ms`, `lag_entries`: how far the floor stays behind the as-of, the
        smaller of both."""
        pairs = PairIndex()
        self.now = StockLevels(pairs, keep_ms)
        self.sold = PromotionSales()
        self._floor = StockLevels(pairs, keep_ms)
        self._keep_ms, self._lag_ms, self._lag_entries = keep_ms, lag_ms, lag_entries
        self._buckets: dict[int, TieredSum[Ledger]] = {}
        """# <start of the minute, epoch ms>: its entries from the floor on, in parts"""
        self._entries = 0
        """Number of entries in all buckets."""
        self._changes = 0
        self._counts: tuple[tuple[int, int], tuple[int, int]] | None = None
        """Cached result of `counts`, with its as-of and version."""
        self._late_counts: list[Ledger] = []
        """Counts from before the floor."""

    @property
    def as_of_ms(self) -> int:
        """The time of `now`."""
        return self.now.as_of_ms

    @property
    def floor_ms(self) -> int:
        """Limit for moving the as-of back and for late counts without history."""
        return self._floor.as_of_ms

    def add(self, ledger: Ledger) -> None:
        """Add entries of any time."""
        if not ledger:
            return
        self._changes += 1
        as_of, floor = self.as_of_ms, self.floor_ms
        past = ledger.between(0, as_of)
        self.now.add_moves(past.moves)
        self.sold.add(past.sales)
        if floor:
            below = past.between(0, floor)
            self._floor.add_moves(below.moves)
            if len(below.levels):
                self._late_counts.append(Ledger(levels=below.levels))
        for start, part in ledger.between(floor, 1 << 62).cut(BUCKET_MS):
            self._keep(start, part)
        counted = past.levels.between(floor, as_of)
        if len(counted):
            self._recompute(np.unique(counted.skus))

    def _keep(self, start: int, part: Ledger) -> None:
        if start not in self._buckets:
            self._buckets[start] = TieredSum(merge_ledgers, attrgetter("size"))
        bucket = self._buckets[start]
        self._entries -= bucket.size
        bucket.add(part)
        self._entries += bucket.size

    def _between(self, start_ms: int, end_ms: int, skus: Ints | None = None) -> Ledger:
        """The entries in [start_ms, end_ms), of all SKUs or of some."""
        parts = []
        for start in (
            self._buckets if end_ms - start_ms > len(self._buckets) * BUCKET_MS else _minutes(start_ms, end_ms)
        ):
            for part in self._buckets[start].parts if start in self._buckets else ():
                wanted = part if skus is None else part.of_skus(skus)
                parts.append(wanted.between(start_ms, end_ms))
        return merge_ledgers(parts)

    def move_to(self, as_of_ms: int) -> bool:
        """Move to an as-of; False and no change if it is before the floor."""
        if as_of_ms < self.floor_ms:
            return False
        if as_of_ms < self.as_of_ms:
            undone = self._between(as_of_ms, self.as_of_ms)
            self.sold.add(undone.sales, -1)
            lapsed = self._lapsed(as_of_ms)
            self.now.as_of_ms = as_of_ms
            self._recompute(np.unique(np.concatenate((undone.moves.skus, undone.levels.skus, lapsed))))
            return True
        passed = self._between(self.as_of_ms, as_of_ms)
        self.now.advance(passed, as_of_ms)
        self.sold.add(passed.sales)
        self._settle()
        return True

    def _lapsed(self, as_of_ms: int) -> Ints:
        """The SKUs with a count that has expired since the previous as-of."""
        if self._keep_ms is None:
            return NO_INTS
        lapsed_span = (as_of_ms - self._keep_ms, self.as_of_ms - self._keep_ms)
        return np.concatenate((self._floor.counted_in(*lapsed_span), self._between(*lapsed_span).levels.skus))

    def _recompute(self, skus: Ints) -> None:
        """Recompute SKUs at the as-of from the floor."""
        if len(skus) == 0:
            return
        self.now.copy(self._floor, skus)
        self.now.advance(self._between(self.floor_ms, self.as_of_ms, skus), self.as_of_ms)

    def _settle(self) -> None:
        """Advance the floor, minute by minute."""
        target = self.as_of_ms - self._lag_ms
        for start in sorted(self._buckets):
            end = start + BUCKET_MS
            if end > self.as_of_ms or (end > target and self._entries <= self._lag_entries):
                break
            bucket = self._buckets.pop(start)
            self._entries -= bucket.size
            self._floor.advance(bucket.merged(), end)
        target -= target % BUCKET_MS
        if target > self.floor_ms:
            self._floor.advance(EMPTY_LEDGER, target)

    def counts(self) -> tuple[int, int]:
        """Numbers of SKUs with a count that are out of stock, and that are not."""
        version = (self.as_of_ms, self._changes)
        if self._counts is None or self._counts[0] != version:
            units, known = self.now.every()
            out = int(np.count_nonzero(known & (units <= 0)))
            self._counts = version, (out, int(np.count_nonzero(known)) - out)
        return self._counts[1]

    @property
    def history_needed_from_ms(self) -> int | None:
        """Time from which `correct` needs the stored events of `history_needed_skus`; None: none needed.

        Until then the stock of these SKUs lacks very late counts.
        """
        if not self._late_counts:
            return None
        return min(int(late.levels.times.min()) for late in self._late_counts)

    @property
    def history_needed_skus(self) -> Ints:
        """The SKUs with counts from before the floor."""
        return np.unique(np.concatenate([NO_INTS, *(late.levels.skus for late in self._late_counts)]))

    def correct(self, history: Ledger) -> None:
        """Insert late counts; `history` holds the stored events of `history_needed_skus` since
        `history_needed_from_ms`."""
        skus = self.history_needed_skus
        self._changes += 1
        self._late_counts = []
        self._floor.correct(history.of_skus(skus).between(0, self.floor_ms))
        self._recompute(skus)


def _minutes(start_ms: int, end_ms: int) -> range:
    return range(start_ms - start_ms % BUCKET_MS, end_ms, BUCKET_MS)
