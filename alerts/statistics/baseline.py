"""The baseline: the usual number of `count` events per `per` event, and its variation.

- **Level**: exponential means over minutes, with half-lives of an hour and of ten minutes. The last three minutes are
  excluded, so that the tested values are not part of their reference; minutes with a breach are never included.
- **For a drop**, the level of the hour applies, or that of ten minutes where it is surely lower: the end of a surge is
  no drop. For a rise, the other way round.
- **Uncertainty**: the level is assumed half a standard error lower (for a rise: higher) than estimated; the rest is
  accounted for in `evidence`.
- **Variation**: Pearson's index, the mean of (y - mu)^2 / mu, over blocks of 10 s and of 60 s; the larger one applies,
  at least 1 (McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, section 4.5), with a limit of 16 per block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio, resized

MINUTE_S = 60
PENDING = 3
"""Number of excluded minutes."""
FAST_MIN = 10.0
SLOW_MIN = 60.0
_MOST = 16.0
_PRIOR_MIN = 5.0
_MARGIN_SE = 0.5


class MinutePart(IntEnum):
    """Components of a minute."""

    COUNT = 0
    INPUT = 1
    """Delayed `per` events."""
    GMV = 2
    SPREAD_10S = 3
    """Sum of the Pearson terms of its blocks of 10 s."""
    SPREAD_60S = 4
    MINUTES = 5
    """1 if the spreads are known, else 0."""


N_PARTS = len(MinutePart)


@dataclass(slots=True)
class Baseline:
    """Usual levels. Arrays are [series, …, part]."""

    minute: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """The current minute."""
    block: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    """Counted and expected in the current block of 10 s."""
    pending: Floats = field(default_factory=lambda: np.zeros((0, PENDING, N_PARTS)))
    """The excluded minutes, oldest first."""
    fast: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """Exponential sums with a half-life of `FAST_MIN`."""
    slow: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """Exponential sums with a half-life of `SLOW_MIN`."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.minute, self.block = resized(self.minute, size), resized(self.block, size)
        self.pending = resized(self.pending, size)
        self.fast, self.slow = resized(self.fast, size), resized(self.slow, size)

    def take(self, y: Floats, inputs: Floats, gmv: Floats) -> None:
        """Add a part of the current minute."""
        sums = np.empty((len(y), 3))
        sums[:, MinutePart.COUNT], sums[:, MinutePart.INPUT], sums[:, MinutePart.GMV] = y, inputs, gmv
        self.minute[:, :3] += sums
        self.block += sums[:, :2]

    def end_block(self, level: Floats) -> None:
        """End a block of 10 s; `level` is the usual one, 0 if unknown."""
        mu = level * self.block[:, 1]
        self.minute[:, MinutePart.SPREAD_10S] += _pearson(self.block[:, 0], mu)
        self.block[:] = 0.0

    def end_minute(self, level: Floats, sound: Bools, *, spreads: bool) -> None:
        """End a minute, which is included only for `sound` series. `spreads`: whether the expectation was certain
        enough to measure the variation."""
        minute = self.minute
        mu = level * minute[:, MinutePart.INPUT]
        minute[:, MinutePart.SPREAD_60S] = _pearson(minute[:, MinutePart.COUNT], mu)
        known = (mu > 0) & spreads
        minute[:, MinutePart.MINUTES] = known
        minute[~known, MinutePart.SPREAD_10S] = 0.0
        minute[~known, MinutePart.SPREAD_60S] = 0.0
        minute[~sound] = 0.0
        oldest = self.pending[:, 0]
        has_events = (oldest[:, MinutePart.INPUT] > 0)[:, None]
        for kept, half_life in ((self.fast, FAST_MIN), (self.slow, SLOW_MIN)):
            kept *= np.where(has_events, 0.5 ** (1 / half_life), 1.0)
            kept += oldest
        self.pending[:, :-1] = self.pending[:, 1:]
        self.pending[:, -1] = minute
        self.minute = np.zeros_like(minute)

    def drop_recent(self, which: Bools) -> None:
        """Exclude the last minutes of these series for good."""
        self.pending[which] = 0.0
        self.minute[which] = 0.0
        self.block[which] = 0.0

    def accept(self, which: Bools, y: Floats, inputs: Floats) -> None:
        """Make the recent level the usual one."""
        for kept in (self.fast, self.slow):
            kept[which] = 0.0
            kept[which, MinutePart.COUNT], kept[which, MinutePart.INPUT] = y[which], inputs[which]

    def level(self) -> Floats:
        """Estimated `count` per `per` events; NaN if unknown."""
        return ratio(self.slow[:, MinutePart.COUNT], self.slow[:, MinutePart.INPUT])

    def bounded(self, *, rise: bool) -> Floats:
        """The reference level, never further in the direction of the change than is certain."""
        slow, fast = self.level(), ratio(self.fast[:, MinutePart.COUNT], self.fast[:, MinutePart.INPUT])
        phi = self.dispersion()
        slow_se = slow * np.sqrt(phi / np.maximum(self.slow[:, MinutePart.COUNT], 1.0))
        fast_se = slow * np.sqrt(phi / np.maximum(self.fast[:, MinutePart.COUNT], 1.0))
        sign = 1.0 if rise else -1.0
        nearer = np.fmax(slow * sign, (fast - sign * 2 * fast_se) * sign) * sign
        result: Floats = np.maximum(nearer + sign * _MARGIN_SE * slow_se, 0.0)
        return result

    def dispersion(self) -> Floats:
        """Variance over mean of the counts around their expectation, at least 1."""
        minutes = self.slow[:, MinutePart.MINUTES]
        short = (self.slow[:, MinutePart.SPREAD_10S] / 6 + _PRIOR_MIN) / (minutes + _PRIOR_MIN)
        long = (self.slow[:, MinutePart.SPREAD_60S] + _PRIOR_MIN) / (minutes + _PRIOR_MIN)
        result: Floats = np.maximum(1.0, np.maximum(short, long))
        return result

    def gmv_per_input(self) -> Floats:
        """GMV per delayed `per` event, minor units."""
        return ratio(self.slow[:, MinutePart.GMV], self.slow[:, MinutePart.INPUT])


def _pearson(y: Floats, mu: Floats) -> Floats:
    result: Floats = np.minimum(np.divide((y - mu) ** 2, mu, out=np.zeros_like(mu), where=mu > 0), _MOST)
    return result
