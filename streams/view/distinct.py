"""Distinct counts of many panes at earlier moments: unions of what is read block by block."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints
from streams.panes.counters import DISTINCTS
from streams.panes.sketch import RANK_BITS, REGISTERS, estimate_all
from streams.panes.sketches import NO_SKETCHES, Sketches, merge_sketches

DENSE_ROWS = 64
"""Up to so many rows, whole register arrays are cheaper than sorting coupons."""

_N = len(DISTINCTS)


class Union:
    """The union of panes, of some rows. Which panes it is given, in which order and how often, changes nothing."""

    def __init__(self, rows: Ints) -> None:
        self._place = _places(rows)
        self._rows = len(rows)
        dense = self._rows <= DENSE_ROWS
        self._registers = np.zeros(self._rows * _N * REGISTERS, np.uint8) if dense else None
        self._total = NO_SKETCHES

    def take(self, parts: Iterable[Sketches]) -> None:
        """Unite with more."""
        mine = [part.take(np.flatnonzero(self._is_wanted(part.rows))) for part in parts]
        if self._registers is None:
            self._total = merge_sketches([self._total, *(part.in_one_pane() for part in mine)])
            return
        for part in mine:
            sketch = np.repeat(self._place[part.rows] * _N + part.distincts, part.sizes)
            ranks = (part.coupons & ((1 << RANK_BITS) - 1)).astype(np.uint8)
            np.maximum.at(self._registers, sketch * REGISTERS + (part.coupons >> RANK_BITS), ranks)

    def counts(self) -> list[list[int]]:
        """Distinct counts: [row][distinct], rows in the order given."""
        if self._registers is not None:
            by_sketch = self._registers.reshape(-1, REGISTERS)
            held = [np.bincount(registers, minlength=1 << RANK_BITS) for registers in by_sketch]
            histograms = np.array(held, np.int64).reshape(-1, 1 << RANK_BITS)
        else:
            total = self._total
            sketch = self._place[total.rows] * _N + total.distincts
            at = np.repeat(sketch, total.sizes) << RANK_BITS | (total.coupons & ((1 << RANK_BITS) - 1))
            histograms = np.bincount(at, minlength=self._rows * _N << RANK_BITS).reshape(-1, 1 << RANK_BITS)
            histograms[:, 0] = REGISTERS - histograms.sum(axis=1)
        counted: list[list[int]] = estimate_all(histograms).reshape(self._rows, _N).tolist()
        return counted

    def _is_wanted(self, rows: Ints) -> npt.NDArray[np.bool_]:
        place = self._place
        known = rows < len(place)
        return known & (place[np.where(known, rows, 0)] >= 0) if len(place) else known


def _places(rows: Ints) -> Ints:
    """For each row number its place among `rows`, -1 where it is not among them."""
    place = np.full(int(rows.max()) + 1 if len(rows) else 0, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return place
