"""Sums of shipment intervals in a window: cells, and retroactive corrections that are valid from a later moment on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from streams.model.windows import Span
from streams.panes.arrays import Ints, among
from streams.panes.cells import Cells, cell_keys
from streams.shipping.corrections import NO_CORRECTIONS, RetroactiveCorrections, merge_corrections
from streams.shipping.delta import ShippingDelta
from streams.shipping.duration_histogram import COUNTERS_PER_ROW
from streams.view.sums import MovingSum, WindowSum


class RowSums(MovingSum):
    """Sums by row, for counters that few rows have."""

    def __init__(self) -> None:
        super().__init__()
        self._sums = WindowSum(COUNTERS_PER_ROW)
        """By index of the row in `_place`."""
        self._place: dict[int, int] = {}
        """# {row: index}"""

    def take(self, sign: int, parts: Iterable[Cells]) -> None:
        self._sums.take(sign, (self._placed(cells) for cells in parts if len(cells.keys)))

    def of(self, rows: Ints) -> Ints:
        """Sums of these rows: [row, counter]."""
        none = len(self._place)
        return self._sums.of(np.array([self._place.get(row, none) for row in rows.tolist()], np.int64))

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows, which are distinct: [1, counter]."""
        places = np.array(list(self._place.values()), np.int64)
        return self._sums.total(places[among(np.array(list(self._place), np.int64), rows)])

    def _placed(self, cells: Cells) -> Cells:
        """The cells with indexes instead of rows, unordered."""
        rows, back = np.unique(cells.rows, return_inverse=True)
        places = np.array([self._place.setdefault(row, len(self._place)) for row in rows.tolist()], np.int64)
        return Cells(cell_keys(cells.panes, places[back], cells.counters), cells.amounts)


class ShipmentIntervalSum:
    """Shipment counters by row over a moving span, at an as-of that moves with it."""

    def __init__(self) -> None:
        self.as_of_s = 0
        self._sum = RowSums()
        self._ahead = NO_CORRECTIONS
        """Corrections in the span that are not valid yet at the as-of."""

    @property
    def span(self) -> Span:
        """The span covered."""
        return self._sum.span

    @span.setter
    def span(self, span: Span) -> None:
        self._sum.span = span

    def steps_to(self, span: Span, as_of_s: int) -> Iterator[tuple[int, Span]]:
        """Spans to add (1) and to subtract (-1) to move to another span; all of it if the as-of went back."""
        if as_of_s < self.as_of_s and self.span:
            yield 0, self.span
            yield 1, span
        else:
            yield from self._sum.steps_to(span)

    def move_to(self, as_of_s: int) -> None:
        """Move to an as-of; call before any `take`."""
        self.as_of_s = as_of_s
        self._sum.take(1, [self._ahead.known_at(as_of_s).cells])
        self._ahead = self._ahead.unknown_at(as_of_s)

    def take(self, sign: int, sums: Iterable[Cells], corrections: Iterable[RetroactiveCorrections]) -> None:
        """Add (1) or subtract (-1) the contents of a span; 0 clears."""
        self._sum.take(sign, sums)
        if sign == 0:
            self._ahead = NO_CORRECTIONS
            return
        for part in corrections:
            if len(part):
                self._sum.take(sign, [part.known_at(self.as_of_s).cells])
                later = part.unknown_at(self.as_of_s)
                if sign < 0:
                    later = RetroactiveCorrections(later.keys, later.valid_s, -later.amounts)
                self._ahead = merge_corrections([self._ahead, later])

    def correct(self, applied: ShippingDelta) -> None:
        """Add what was applied, as far as it is in the span."""
        span = self.span
        if span and applied:
            self.take(
                1,
                [applied.sums.between(span.start_s, span.end_s)],
                [applied.corrections.between(span.start_s, span.end_s)],
            )

    def of(self, rows: Ints) -> Ints:
        """Sums of these rows: [row, counter]."""
        return self._sum.of(rows)

    def total(self, rows: Ints) -> Ints:
        """The sum of these rows, which are distinct: [1, counter]."""
        return self._sum.total(rows)


def correction_sums(corrections: RetroactiveCorrections, span: Span, as_of_s: int) -> Ints:
    """The sum of one row's corrections in a span at an as-of: [counter]."""
    known = corrections.between(span.start_s, max(span.start_s, span.end_s)).known_at(as_of_s).cells
    sums = np.zeros(COUNTERS_PER_ROW, np.int64)
    np.add.at(sums, known.counters, known.amounts)
    return sums
