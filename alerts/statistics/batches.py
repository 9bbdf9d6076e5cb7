"""What may follow at once: of the orders of a crowd, the unpaid ones are cancelled together when their time is up.

A lag's distribution smears such a time-out, and a batch has none. So a rise after a long lag is evidence only beyond
what the ten busiest minutes of the last two lags would bring in one go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Floats, resized

LONG_LAG_S = 300.0
BATCH_MIN = 10
_MARGIN = 1.5
"""The level is that of calmer times."""


@dataclass(slots=True)
class BatchAllowance:
    """`per` events of the last minutes."""

    minutes: int = 0
    """Number of minutes; 0: the lag is short."""
    per: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """# [series, minute]: oldest first"""

    @classmethod
    def of(cls, lag_s: float) -> BatchAllowance:
        """Create the minutes of two lags, if they are long."""
        minutes = round(2 * lag_s / 60) if lag_s >= LONG_LAG_S else 0
        return cls(minutes, np.zeros((0, minutes)))

    def fit(self, size: int) -> None:
        """Resize the array."""
        self.per = resized(self.per, size)

    def end_minute(self, per: Floats) -> None:
        """Add a minute's events by series."""
        if self.minutes:
            self.per[:, :-1] = self.per[:, 1:]
            self.per[:, -1] = per

    def largest_batch(self) -> Floats:
        """Events of the busiest minutes: (series)."""
        if not self.minutes:
            return np.zeros(len(self.per))
        sums = np.pad(self.per.cumsum(axis=1), ((0, 0), (1, 0)))
        width = min(BATCH_MIN, self.minutes)
        result: Floats = _MARGIN * (sums[:, width:] - sums[:, :-width]).max(axis=1)
        return result
