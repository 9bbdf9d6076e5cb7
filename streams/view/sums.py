"""The counters of one window, kept by adding what comes in at its end and taking away what falls out at its start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from streams.cells import Cells
from streams.counters import N_COUNTERS
from streams.windows import Span


class WindowSum:
    """Sums by row over a span that moves on; exact, since integers are."""

    def __init__(self, counters: int = N_COUNTERS) -> None:
        self.span = Span(0, 0)
        self._sums: npt.NDArray[np.int64] = np.zeros((0, counters), np.int64)
        """# [row, counter]"""

    @property
    def size(self) -> int:
        """Bytes."""
        return self._sums.nbytes

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

    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        """Add (1) or take away (-1) cells; 0 empties."""
        if sign == 0:
            self._sums[:] = 0
            return
        for cells in parts:
            if len(cells.keys):
                self._grow(int(cells.rows.max()) + 1)
                np.add.at(self._sums, (cells.rows, cells.counters), sign * cells.amounts)

    def correct(self, cells: Cells) -> None:
        """Add what was applied meanwhile, as far as it falls in the span."""
        self.take(1, [cells.between(self.span.start_s, self.span.end_s)])

    def of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Sums of these rows: [row, counter]."""
        self._grow(int(rows.max()) + 1 if len(rows) else 0)
        return self._sums[rows]

    def _grow(self, rows: int) -> None:
        if rows > len(self._sums):
            grown = np.zeros((max(rows, 2 * len(self._sums), 256), self._sums.shape[1]), np.int64)
            grown[: len(self._sums)] = self._sums
            self._sums = grown
