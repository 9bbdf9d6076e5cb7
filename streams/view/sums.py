"""Sums over a window: cells are added at its end and subtracted at its start.

Sums of shipment intervals also have retroactive corrections, each of which is valid from a later as-of on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from streams.dictionary.types import Model
from streams.model.windows import Span
from streams.panes.arrays import NO_INTS, Ints, among, is_first, ranges
from streams.panes.cells import Cells, merge_cells, nonzero
from streams.panes.counters import N_COUNTERS
from streams.panes.keys import ID_BITS, pane_keys
from streams.panes.tiered_sum import TieredSum
from streams.shipping.counters import COUNTERS_PER_ROW
from streams.shipping.delta import NO_CORRECTIONS, RetroactiveCorrections, ShippingDelta, merge_corrections

COMMON = 1 << 16
"""Rows below this have a slot for every counter; the others only for counters that are not 0."""
_MOST_SLOTS = 1 << 22
"""Maximum number of slots of these rows: with many counters, fewer rows have one for each."""
_CELL_BYTES = 16
"""Bytes of a key and an amount."""
_WAITING, _WAITING_CELLS = 64, 1 << 16
"""Maximum numbers of parts and of cells that wait before they are merged."""


class RareSums:
    """Sums of rows with few counters: 16 bytes per nonzero (row, counter). Parts are merged lazily on read."""

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self.clear()

    @property
    def size(self) -> int:
        """Bytes."""
        return _CELL_BYTES * (self._waiting_cells + self._sums.size)

    def clear(self) -> None:
        """Remove all amounts."""
        self._sums = TieredSum(_merge_nonzero, lambda cells: len(cells.keys), fan_in=2)
        """In one pane."""
        self._waiting: list[Cells] = []
        self._waiting_cells = 0

    def take(self, rows: Ints, counters: Ints, amounts: Ints) -> None:
        """Add amounts of rare rows, in any order."""
        part = Cells(pane_keys(np.zeros_like(rows), rows, counters), amounts).sorted()
        self._waiting.append(part)
        self._waiting_cells += len(part.keys)
        if len(self._waiting) >= _WAITING or self._waiting_cells >= _WAITING_CELLS:
            self._add_waiting()

    def rows(self) -> Ints:
        """Rows with any counter that is not 0, ascending."""
        rows = self._summed().rows
        return rows[is_first(rows)]

    def of(self, rows: Ints) -> npt.NDArray[np.int64]:
        """Sums of these rows: [row, counter]."""
        cells, starts, sizes = self._found(rows)
        sums = np.zeros((len(rows), self._counters), np.int64)
        indexes = ranges(starts, sizes)
        sums[np.repeat(np.arange(len(rows)), sizes), cells.counters[indexes]] = cells.amounts[indexes]
        return sums

    def column(self, rows: Ints, counter: int) -> Ints:
        """One counter of these rows."""
        cells, wanted = self._summed(), rows << ID_BITS | counter
        amounts = np.zeros(len(rows), np.int64)
        if len(cells.keys):
            indexes = np.minimum(np.searchsorted(cells.keys, wanted), len(cells.keys) - 1)
            present = cells.keys[indexes] == wanted
            amounts[present] = cells.amounts[indexes[present]]
        return amounts

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows: [counter]."""
        cells, starts, sizes = self._found(rows)
        indexes, total = ranges(starts, sizes), np.zeros(self._counters, np.int64)
        np.add.at(total, cells.counters[indexes], cells.amounts[indexes])
        return total

    def _found(self, rows: Ints) -> tuple[Cells, Ints, Ints]:
        """All cells; for each row the index of its first cell, and their number."""
        cells = self._summed()
        starts, ends = np.searchsorted(cells.keys, [rows << ID_BITS, (rows + 1) << ID_BITS])
        return cells, starts, ends - starts

    def _summed(self) -> Cells:
        self._add_waiting()
        return self._sums.merged()

    def _add_waiting(self) -> None:
        if self._waiting:
            self._sums.add(_merge_nonzero(self._waiting))
            self._waiting, self._waiting_cells = [], 0


