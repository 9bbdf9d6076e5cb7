"""Counters by second, as detectors read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from alerts.statistics.arrays import Floats, Ints
from streams.panes.cells import NO_CELLS, Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import N_IDS

ScopeValue = tuple[str, str]
"""(scope, value). The value is empty in scope `all`, and `topic/source` in scope `source`."""
MAX_SECOND = 1 << 33
"""Later than any second of a pane; its cells still have 64-bit keys."""


class Panes(Protocol):
    """A range of complete seconds; only late events may still change it."""

    @property
    def start_s(self) -> int:
        """The first second."""

    @property
    def end_s(self) -> int:
        """End of the last second, exclusive."""

    @property
    def labels(self) -> Sequence[ScopeValue]:
        """# [row]"""

    def counts(self, counters: Sequence[str], rows: Ints, start_s: int, end_s: int) -> Floats:
        """Sums of the counters in [start_s, end_s) by row; row -1 does not exist and is 0."""

    def corrections(self, counters: Sequence[str], rows: Ints) -> Floats:
        """Late events: of seconds before `start_s`, and arrived since the last evaluation; by row as in `counts`."""

    def early(self, counters: Sequence[str], rows: Ints) -> Floats:
        """Events of seconds from `end_s` on that arrived since the last evaluation; by row as in `counts`."""

    def arrivals(self, counters: Sequence[str], rows: Ints) -> Floats:
        """All events that arrived since the last evaluation; where that is unknown, those of [start_s, end_s)."""


@dataclass(frozen=True, slots=True)
class CellPanes:
    """Panes as cells of the view."""

    start_s: int
    end_s: int
    labels: Sequence[ScopeValue]
    cells: Cells = NO_CELLS
    arrived: Cells | None = None
    """Events that arrived since the last evaluation, of any second; None: unknown."""

    def from_first(self) -> CellPanes:
        """The panes without the seconds before the first event. When counting starts during a sale, that time is
        unknown, not zero."""
        first_s = int(self.cells.panes[0]) if len(self.cells.keys) else self.end_s
        return replace(self, start_s=max(first_s, self.start_s))

    def counts(self, counters: Sequence[str], rows: Ints, start_s: int, end_s: int) -> Floats:
        """See `Panes.counts`."""
        return self._sums(self.cells.between(start_s, end_s), counters, rows)

    def corrections(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.corrections`."""
        return self._sums((self.arrived or NO_CELLS).between(0, self.start_s), counters, rows)

    def early(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.early`."""
        return self._sums((self.arrived or NO_CELLS).between(self.end_s, MAX_SECOND), counters, rows)

    def arrivals(self, counters: Sequence[str], rows: Ints) -> Floats:
        """See `Panes.arrivals`."""
        return self._sums(self.cells if self.arrived is None else self.arrived, counters, rows)

    def _sums(self, cells: Cells, counters: Sequence[str], rows: Ints) -> Floats:
        wanted = np.zeros(N_IDS, np.bool_)
        wanted[[COUNTER_IDS[name] for name in counters]] = True
        selected = wanted[cells.counters]
        sums = np.zeros(len(self.labels) + 1)  # the last element is row -1
        np.add.at(sums, cells.rows[selected], cells.amounts[selected])
        result: Floats = sums[rows]
        return result
