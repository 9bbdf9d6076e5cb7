"""The counters of one window, kept by adding what comes in at its end and taking away what falls out at its start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import NO_INTS, Ints
from streams.panes.cells import Cells
from streams.panes.counters import N_COUNTERS
from streams.view.rare import RareSums
from streams.windows import Span

COMMON = 1 << 16
"""Rows below this have a place of their own for every counter; what there are more of, only for those they have."""


class MovingSum(ABC):
    """Sums of cells over a span that moves on; exact, since integers are."""

    def __init__(self) -> None:
        self.span = Span(0, 0)

    def steps_to(self, span: Span) -> Iterator[tuple[int, Span]]:
        """What to add (1) and take away (-1) to get to another span; everything anew where they hardly overlap."""
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
        """Add (1) or take away (-1) cells; 0 empties."""

    def correct(self, cells: Cells) -> None:
        """Add what was applied meanwhile, as far as it falls in the span."""
        self.take(1, [cells.between(self.span.start_s, self.span.end_s)])


class WindowSum(MovingSum):
    """By row, for counters that most rows have."""

    def __init__(self, counters: int = N_COUNTERS) -> None:
        super().__init__()
        self._sums: npt.NDArray[np.int64] = np.zeros((0, counters), np.int64)
        """# [row, counter], of rows below `COMMON`"""
        self._rare = RareSums(counters)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._sums.nbytes + self._rare.size

    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        if sign == 0:
            self._sums[:] = 0
            self._rare.clear()
            return
        for cells in parts:
            if not len(cells.keys):
                continue
            rows = cells.rows
            if rows.max() >= COMMON:
                self._rare.take(sign, cells, rows >= COMMON)
                cells = Cells(cells.keys[rows < COMMON], cells.amounts[rows < COMMON])
                rows = cells.rows
            self._grow(int(rows.max()) + 1 if len(rows) else 0)
            np.add.at(self._sums, (rows, cells.counters), sign * cells.amounts)

    def of(self, rows: Ints) -> npt.NDArray[np.int64]:
        """Sums of these rows: [row, counter]."""
        common = rows < COMMON
        self._grow(int(rows[common].max()) + 1 if common.any() else 0)
        if common.all():
            return self._sums[rows]
        found = np.empty((len(rows), self._sums.shape[1]), np.int64)
        found[common], found[~common] = self._sums[rows[common]], self._rare.of(rows[~common])
        return found

    def column(self, rows: Ints, counter: int) -> Ints:
        """One counter of these rows."""
        common = rows < COMMON
        self._grow(int(rows[common].max()) + 1 if common.any() else 0)
        found = np.empty(len(rows), np.int64)
        found[common], found[~common] = self._sums[rows[common], counter], self._rare.column(rows[~common], counter)
        return found

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows, which are distinct: [1, counter]."""
        common = rows < COMMON
        total: Ints = self.of(rows[common]).sum(axis=0, keepdims=True) + self._rare.total(rows[~common])
        return total

    def held(self, wanted: npt.NDArray[np.bool_]) -> Ints:
        """Those of the wanted rows with any counter that is not 0, ascending. `wanted`: [row]."""
        rows = np.flatnonzero(wanted[: len(self._sums)])
        rare = self._rare.rows()
        return np.concatenate([rows[self._sums[rows].any(axis=1)], rare[wanted[rare]] if len(rare) else NO_INTS])

    def _grow(self, rows: int) -> None:
        if rows > len(self._sums):
            grown = np.zeros((min(max(rows, 2 * len(self._sums), 256), COMMON), self._sums.shape[1]), np.int64)
            grown[: len(self._sums)] = self._sums
            self._sums = grown
