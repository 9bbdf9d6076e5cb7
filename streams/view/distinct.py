"""Estimating distinct counts over many panes and many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from streams.arrays import Ints
from streams.counters import DISTINCTS
from streams.sketch import RANK_BITS, REGISTER_BITS, REGISTERS, estimate_all
from streams.sketches import Sketches, merge_sketches
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
        self._histograms = np.zeros((len(rows) * _N, 1 << RANK_BITS), np.int64)
        """# [row and distinct, rank]: how many registers have it"""
        self._histograms[:, 0] = REGISTERS
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
            sketch = np.repeat(self._place[mine.rows] * _N + mine.distincts, mine.sizes)
            at = sketch * REGISTERS + (mine.coupons >> RANK_BITS)
            ranks = (mine.coupons & ((1 << RANK_BITS) - 1)).astype(np.uint8)
            if not anew:
                greater = np.flatnonzero(ranks > self._registers[at])
                at, ranks = at[greater], ranks[greater]
                self._recount(np.unique(at), -1)
            np.maximum.at(self._registers, at, ranks)
            if not anew:
                self._recount(np.unique(at), 1)
        if anew:
            by_sketch = self._registers.reshape(-1, REGISTERS)
            counted = [np.bincount(registers, minlength=1 << RANK_BITS) for registers in by_sketch]
            self._histograms = np.array(counted, np.int64).reshape(-1, 1 << RANK_BITS)
        self._estimates = None

    def _recount(self, at: Ints, sign: int) -> None:
        """Take registers out of the histograms (-1) before they change, and put them in (1) after."""
        np.add.at(self._histograms, (at >> REGISTER_BITS, self._registers[at]), sign)

    def correct(self, parts: Iterable[Sketches]) -> None:
        """Take in what was applied meanwhile, as far as it falls in the span."""
        self.take(False, (part.between(self.span.start_s, self.span.end_s) for part in parts))

    @property
    def estimates(self) -> list[list[int]]:
        """Distinct counts: [row][distinct], rows in the order given."""
        if self._estimates is None:
            self._estimates = estimate_all(self._histograms).reshape(len(self._rows), _N).tolist()
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
