"""The stock event log as an algebra: moves, counts, and sales under promotions.

Each Kafka partition records its own events; readers merge all ledgers and derive the state at a time
(`streams.stock.stock_levels`). Merging is associative and commutative and `EMPTY_LEDGER` is neutral, so neither order
nor batches matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.panes.arrays import NO_INTS, Ints, is_first, ranges

OTHER_BITS = 31
"""Bits of a pair for the warehouse or promotion, more than memory has names for; 32 remain for the SKU."""
_OTHER_MASK = (1 << OTHER_BITS) - 1
_KEY_LIMIT = 1 << 62
"""Combined sort keys must stay below this to fit into 64 bits."""


def pair_codes(skus: Ints, others: Ints | int) -> Ints:
    """SKU and warehouse (or promotion) as one number; -1 is none."""
    return skus << OTHER_BITS | others + 1


@dataclass(frozen=True, slots=True)
class LedgerEntries:
    """Amounts by (pair, time): three parallel columns, sorted by both, without duplicates."""

    pairs: Ints = field(default_factory=lambda: NO_INTS)
    """`sku << 31 | other + 1`"""
    times: Ints = field(default_factory=lambda: NO_INTS)
    """Event time, epoch ms."""
    amounts: Ints = field(default_factory=lambda: NO_INTS)

    @property
    def skus(self) -> Ints:
        """SKU of each entry."""
        return self.pairs >> OTHER_BITS

    @property
    def others(self) -> Ints:
        """Warehouse or promotion of each entry; -1 is none."""
        return (self.pairs & _OTHER_MASK) - 1

    def __len__(self) -> int:
        return len(self.pairs)

    def where(self, chosen: np.ndarray) -> LedgerEntries:
        """The entries of a mask, or at ascending indexes."""
        return LedgerEntries(self.pairs[chosen], self.times[chosen], self.amounts[chosen])

    def between(self, start_ms: int, end_ms: int) -> LedgerEntries:
        """The entries in [start_ms, end_ms)."""
        inside = (self.times >= start_ms) & (self.times < end_ms)
        return self if inside.all() else self.where(inside)

    def cut(self, length_ms: int) -> dict[int, LedgerEntries]:
        """# <start of an aligned span of `length_ms`: its entries>, non-empty spans only"""
        if not len(self):
            return {}
        starts = self.times - self.times % length_ms
        if (starts == starts[0]).all():
            return {int(starts[0]): self}
        order = np.argsort(starts, kind="stable")  # keeps the order within a span
        ordered, starts = self.where(order), starts[order]
        firsts = np.flatnonzero(is_first(starts))
        edges = [*firsts.tolist(), len(starts)]
        return {
            start: LedgerEntries(ordered.pairs[first:last], ordered.times[first:last], ordered.amounts[first:last])
            for start, first, last in zip(starts[firsts].tolist(), edges, edges[1:], strict=False)
        }

    def of_skus(self, skus: Ints) -> LedgerEntries:
        """The entries of these SKUs (ascending, distinct)."""
        starts = np.searchsorted(self.pairs, skus << OTHER_BITS)
        return self.where(ranges(starts, np.searchsorted(self.pairs, skus + 1 << OTHER_BITS) - starts))

    def rounded(self, step_ms: int) -> LedgerEntries:
        """Sums in steps of `step_ms`."""
        return sum_entries(self.pairs, self.times - self.times % step_ms, self.amounts)


_NONE = LedgerEntries()


def sum_entries(pairs: Ints, times: Ints, amounts: Ints) -> LedgerEntries:
    """Entries from columns in any order: amounts of the same pair and time are added."""
    return _combined(pairs, times, amounts, np.add)


def min_entries(pairs: Ints, times: Ints, amounts: Ints) -> LedgerEntries:
    """Entries from columns in any order: the minimum amount of the same pair and time."""
    return _combined(pairs, times, amounts, np.minimum)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The stock events of a batch or block."""

    moves: LedgerEntries = field(default_factory=LedgerEntries)
    """Units in (positive) or out: of orders without a warehouse, of receipts and adjustments with one."""
    levels: LedgerEntries = field(default_factory=LedgerEntries)
    """Units counted in a warehouse; of two counts at the same ms the smaller applies."""
    sales: LedgerEntries = field(default_factory=LedgerEntries)
    """Units paid under a promotion, by (SKU, promotion), in whole seconds."""

    def __bool__(self) -> bool:
        return bool(len(self.moves) or len(self.levels) or len(self.sales))

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.moves) + len(self.levels) + len(self.sales)

    @property
    def times(self) -> Ints:
        """Times of all entries, unsorted."""
        return np.concatenate((self.moves.times, self.levels.times, self.sales.times))

    def between(self, start_ms: int, end_ms: int) -> Ledger:
        """The events in [start_ms, end_ms)."""
        return Ledger(*(part.between(start_ms, end_ms) for part in (self.moves, self.levels, self.sales)))

    def of_skus(self, skus: Ints) -> Ledger:
        """The events of these SKUs (ascending, distinct)."""
        return Ledger(*(part.of_skus(skus) for part in (self.moves, self.levels, self.sales)))

    def cut(self, length_ms: int) -> Iterator[tuple[int, Ledger]]:
        """Split by aligned spans of `length_ms`: (start, content) of each non-empty one, in order."""
        moves, levels, sales = (part.cut(length_ms) for part in (self.moves, self.levels, self.sales))
        for start in sorted({*moves, *levels, *sales}):
            yield start, Ledger(moves.get(start, _NONE), levels.get(start, _NONE), sales.get(start, _NONE))


EMPTY_LEDGER = Ledger()


def merge_ledgers(parts: Sequence[Ledger]) -> Ledger:
    """The sum of all parts."""
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return parts[0] if parts else EMPTY_LEDGER
    return Ledger(
        _merged([part.moves for part in parts], np.add),
        _merged([part.levels for part in parts], np.minimum),
        _merged([part.sales for part in parts], np.add),
    )


def _merged(parts: Sequence[LedgerEntries], combine: np.ufunc) -> LedgerEntries:
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else EMPTY_LEDGER.moves
    columns = [np.concatenate(column) for column in zip(*((p.pairs, p.times, p.amounts) for p in parts), strict=True)]
    return _combined(columns[0], columns[1], columns[2], combine)


def _combined(pairs: Ints, times: Ints, amounts: Ints, combine: np.ufunc) -> LedgerEntries:
    if len(pairs) == 0:
        return EMPTY_LEDGER.moves
    order = _order(pairs, times)
    pairs, times, amounts = pairs[order], times[order], amounts[order]
    first = is_first(pairs) | is_first(times)
    if first.all():
        return LedgerEntries(pairs, times, amounts)
    firsts = np.flatnonzero(first)
    return LedgerEntries(pairs[firsts], times[firsts], combine.reduceat(amounts, firsts))


def _order(pairs: Ints, times: Ints) -> Ints:
    """The permutation that sorts by pair, then time; by one combined number where it fits, which is far faster."""
    first, least_pair = int(times.min()), int(pairs.min())
    span, others = int(times.max()) - first + 1, int((pairs & _OTHER_MASK).max()) + 1
    least_sku = least_pair >> OTHER_BITS
    if ((int(pairs.max()) >> OTHER_BITS) - least_sku + 1) * others * span >= _KEY_LIMIT:
        return np.lexsort((times, pairs))
    keys = (((pairs >> OTHER_BITS) - least_sku) * others + (pairs & _OTHER_MASK)) * span + (times - first)
    return np.argsort(keys)
