"""Estimating distinct counts over many panes and many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from streams.arrays import Ints
from streams.counters import DISTINCTS
from streams.panes import Sketches, merge_sketches
from streams.sketch import RANK_BITS, REGISTERS, estimate_all
from streams.windows import Span

DENSE_ROWS = 64
"""Up to so many rows, whole register arrays are cheaper than sorting coupons."""

_N = len(DISTINCTS)


class WindowSketch:
    """Distinct counts of a few rows over a span whose start stays: unions only grow."""

    def __init__(self, rows: Ints) -> None:
        self.span = Span(0, 0)
        self._rows = rows
        self._place = _places(rows)
        self._registers = np.zeros(len(rows) * _N * REGISTERS, np.uint8)
        self._estimates: list[list[int]] | None = None

    def steps_to(self, span: Span) -> Iterator[tuple[bool, Span]]:
        """What to take in to get to another span, and whether all before it is to be forgotten."""
        if span.start_s != self.span.start_s or span.end_s < self.span.end_s:
            yield True, span
        elif span.end_s > self.span.end_s:
            yield False, Span(self.span.end_s, span.end_s)

    def take(self, anew: bool, parts: Iterable[Sketches]) -> None:
        """Unite with sketches, forgetting what was held if `anew`."""
        if anew:
            self._registers[:] = 0
        for part in parts:
            mine = part.take(np.flatnonzero(_is_wanted(part.rows, self._place)))
            sketch = self._place[mine.rows] * _N + mine.distincts
            at = np.repeat(sketch, mine.sizes) * REGISTERS + (mine.coupons >> RANK_BITS)
            np.maximum.at(self._registers, at, (mine.coupons & ((1 << RANK_BITS) - 1)).astype(np.uint8))
        self._estimates = None

    def correct(self, sketches: Sketches) -> None:
        """Take in what was applied meanwhile, as far as it falls in the span."""
        if late := sketches.between(self.span.start_s, self.span.end_s):
            self.take(False, [late])

    @property
    def estimates(self) -> list[list[int]]:
        """Distinct counts: [row][distinct], rows in the order given."""
        if self._estimates is None:
            by_sketch = self._registers.reshape(len(self._rows) * _N, REGISTERS)
            histograms = np.array([np.bincount(row, minlength=1 << RANK_BITS) for row in by_sketch])
            estimated = estimate_all(histograms.reshape(-1, 1 << RANK_BITS))
            self._estimates = estimated.reshape(len(self._rows), _N).tolist()
        return self._estimates


def estimates(parts: Iterable[Sketches], rows: Ints) -> list[list[int]]:
    """Distinct counts of the union of all panes in `parts`: [row][distinct], rows in the order given."""
    if len(rows) <= DENSE_ROWS:
        window = WindowSketch(rows)
        window.take(True, parts)
        return window.estimates
    place = _places(rows)
    total = merge_sketches([part.take(np.flatnonzero(_is_wanted(part.rows, place))).in_one_pane() for part in parts])
    sketch = place[total.rows] * _N + total.distincts
    at = np.repeat(sketch, total.sizes) << RANK_BITS | (total.coupons & ((1 << RANK_BITS) - 1))
    histograms: npt.NDArray[np.int64] = np.bincount(at, minlength=len(rows) * _N << RANK_BITS)
    histograms = histograms.reshape(-1, 1 << RANK_BITS)
    histograms[:, 0] = REGISTERS - histograms.sum(axis=1)
    counted: list[list[int]] = estimate_all(histograms).reshape(len(rows), _N).tolist()
    return counted


def _places(rows: Ints) -> Ints:
    """For each row number its place among `rows`, -1 where it is not among them."""
    place = np.full(int(rows.max()) + 1 if len(rows) else 0, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return place


def _is_wanted(rows: Ints, place: Ints) -> npt.NDArray[np.bool_]:
    known = rows < len(place)
    return known & (place[np.where(known, rows, 0)] >= 0) if len(place) else known
