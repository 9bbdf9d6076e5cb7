"""Estimating distinct counts over many panes and many rows at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streams.arrays import Ints
from streams.counters import DISTINCTS
from streams.panes import Sketches, merge_sketches
from streams.sketch import RANK_BITS, REGISTERS, estimate_all

_DENSE_ROWS = 64
"""Up to so many rows, whole register arrays are cheaper than sorting coupons."""


def estimates(parts: Iterable[Sketches], rows: Ints) -> npt.NDArray[np.int64]:
    """Distinct counts of the union of all panes in `parts`: [row, distinct], rows in the order given."""
    wanted = np.full(int(rows.max()) + 1 if len(rows) else 0, -1, np.int64)
    wanted[rows] = np.arange(len(rows))
    chosen = [part.take(np.flatnonzero(_is_wanted(part.rows, wanted))) for part in parts]
    if len(rows) <= _DENSE_ROWS:
        return _dense(chosen, wanted, len(rows))
    return _sparse(chosen, wanted, len(rows))


def _is_wanted(rows: Ints, wanted: Ints) -> npt.NDArray[np.bool_]:
    known = rows < len(wanted)
    return known & (wanted[np.where(known, rows, 0)] >= 0) if len(wanted) else known


def _dense(parts: list[Sketches], wanted: Ints, n: int) -> npt.NDArray[np.int64]:
    registers = np.zeros(n * len(DISTINCTS) * REGISTERS, np.uint8)
    for part in parts:
        sketch = wanted[part.rows] * len(DISTINCTS) + part.distincts
        at = np.repeat(sketch, part.sizes) * REGISTERS + (part.coupons >> RANK_BITS)
        np.maximum.at(registers, at, (part.coupons & ((1 << RANK_BITS) - 1)).astype(np.uint8))
    by_sketch = registers.reshape(n * len(DISTINCTS), REGISTERS)
    histograms = np.array([np.bincount(row, minlength=1 << RANK_BITS) for row in by_sketch]).reshape(-1, 1 << RANK_BITS)
    return estimate_all(histograms).reshape(n, len(DISTINCTS))


def _sparse(parts: list[Sketches], wanted: Ints, n: int) -> npt.NDArray[np.int64]:
    total = merge_sketches([part.in_one_pane() for part in parts])
    sketch = wanted[total.rows] * len(DISTINCTS) + total.distincts
    at = np.repeat(sketch, total.sizes) << RANK_BITS | (total.coupons & ((1 << RANK_BITS) - 1))
    histograms = np.bincount(at, minlength=n * len(DISTINCTS) << RANK_BITS).reshape(-1, 1 << RANK_BITS)
    histograms[:, 0] = REGISTERS - histograms.sum(axis=1)
    return estimate_all(histograms).reshape(n, len(DISTINCTS))
