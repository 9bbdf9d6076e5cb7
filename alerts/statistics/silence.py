"""Detect silence where events are expected.

At a rate lambda, a Poisson process is silent for t seconds with probability exp(-lambda t), so 30 missed events are no
accident (1e-13). Bursts cause longer silences, so three times the longest recent silence, in expected events, is
required, too. The rate is the minimum of the exponential means over 1, 15 and 60 minutes at the last event, so that
fading traffic is no silence. A series is silent when nothing arrives: late and early events end a silence, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.statistics.arrays import Bools, Floats, resized
from alerts.statistics.baseline import NEW_NORMAL_S

_MEANS_S = np.array([60.0, 900.0, 3600.0])
_USUAL_HALF_LIFE_S = 3600.0
_BURSTS = 3.0
"""Required multiple of the longest recent silence."""


@dataclass(slots=True)
class SilenceState:
    """Arrays by series."""

    rates: Floats = field(default_factory=lambda: np.zeros((0, len(_MEANS_S))))
    """# [series, mean]: events per second, not yet divided by `known`"""
    known: Floats = field(default_factory=lambda: np.zeros((0, len(_MEANS_S))))
    """Observed share of each mean, 0 to 1."""
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    """Events per second at the last event."""
    total: Floats = field(default_factory=lambda: np.zeros(0))
    """Total number of events."""
    quiet_s: Floats = field(default_factory=lambda: np.zeros(0))
    """Time since the last event."""
    usual: Floats = field(default_factory=lambda: np.zeros(0))
    """The longest recent silence, in expected events."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.rates, self.known = resized(self.rates, size), resized(self.known, size)
        self.rate, self.total = resized(self.rate, size), resized(self.total, size)
        self.quiet_s, self.usual = resized(self.quiet_s, size), resized(self.usual, size)

    def step(self, count: Floats, dt_s: float, early: Floats | float = 0.0) -> None:
        """Advance `dt_s` seconds with these counts. `early`: events of later seconds that arrived meanwhile, which are
        counted in their own step."""
        if not len(count):
            return
        has_events = (count > 0) | (np.asarray(early) > 0)
        self.usual *= 0.5 ** (dt_s / _USUAL_HALF_LIFE_S)
        self.usual = np.where(has_events, np.maximum(self.usual, self.missed), self.usual)
        self.quiet_s = np.where(has_events, 0.0, self.quiet_s + dt_s)
        self.total += count
        weight = -np.expm1(-dt_s / _MEANS_S)
        has_begun = (self.total > 0)[:, None]
        self.rates += weight * (count[:, None] / dt_s - self.rates) * has_begun
        self.known += weight * (1 - self.known) * has_begun
        with np.errstate(invalid="ignore"):
            lowest = np.min(self.rates / self.known, axis=1, initial=np.inf)
        self.rate = np.where(has_events, np.nan_to_num(lowest), self.rate)

    @property
    def missed(self) -> Floats:
        """Expected events since the last one."""
        result: Floats = self.rate * self.quiet_s
        return result

    def silent(self, *, after_s: float, least_expected: float) -> Bools:
        """Whether each silence is longer than chance explains."""
        needed = np.maximum(least_expected, _BURSTS * self.usual)
        result: Bools = (
            (self.quiet_s >= after_s)
            & (self.quiet_s < NEW_NORMAL_S)
            & (self.missed >= needed)
            & (self.total >= 2 * least_expected)
        )
        return result
