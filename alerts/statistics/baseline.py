"""The baseline: usual numbers of each series, from exponential means over minutes.

- **Level**: `count` events per `per` event, with half-lives of 5, 20, 60 and 240 minutes. The last three minutes are
  excluded, so that the tested values are not part of their reference; minutes with a page are never included.
- **Reference level of a drop**: the lower of the levels of one and of four hours, or that of five or 20 minutes where
  it is lower by two standard errors: the end of a surge is no drop, and a level that wanders is followed. For a rise,
  the higher.
- **Crowds** do not become usual at once: while `per` is above its own level of hours, and there is a breach or a level
  of minutes is the reference, the levels of hours do not follow, for two hours at most. When the crowd has gone, they
  apply again. The same holds around openings, before which visitors wait.
- **Own trend**: events per second of `count`, of `per` and of the `loss` counter, with a half-life of five minutes:
  what a series itself did lately, whatever its ratio. Its dispersion is that of the counts of successive minutes
  (von Neumann, Annals of Mathematical Statistics 12, 1941): a ratio has less, because its events come with their cause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio, resized

MINUTE_S = 60
NEW_NORMAL_S = 2 * 3600.0
"""After this time, what was a breach is the usual state."""
PENDING = 3
"""Number of excluded minutes."""
HALF_LIVES_MIN = np.array([5.0, 20.0, 60.0, 240.0])
FAST, HOUR = 0, 2
_SURE_SE = np.array([2.0, 2.0, 0.0, 0.0])
_OTHER_MOST_MIN = 120
_CROWD = 1.15
_MOST_DISPERSION = 4.0
"""Limit of the dispersion that standard errors assume: a level that wanders is followed."""


OWN_TREND_S = 2 * MINUTE_S * float(HALF_LIVES_MIN[FAST]) / math.log(2)
"""Time whose counts vary as much as an own trend."""
_TREND_HALF_LIFE_MIN = 240.0
_PRIOR_PAIRS, _PRIOR_TREND_DISPERSION = 6.0, 1.5
_CUT = 9.0
"""Limit of a pair's term, relative to the dispersion."""


class MinutePart(IntEnum):
    """Components of a minute."""

    COUNT = 0
    INPUT = 1
    """Delayed `per` events."""
    GMV = 2
    LOSS = 3
    """Events of the `loss` counter."""
    PER = 4
    """`per` events, not delayed."""
    SECONDS = 5


N_PARTS = len(MinutePart)
_OWN = [MinutePart.COUNT, MinutePart.LOSS]
"""Parts whose own trends are tested."""


