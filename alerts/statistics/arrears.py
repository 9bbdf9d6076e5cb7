"""Events that are still missing after a delay has grown: most of them come later, all at once.

Meanwhile there are more than usual, and that is no new level.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, resized

_SURPLUS_SE = 3.0
"""Standard errors by which a minute has surely more events than usual."""
_KEPT_A_MINUTE = 0.5 ** (1 / 60)
"""Half-life of an hour: some never come."""


@dataclass(slots=True)
class Arrears:
    """Missing events by series."""

    missing: Floats = field(default_factory=lambda: np.zeros(0))

    def fit(self, size: int) -> None:
        """Resize the array."""
        self.missing = resized(self.missing, size)

    def add(self, which: Bools, missing: Floats) -> None:
        """Add the events that these series lack at the end of an alarm."""
        self.missing += np.where(which, np.maximum(missing, 0.0), 0.0)

    def take_minute(self, count: Floats, usual: Floats, dispersion: Floats) -> Bools:
        """End a minute with these counts; return the series that catch up."""
        surplus = count - usual
        surely = _SURPLUS_SE * np.sqrt(np.maximum(dispersion, 1.0) * np.maximum(usual, 1.0))
        catches_up = (self.missing > 0) & (surplus > surely)
        self.missing = np.maximum(self.missing * _KEPT_A_MINUTE - np.where(catches_up, surplus, 0.0), 0.0)
        result: Bools = catches_up
        return result