def _merge_nonzero(parts: Sequence[Cells]) -> Cells:
    return nonzero(merge_cells(parts))


class MovingSum(ABC):
    """Exact sums of cells over a moving span."""

    def __init__(self) -> None:
        self.span = Span(0, 0)

    def steps_to(self, span: Span) -> Iterator[tuple[int, Span]]:
        """# (sign, span) steps to another span: add (1), subtract (-1), or clear (0) and add all if few are kept"""
        old = self.span
        if span == old:
            return
        if (
            not old
            or span.start_s < old.start_s
            or span.end_s < old.end_s
            or span.start_s - old.start_s > span.end_s - old.start_s >> 1
        ):
            yield 0, old
            yield 1, span
            return
        yield 1, Span(old.end_s, span.end_s)
        yield -1, Span(old.start_s, span.start_s)

    @abstractmethod
    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        """Add (1) or subtract (-1) cells; 0 clears."""

    def correct(self, cells: Cells) -> None:
        """Add the newly applied cells that are in the span."""
        self.take(1, [cells.between(self.span.start_s, self.span.end_s)])


class WindowSum(MovingSum):
    """Sums by row, for counters that most rows have."""

    def __init__(self, counters: int = N_COUNTERS, slot_of: npt.NDArray[np.int16] | None = None) -> None:
        """`slot_of`: # [id of a counter]: its column, -1 for one that is not summed; None: its id."""
        super().__init__()
        self._sums: npt.NDArray[np.int64] = np.zeros((0, counters), np.int64)
        """# [row, counter], for rows below `_common`"""
        self._rare = RareSums(counters)
        self._common = min(COMMON, _MOST_SLOTS // max(counters, 1))
        self._slot_of = None if slot_of is None else slot_of.astype(np.int64)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._sums.nbytes + self._rare.size

    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        """Add (1) or subtract (-1) cells; 0 clears."""
        if sign == 0:
            self._sums[:] = 0
            self._rare.clear()
            return
        for cells in parts:
            if not len(cells.keys):
                continue
            rows, columns, amounts = cells.rows, cells.counters, sign * cells.amounts
            if self._slot_of is not None:
                columns = self._slot_of[columns]
                if columns.min() < 0:
                    known = columns >= 0
                    rows, columns, amounts = rows[known], columns[known], amounts[known]
            if len(rows) and rows.max() >= self._common:
                common = rows < self._common
                self._rare.take(rows[~common], columns[~common], amounts[~common])
                rows, columns, amounts = rows[common], columns[common], amounts[common]
            self._grow(int(rows.max()) + 1 if len(rows) else 0)
            # On one axis, `add.at` is four times as fast.
            np.add.at(self._sums.reshape(-1), rows * self._sums.shape[1] + columns, amounts)

    def of(self, rows: Ints) -> npt.NDArray[np.int64]:
        """Sums of these rows: [row, counter]."""
        common = rows < self._common
        self._grow(int(rows[common].max()) + 1 if common.any() else 0)
        if common.all():
            return self._sums[rows]
        sums = np.empty((len(rows), self._sums.shape[1]), np.int64)
        sums[common], sums[~common] = self._sums[rows[common]], self._rare.of(rows[~common])
        return sums

    def column(self, rows: Ints, counter: int) -> Ints:
        """One counter of these rows."""
        common = rows < self._common
        self._grow(int(rows[common].max()) + 1 if common.any() else 0)
        amounts = np.empty(len(rows), np.int64)
        amounts[common], amounts[~common] = self._sums[rows[common], counter], self._rare.column(rows[~common], counter)
        return amounts

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows, which are distinct: [1, counter]."""
        common = rows < self._common
        total: Ints = self.of(rows[common]).sum(axis=0, keepdims=True) + self._rare.total(rows[~common])
        return total

    def nonzero_rows(self, wanted: npt.NDArray[np.bool_]) -> Ints:
        """Wanted rows with any counter that is not 0, ascending. `wanted`: mask, [row]."""
        rows = np.flatnonzero(wanted[: len(self._sums)])
        rare = self._rare.rows()
        return np.concatenate([rows[self._sums[rows].any(axis=1)], rare[wanted[rare]] if len(rare) else NO_INTS])

    def _grow(self, rows: int) -> None:
        if rows > len(self._sums):
            grown = np.zeros((min(max(rows, 2 * len(self._sums), 256), self._common), self._sums.shape[1]), np.int64)
            grown[: len(self._sums)] = self._sums
            self._sums = grown


def new_window_sum(model: Model) -> WindowSum:
    """An empty sum of the counters of a model."""
    return WindowSum(len(model.counters), model.counter_slot)


class RowSums(MovingSum):
    """Sums by row, for counters that few rows have."""

    def __init__(self) -> None:
        super().__init__()
        self._sums = WindowSum(COUNTERS_PER_ROW)
        """By index of the row in `_place`."""
        self._place: dict[int, int] = {}
        """# {row: index}"""

    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        """Add (1) or subtract (-1) cells; 0 clears."""
        self._sums.take(sign, (self._placed(cells) for cells in parts if len(cells.keys)))

    def of(self, rows: Ints) -> Ints:
        """Sums of these rows: [row, counter]."""
        unknown = len(self._place)
        return self._sums.of(np.array([self._place.get(row, unknown) for row in rows.tolist()], np.int64))

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows, which are distinct: [1, counter]."""
        indexes = np.array(list(self._place.values()), np.int64)
        return self._sums.total(indexes[among(np.array(list(self._place), np.int64), rows)])

    def _placed(self, cells: Cells) -> Cells:
        """The cells with indexes instead of rows, unordered."""
        rows, row_of = np.unique(cells.rows, return_inverse=True)
        indexes = np.array([self._place.setdefault(row, len(self._place)) for row in rows.tolist()], np.int64)
        return Cells(pane_keys(cells.panes, indexes[row_of], cells.counters), cells.amounts)


class ShipmentIntervalSum(RowSums):
    """Shipment counters by row over a moving span, at an as-of that moves with it."""

    def __init__(self) -> None:
        super().__init__()
        self.as_of_s = 0
        self._ahead = NO_CORRECTIONS
        """Corrections in the span that are not valid yet at the as-of."""

    def steps_at(self, as_of_s: int, span: Span) -> Iterator[tuple[int, Span]]:
        """`steps_to` a span at an as-of; clear and add all if the as-of went back."""
        if as_of_s < self.as_of_s and self.span:
            yield 0, self.span
            yield 1, span
        else:
            yield from self.steps_to(span)

    def move_to(self, as_of_s: int) -> None:
        """Move to an as-of; call before any `take_all`."""
        self.as_of_s = as_of_s
        self.take(1, [self._ahead.known_at(as_of_s).cells])
        self._ahead = self._ahead.unknown_at(as_of_s)

    def take_all(self, sign: int, sums: Iterable[Cells], corrections: Iterable[RetroactiveCorrections]) -> None:
        """Add (1) or subtract (-1) the contents of a span; 0 clears."""
        self.take(sign, sums)
        if sign == 0:
            self._ahead = NO_CORRECTIONS
            return
        for part in corrections:
            if len(part):
                self.take(sign, [part.known_at(self.as_of_s).cells])
                later = part.unknown_at(self.as_of_s)
                later = RetroactiveCorrections(later.keys, later.valid_s, sign * later.amounts)
                self._ahead = merge_corrections([self._ahead, later])

    def apply(self, delta: ShippingDelta) -> None:
        """Add the part of a newly applied delta that is in the span."""
        if self.span:
            in_span = delta.between(self.span.start_s, self.span.end_s)
            self.take_all(1, [in_span.sums], [in_span.corrections])


def correction_sums(corrections: RetroactiveCorrections, span: Span, as_of_s: int) -> Ints:
    """The sum of one row's corrections in a span at an as-of: [counter]."""
    valid = corrections.between(span.start_s, max(span.start_s, span.end_s)).known_at(as_of_s).cells
    sums = np.zeros(COUNTERS_PER_ROW, np.int64)
    np.add.at(sums, valid.counters, valid.amounts)
    return sums
