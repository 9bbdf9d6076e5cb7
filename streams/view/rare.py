"""Sums of rows that are many and have few counters each, as those of a label that never comes twice: sorted cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints, ranges
from streams.panes.cells import COUNTER_BITS, NO_CELLS, ROW_BITS, Cells, merge_cells
from streams.shipping.delta import nonzero

_KEY = (1 << ROW_BITS + COUNTER_BITS) - 1


class RareSums:
    """Amounts by row and counter, 16 bytes each. What is taken is added up when somebody asks."""

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self._cells = NO_CELLS
        """In one pane, and none of them 0."""
        self._waiting: list[Cells] = []

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(cells.keys.nbytes + cells.amounts.nbytes for cells in (self._cells, *self._waiting))

    def clear(self) -> None:
        """Forget everything."""
        self._cells, self._waiting = NO_CELLS, []

    def take(self, sign: int, cells: Cells, rare: npt.NDArray[np.bool_]) -> None:
        """Add (1) or take away (-1) those of some cells, whatever their pane."""
        self._waiting.append(Cells(cells.keys[rare] & _KEY, sign * cells.amounts[rare]))

    def rows(self) -> Ints:
        """Rows with any counter that is not 0, ascending."""
        rows = self._summed().rows
        return rows[np.append(True, rows[1:] != rows[:-1])] if len(rows) else rows

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
        if self._waiting:
            merged, self._waiting = merge_cells([self._cells, *(part.sorted() for part in self._waiting)]), []
            self._cells = nonzero(merged)
        return self._cells
