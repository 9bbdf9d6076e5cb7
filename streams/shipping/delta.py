"""The shipping part of a `PaneDelta`: the contribution of changed order facts to the panes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from streams.panes.arrays import NO_INTS, Ints, is_first
from streams.panes.cells import NO_CELLS, Cells, counted, merge_cells, nonzero
from streams.panes.keys import key_range, pane_keys
from streams.panes.rows import RowIndex
from streams.panes.scopes import Dimension, Scope, ShipmentDimension
from streams.shipping.counters import COUNTERS_PER_ROW, ShippingCounter, share_of
from streams.shipping.expansion import Entry, Labels, ShippingLimits
from streams.shipping.facts import Payment


@dataclass(frozen=True, slots=True)
class RetroactiveCorrections:
    """Corrections as parallel arrays, sorted by (key, time), which is distinct. Panes are of 1 s at every level.

    They are few and their times must stay exact, so coarser panes would save nothing.
    """

    keys: Ints = field(default_factory=lambda: NO_INTS)
    """Keys of `Cells`."""
    valid_s: Ints = field(default_factory=lambda: NO_INTS)
    """Each counts at an as-of after this second."""
    amounts: Ints = field(default_factory=lambda: NO_INTS)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def cells(self) -> Cells:
        """The corrections as cells, whose keys may repeat."""
        return Cells(self.keys, self.amounts)

    def between(self, start_s: int, end_s: int) -> RetroactiveCorrections:
        """Corrections of panes in [start_s, end_s)."""
        first, last = key_range(self.keys, start_s, end_s)
        return RetroactiveCorrections(self.keys[first:last], self.valid_s[first:last], self.amounts[first:last])

    def where(self, chosen: Ints | np.ndarray) -> RetroactiveCorrections:
        """The corrections of a mask, or at ascending indexes."""
        return RetroactiveCorrections(self.keys[chosen], self.valid_s[chosen], self.amounts[chosen])

    def known_at(self, as_of_s: int) -> RetroactiveCorrections:
        """Corrections that count at an as-of."""
        return self.where(self.valid_s < as_of_s)

    def unknown_at(self, as_of_s: int) -> RetroactiveCorrections:
        """Corrections that do not count yet."""
        return self.where(self.valid_s >= as_of_s)

    def of_row(self, row: int) -> RetroactiveCorrections:
        """Corrections of one row."""
        return self.where(self.cells.rows == row)

    def sorted(self) -> RetroactiveCorrections:
        """The same corrections for arrays in any order, without those that cancel out."""
        if len(self.keys) == 0:
            return NO_CORRECTIONS
        order = np.lexsort((self.valid_s, self.keys))
        keys, valid_s = self.keys[order], self.valid_s[order]
        firsts = np.flatnonzero(is_first(keys) | is_first(valid_s))
        amounts = np.add.reduceat(self.amounts[order], firsts)
        kept = np.flatnonzero(amounts)
        firsts = firsts[kept]
        return RetroactiveCorrections(keys[firsts], valid_s[firsts], amounts[kept])


NO_CORRECTIONS = RetroactiveCorrections()


def merge_corrections(parts: Sequence[RetroactiveCorrections]) -> RetroactiveCorrections:
    """The sum of all parts: associative and commutative."""
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else NO_CORRECTIONS
    return RetroactiveCorrections(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.valid_s for part in parts]),
        np.concatenate([part.amounts for part in parts]),
    ).sorted()


@dataclass(frozen=True, slots=True)
class ShippingDelta:
    """Sums of `ShippingCounter` counters. Absent means 0."""

    sums: Cells = field(default_factory=lambda: NO_CELLS)
    """All counters but `WAITING`."""
    corrections: RetroactiveCorrections = field(default_factory=lambda: NO_CORRECTIONS)
    """Retroactive corrections of the same counters."""
    waiting: Cells = field(default_factory=lambda: NO_CELLS)
    """`WAITING`, in panes of payments."""

    def __bool__(self) -> bool:
        return bool(len(self.sums.keys) or len(self.corrections) or len(self.waiting.keys))

    @property
    def size(self) -> int:
        """Number of cells and corrections."""
        return len(self.sums.keys) + len(self.corrections) + len(self.waiting.keys)

    def between(self, start_s: int, end_s: int) -> ShippingDelta:
        """Content of panes that start in [start_s, end_s)."""
        parts = (self.sums, self.corrections, self.waiting)
        return ShippingDelta(*(part.between(start_s, end_s) for part in parts))  # type: ignore[arg-type]

    def sums_by(self, step_s: int) -> ShippingDelta:
        """The sums in panes of `step_s` seconds; corrections are unchanged."""
        return ShippingDelta(nonzero(self.sums.coarsen(step_s)), self.corrections)

    def waiting_by(self, step_s: int) -> ShippingDelta:
        """Waiting orders in panes of `step_s` seconds."""
        return ShippingDelta(waiting=nonzero(self.waiting.coarsen(step_s)))

    def cut(self, length_s: int) -> Iterator[tuple[int, ShippingDelta]]:
        """Split by aligned spans of `length_s` seconds: (start, content) of each non-empty one, in order."""
        panes = [self.sums.panes, self.corrections.cells.panes, self.waiting.panes]
        for start in np.unique(
            np.concatenate([pane_starts - pane_starts % length_s for pane_starts in panes])
        ).tolist():
            yield start, self.between(start, start + length_s)


NO_SHIPPING = ShippingDelta()


def merge_shipping(parts: Sequence[ShippingDelta]) -> ShippingDelta:
    """The sum of all parts: associative and commutative."""
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return parts[0] if parts else NO_SHIPPING
    return ShippingDelta(
        nonzero(merge_cells([part.sums for part in parts])),
        merge_corrections([part.corrections for part in parts]),
        nonzero(merge_cells([part.waiting for part in parts])),
    )


def delta_of(changes: Iterable[tuple[int, Entry]], rows: RowIndex) -> ShippingDelta:
    """The sum of entries, added (1) or subtracted (-1) in every scope in which they count."""
    label_sets = _Places(rows)
    signed = [
        (pane_s, valid_s, counter, sign * amount, label_sets[labels])
        for sign, (pane_s, valid_s, labels, counter, amount) in changes
    ]
    if not signed:
        return NO_SHIPPING
    columns = np.fromiter(chain.from_iterable(signed), np.int64, 5 * len(signed)).reshape(-1, 5)
    return _summed(label_sets, *columns.T.copy())


def delta_of_payments(payments: Sequence[Payment], limits: ShippingLimits, rows: RowIndex) -> ShippingDelta:
    """The contribution of orders of which only the payment is known: a vectorised `expand`.

    During a rush these are nearly all orders.
    """
    if not payments:
        return NO_SHIPPING
    n, scopes = len(payments), (Scope.REGION, Scope.CHANNEL, Scope.PROMOTION)
    paid_ms = np.fromiter((paid.ts_ms for paid in payments), np.int64, n)
    by_scope = [rows.by_scope[scope].__getitem__ for scope in scopes]
    values = [[paid.labels[i] or None for paid in payments] for i in range(len(scopes))]
    row = np.full((len(scopes) + 1, n), rows.row(Scope.ALL, ""), np.int64)
    for index, (row_of, labels) in enumerate(zip(by_scope, values, strict=True), 1):
        row[index] = np.fromiter(map(row_of, labels), np.int64, n)
    is_counted = row >= 0
    row, paid_s = row[is_counted], np.broadcast_to(paid_ms // 1000, is_counted.shape)[is_counted]
    due_s = np.broadcast_to((paid_ms + limits.overdue_ms) // 1000, is_counted.shape)[is_counted]
    due = [pane_keys(due_s, row, np.int64(counter)) for counter in (ShippingCounter.OVERDUE, ShippingCounter.DUE)]
    return ShippingDelta(
        counted(np.concatenate((pane_keys(paid_s, row, np.int64(ShippingCounter.UNSHIPPED)), *due))),
        NO_CORRECTIONS,
        counted(pane_keys(paid_s, row, np.int64(ShippingCounter.WAITING))),
    )


def _summed(
    label_sets: _Places, panes: Ints, valid_s: Ints, counters: Ints, amounts: Ints, label_set_of: Ints
) -> ShippingDelta:
    """The sum of entries given as arrays; `label_set_of`: index of each entry's labels in `label_sets`."""
    table, sizes = label_sets.table()
    entry = np.repeat(np.arange(len(panes)), sizes[label_set_of])
    row = table[label_set_of][np.arange(table.shape[1]) < sizes[label_set_of][:, None]]
    pane, valid_from_s, counter_of, amount_of = (numbers[entry] for numbers in (panes, valid_s, counters, amounts))
    late, waits = valid_from_s > pane, counter_of == ShippingCounter.WAITING
    spread = np.flatnonzero(counter_of >= COUNTERS_PER_ROW)
    if len(spread):
        row[spread], counter_of[spread] = _spread(row[spread], counter_of[spread], label_sets.rows)
    keys = pane_keys(pane, row, counter_of)
    plain = ~late & ~waits
    return ShippingDelta(
        _cells(keys[plain], amount_of[plain]),
        RetroactiveCorrections(keys[late], valid_from_s[late], amount_of[late]).sorted()
        if late.any()
        else NO_CORRECTIONS,
        _cells(keys[waits], amount_of[waits]),
    )


