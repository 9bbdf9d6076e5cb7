"""The usual value at a time of the week: the median of the same hours of the last weeks.

Shops and warehouses have weekly patterns. A bucket keeps its last value; the current one is excluded from its own
reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.detectors.arrays import Floats, Ints, resized
from alerts.detectors.change import usual

WEEKS = 4
MIN_WEEKS = 3
"""Minimum number of known weeks: with fewer, one outlier would count too much."""
BUCKET_S = 4 * 3600
_STRETCHES = 7 * 86_400 // BUCKET_S
_KEPT = 1 + WEEKS * _STRETCHES


@dataclass(slots=True)
class WeeklyHistory:
    """Arrays by series."""

    numbers: Floats = field(default_factory=lambda: np.zeros((0, _KEPT)))
    """# [series, bucket]: newest last; NaN if unknown"""
    newest: int = -1
    """The newest bucket, counted from the epoch."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.numbers = resized(self.numbers, size, np.nan)

    def remember(self, places: Ints, values: Floats, at_ms: int) -> None:
        """Record the current values; NaN is none."""
        stretch = at_ms // (1000 * BUCKET_S)
        ahead = _KEPT if self.newest < 0 else max(0, min(stretch - self.newest, _KEPT))
        if ahead:
            self.numbers = np.roll(self.numbers, -ahead, axis=1)
            self.numbers[:, _KEPT - ahead :] = np.nan
            self.newest = stretch
        known = ~np.isnan(values)
        self.numbers[places[known], -1] = values[known]

    def usual(self, places: Ints) -> Floats:
        """The usual values at this time of the week; NaN with too few known weeks."""
        same = self.numbers[places, :-1:_STRETCHES].T
        return usual(np.where((~np.isnan(same)).sum(axis=0) >= MIN_WEEKS, same, np.nan)).middle
