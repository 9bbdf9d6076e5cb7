"""Sums of rows that are many and have few counters each, as those of a label that never comes twice: sorted cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints, is_first, ranges
from streams.panes.cells import COUNTER_BITS, Cells, merge_cells, nonzero

_CELL_BYTES = 16
_WAITING, _WAITING_CELLS = 64, 1 << 16
"""So many parts, or so many cells in them, are added up though nobody asks."""


class RareSums:
    """Amounts by row and counter, 16 bytes each. What is taken is added up when somebody asks, or when it is much."""

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self._sums: list[Cells] = []
        """In one pane, none of them 0. Each is more than twice as long as the next: all are few, and moved seldom."""
        self._waiting: list[Cells] = []
        self._waiting_cells = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return _CELL_BYTES * (self._waiting_cells + sum(len(cells.keys) for cells in self._sums))

    def clear(self) -> None:
        """Forget everything."""
        self._sums, self._waiting, self._waiting_cells = [], [], 0

    def take(self, sign: int, cells: Cells, rare: npt.NDArray[np.bool_]) -> None:
        """Add (1) or take away (-1) those of some cells, whatever their pane."""
        part = Cells(cells.keys[rare], sign * cells.amounts[rare]).in_one_pane()
        self._waiting.append(part)
        self._waiting_cells += len(part.keys)
        if len(self._waiting) >= _WAITING or self._waiting_cells >= _WAITING_CELLS:
            self._add_up()

    def rows(self) -> Ints:
        """Rows with any counter that is not 0, ascending."""
        rows = self._summed().rows
        return rows[is_first(rows)]

    def of(self, rows: Ints) -> npt.NDArray[np.int64]:
        """Sums of these rows: [row, counter]."""
        cells, starts, sizes = self._found(rows)
        found = np.zeros((len(rows), self._counters), np.int64)
        at = ranges(starts, sizes)
        found[np.repeat(np.arange(len(rows)), sizes), cells.counters[at]] = cells.amounts[at]
        return found

    def column(self, rows: Ints, counter: int) -> Ints:
        """One counter of these rows."""
        cells, wanted = self._summed(), rows << COUNTER_BITS | counter
        found = np.zeros(len(rows), np.int64)
        if len(cells.keys):
            at = np.minimum(np.searchsorted(cells.keys, wanted), len(cells.keys) - 1)
            there = cells.keys[at] == wanted
            found[there] = cells.amounts[at[there]]
        return found

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows: [counter]."""
        cells, starts, sizes = self._found(rows)
        at, total = ranges(starts, sizes), np.zeros(self._counters, np.int64)
        np.add.at(total, cells.counters[at], cells.amounts[at])
        return total

    def _found(self, rows: Ints) -> tuple[Cells, Ints, Ints]:
        """All cells; of each row where the first of its own is, and how many there are."""
        cells = self._summed()
        starts, ends = np.searchsorted(cells.keys, [rows << COUNTER_BITS, (rows + 1) << COUNTER_BITS])
        return cells, starts, ends - starts

    def _summed(self) -> Cells:
        if self._waiting or len(self._sums) != 1:
            merged = nonzero(merge_cells([*self._sums, *self._waiting]))
            self.clear()
            self._sums = [merged]
        return self._sums[0]

    def _add_up(self) -> None:
        """Make one part of what waits, and of sums that are not much longer."""
        part = nonzero(merge_cells(self._waiting))
        self._waiting, self._waiting_cells = [], 0
        while self._sums and len(self._sums[-1].keys) <= 2 * len(part.keys):
            part = nonzero(merge_cells([self._sums.pop(), part]))
        self._sums.append(part)