@dataclass(slots=True)
class Baseline:
    """Usual levels. Arrays are [series, …, part]."""

    minute: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """The current minute."""
    pending: Floats = field(default_factory=lambda: np.zeros((0, PENDING, N_PARTS)))
    """The excluded minutes, oldest first."""
    decayed: Floats = field(default_factory=lambda: np.zeros((0, len(HALF_LIVES_MIN), N_PARTS)))
    """# [series, half-life, part]: exponential sums"""

    long_levels_paused_min: Floats = field(default_factory=lambda: np.zeros(0))
    """Minutes for which another level than those of hours has applied."""
    differences: Floats = field(default_factory=lambda: np.zeros((0, len(_OWN), 2)))
    """# [series, own part, (sum of the terms, pairs)]: exponential sums over successive minutes"""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.minute, self.pending, self.decayed = (
            resized(self.minute, size),
            resized(self.pending, size),
            resized(self.decayed, size),
        )
        self.long_levels_paused_min = resized(self.long_levels_paused_min, size)
        self.differences = resized(self.differences, size)

    def add(self, parts: Floats) -> None:
        """Add a part of the current minute."""
        self.minute += parts

    def end_minute(self, learnable: Bools, pause_long_levels: Bools) -> None:
        """End a minute, which is included only for `learnable` series. With `pause_long_levels`, the levels of hours do
        not include it."""
        self.minute[~learnable] = 0.0
        self.minute[self.minute[:, MinutePart.INPUT] <= 0, MinutePart.SECONDS] = 0.0
        self._add_differences()
        oldest = self.pending[:, 0]
        has_events = (oldest[:, MinutePart.INPUT] > 0)[:, None, None]
        self.long_levels_paused_min = np.where(
            pause_long_levels & (self.long_levels_paused_min < _OTHER_MOST_MIN), self.long_levels_paused_min + 1, 0.0
        )
        learns = (self.long_levels_paused_min == 0)[:, None] | (np.arange(len(HALF_LIVES_MIN)) < HOUR)
        keep = np.where(has_events & learns[..., None], 0.5 ** (1 / HALF_LIVES_MIN)[:, None], 1.0)
        self.decayed *= keep
        self.decayed += oldest[:, None] * learns[..., None]
        self.pending[:, :-1] = self.pending[:, 1:]
        self.pending[:, -1] = self.minute
        self.minute = np.zeros_like(self.minute)

    def _add_differences(self) -> None:
        seconds = np.minimum(self.minute[:, MinutePart.SECONDS], self.pending[:, -1, MinutePart.SECONDS])
        one, other = self.minute[:, _OWN], self.pending[:, -1, _OWN]
        pairs = (seconds >= MINUTE_S)[:, None] & (one + other > 0)
        term = np.divide((one - other) ** 2, one + other, out=np.zeros_like(one), where=pairs)
        limit = _CUT * self.trend_dispersion()
        self.differences *= np.where(pairs, 0.5 ** (1 / _TREND_HALF_LIFE_MIN), 1.0)[..., None]
        self.differences += np.stack((np.minimum(term, limit), np.ones_like(one)), axis=-1) * pairs[..., None]

    def trend_dispersion(self) -> Floats:
        """Dispersion of counts around their own trend, at least 1: # [series, (count, loss)]"""
        sums, pairs = self.differences[..., 0], self.differences[..., 1]
        learned = (sums + _PRIOR_PAIRS * _PRIOR_TREND_DISPERSION) / (pairs + _PRIOR_PAIRS)
        return np.maximum(learned, 1.0)

    def drop_recent(self, which: Bools) -> None:
        """Exclude the last minutes of these series for good."""
        self.pending[which] = 0.0
        self.minute[which] = 0.0

    def accept(self, which: Bools, level: Floats) -> None:
        """Make this level the usual one."""
        inputs = self.decayed[which, :, MinutePart.INPUT]
        self.decayed[which, :, MinutePart.COUNT] = np.nan_to_num(level)[which, None] * inputs

    @property
    def counted(self) -> Floats:
        """Counted events that the level of an hour is estimated from."""
        result: Floats = self.decayed[:, HOUR, MinutePart.COUNT]
        return result

    def seen(self) -> Floats:
        """Delayed `per` events, also of the minutes that are not included yet."""
        inputs = (minutes[..., MinutePart.INPUT] for minutes in (self.decayed[:, HOUR], self.minute))
        result: Floats = sum(inputs, self.pending[:, :, MinutePart.INPUT].sum(axis=1))
        return result

    def level(self) -> Floats:
        """Estimated `count` per `per` events; NaN if unknown."""
        return ratio(self.counted, self.decayed[:, HOUR, MinutePart.INPUT])

    def reference(self, dispersion: Floats, *, rise: bool) -> tuple[Floats, Floats, Bools]:
        """(reference level, events that it is estimated from, whether it is one of minutes); NaN if unknown.

        `dispersion`: over minutes.
        """
        counts = self.decayed[..., MinutePart.COUNT]
        levels = ratio(counts, self.decayed[..., MinutePart.INPUT])
        hour = levels[:, HOUR : HOUR + 1]
        se = hour * np.sqrt(np.minimum(dispersion, _MOST_DISPERSION)[:, None] / np.maximum(counts, 1.0))
        sign = 1.0 if rise else -1.0
        surely = (levels - hour) * sign >= _SURE_SE * se
        surely[:, HOUR] = True
        surely[:, 1] &= (levels[:, FAST] - levels[:, 1]) * sign >= -se[:, FAST]  # and it is not over
        best = np.where(surely, levels * sign, -np.inf).argmax(axis=1)
        rows = np.arange(len(best))
        return levels[rows, best], counts[rows, best], best < HOUR

    def rates(self) -> Floats:
        """Own trend: # [series, part]: events per second lately; 0 if unknown."""
        fast = self.decayed[:, FAST]
        return np.nan_to_num(ratio(fast, fast[:, MinutePart.SECONDS :]))

    def hourly(self) -> Floats:
        """`count` events per second in the last hours; 0 if unknown."""
        return np.nan_to_num(ratio(self.counted, self.decayed[:, HOUR, MinutePart.SECONDS]))

    def crowd(self) -> Floats:
        """`per` events lately over those of the last hours, where there are surely more, else 1: (series)."""
        rates = np.nan_to_num(ratio(self.decayed[..., MinutePart.INPUT], self.decayed[..., MinutePart.SECONDS]))
        return np.where(rates[:, FAST] > _CROWD * rates[:, HOUR], rates[:, FAST] / np.maximum(rates[:, HOUR], 1e-9), 1)

    def gmv_per(self, part: MinutePart) -> Floats:
        """GMV per event of a part, minor units."""
        return ratio(self.decayed[:, HOUR, MinutePart.GMV], self.decayed[:, HOUR, part])
