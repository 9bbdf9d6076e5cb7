"""What a number usually is at a time of the week: the median of the same hours of the last weeks.

People and warehouses keep a week: what is dispatched on a Sunday is compared with Sundays. A stretch's number is its
last one; the one under way is left out: what is being judged is not what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.detectors.arrays import Floats, Ints, resized
from alerts.detectors.change import usual

WEEKS = 4
MIN_WEEKS = 3
"""Of fewer known ones nothing is said: one that was spoilt would count too much."""
BUCKET_S = 4 * 3600
_STRETCHES = 7 * 86_400 // BUCKET_S
_KEPT = 1 + WEEKS * _STRETCHES


@dataclass(slots=True)
class WeeklyHistory:
    """Arrays by series."""

    numbers: Floats = field(default_factory=lambda: np.zeros((0, _KEPT)))
    """# [series, stretch]: the newest last; NaN where nothing is known"""
    newest: int = -1
    """The newest stretch, counted from the epoch."""

    def fit(self, size: int) -> None:
        """Room for so many series."""
        self.numbers = resized(self.numbers, size, np.nan)

    def remember(self, places: Ints, values: Floats, at_ms: int) -> None:
        """The numbers of some series now; NaN is none."""
        stretch = at_ms // (1000 * BUCKET_S)
        ahead = _KEPT if self.newest < 0 else max(0, min(stretch - self.newest, _KEPT))
        if ahead:
            self.numbers = np.roll(self.numbers, -ahead, axis=1)
            self.numbers[:, _KEPT - ahead :] = np.nan
            self.newest = stretch
        known = ~np.isnan(values)
        self.numbers[places[known], -1] = values[known]

    def usual(self, places: Ints) -> Floats:
        """Of some series at the time of the week that is now; NaN where too few weeks are known."""
        same = self.numbers[places, :-1:_STRETCHES].T
        return usual(np.where((~np.isnan(same)).sum(axis=0) >= MIN_WEEKS, same, np.nan)).middle