def _spread(owner_rows: Ints, counters: Ints, rows: RowIndex) -> tuple[Ints, Ints]:
    """Rows and counters of histograms, from the rows they belong to and histogram counters."""
    distinct, index_of = np.unique(owner_rows << 16 | counters, return_inverse=True)
    row_of, counter_of = [], []
    for row, counter in zip((distinct >> 16).tolist(), (distinct & 0xFFFF).tolist(), strict=True):
        kind, share, counter_in_row = share_of(counter)
        row_of.append(rows.row(*histogram_row(rows.labels[row], kind, share)))
        counter_of.append(counter_in_row)
    return np.array(row_of, np.int64)[index_of], np.array(counter_of, np.int64)[index_of]


def histogram_row(label: tuple[Dimension, str], kind: int, share: int) -> tuple[Dimension, str]:
    """The row with one share of a row's histogram of a kind of interval."""
    scope, value = label
    return ShipmentDimension.SPREAD, f"{kind}{share} {scope} {value}"


def _cells(keys: Ints, amounts: Ints) -> Cells:
    return nonzero(Cells(keys, amounts).sorted())


def label_rows(rows: RowIndex, scopes: Sequence[Dimension], labels: Sequence[str]) -> list[int]:
    """The rows in which something with these labels counts; empty labels count nowhere."""
    return [rows.row(Scope.ALL, ""), *(rows.row(*pair) for pair in zip(scopes, labels, strict=True) if pair[1])]


class _Places(dict[Labels, int]):
    """Assigns an index to each distinct label set, and looks up the rows in which it counts."""

    def __init__(self, rows: RowIndex) -> None:
        super().__init__()
        self.rows = rows
        self._of: list[list[int]] = []

    def __missing__(self, labels: Labels) -> int:
        index = self[labels] = len(self._of)
        self._of.append(label_rows(self.rows, LABEL_SCOPES, labels))
        return index

    def table(self) -> tuple[Ints, Ints]:
        """# [label set, i]: its rows, padded to a rectangle; and the number of rows of each"""
        sizes = np.array([len(rows_of_set) for rows_of_set in self._of], np.int64)
        table = np.zeros((len(self._of), int(sizes.max())), np.int64)
        for index, rows_of_set in enumerate(self._of):
            table[index, : len(rows_of_set)] = rows_of_set
        return table, sizes


LABEL_SCOPES: tuple[Dimension, ...] = (
    Scope.REGION,
    Scope.CHANNEL,
    Scope.PROMOTION,
    ShipmentDimension.CARRIER,
    ShipmentDimension.WAREHOUSE,
)
"""Scopes of the fields of `Labels`."""
