"""Find the events that arrived since the last evaluation, late ones among them, by reading recent seconds again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.detection.panes import CellPanes, ScopeValue
from streams.model.windows import Span
from streams.panes.cells import Cells, merge_cells, nonzero

LATE_S, MOST_LATE_S = 120, 600
"""Seconds before the new ones that are read again: usually, and while a producer is late or sends nothing. Events that
are later still count, but correct no evaluation."""
EARLY_S = 120
"""Seconds after the new ones that are read: a producer's clock may be ahead."""


def span_to_read(span: Span, late_s: int = LATE_S) -> Span:
    """The new seconds, with those around them that events may have arrived for."""
    return Span(span.start_s - late_s, span.end_s + EARLY_S)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The counters around the end of an evaluated range, as they were then."""

    start_s: int
    """Start of what was read."""
    end_s: int
    """End of the evaluated range."""
    labels: Sequence[ScopeValue]
    cells: Cells


class ArrivalReader:
    """Compares each reading with the one before."""

    def __init__(self) -> None:
        self._readings: list[_Reading] = []
        """The last two; the last one is compared again if its evaluation was repeated."""

    def take(self, span: Span, read: CellPanes) -> CellPanes:
        """Return the panes of `span`, with what arrived since the reading that ended where it starts.

        `read`: the panes of `span_to_read(span, …)`, with labels in the order of their first occurrence.
        """
        before = next((reading for reading in reversed(self._readings) if reading.end_s == span.start_s), None)
        arrived = None
        if before is not None and tuple(read.labels[: len(before.labels)]) == tuple(before.labels):
            start_s = max(before.start_s, read.start_s)
            earlier = before.cells.between(start_s, read.end_s)
            now = read.cells.between(start_s, read.end_s)
            arrived = nonzero(merge_cells([now, Cells(earlier.keys, -earlier.amounts)]))
        self._readings = [
            *(reading for reading in self._readings[-1:] if reading.end_s != span.end_s),
            _Reading(read.start_s, span.end_s, read.labels, read.cells),
        ]
        cells = read.cells.between(span.start_s, span.end_s)
        return CellPanes(span.start_s, span.end_s, read.labels, cells, arrived)
