"""The baseline: usual numbers of each series, from exponential means over minutes.

- **Level**: `count` events per `per` event, with half-lives of 5, 20, 60 and 240 minutes. The last three minutes are
  excluded, so that the tested values are not part of their reference; minutes with a page are never included.
- **Reference level of a drop**: the lowest of these, except those that are lower than the level of an hour by less than
  two standard errors: the end of a surge is no drop, and a level that wanders is followed. For a rise, the highest.
- **Own trend**: events per second of `count`, of `per` and of the `loss` counter, with a half-life of five minutes:
  what a series itself did lately, whatever its ratio.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio, resized

MINUTE_S = 60
PENDING = 3
"""Number of excluded minutes."""
HALF_LIVES_MIN = np.array([5.0, 20.0, 60.0, 240.0])
FAST, HOUR = 0, 2
_SURE_SE = 2.0


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


@dataclass(slots=True)
class Baseline:
    """Usual levels. Arrays are [series, …, part]."""

    minute: Floats = field(default_factory=lambda: np.zeros((0, N_PARTS)))
    """The current minute."""
    pending: Floats = field(default_factory=lambda: np.zeros((0, PENDING, N_PARTS)))
    """The excluded minutes, oldest first."""
    kept: Floats = field(default_factory=lambda: np.zeros((0, len(HALF_LIVES_MIN), N_PARTS)))
    """# [series, half-life, part]: exponential sums"""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.minute, self.pending, self.kept = (
            resized(self.minute, size),
            resized(self.pending, size),
            resized(self.kept, size),
        )

    def take(self, parts: Floats) -> None:
        """Add a part of the current minute."""
        self.minute += parts

    def end_minute(self, sound: Bools) -> None:
        """End a minute, which is included only for `sound` series."""
        self.minute[~sound] = 0.0
        self.minute[self.minute[:, MinutePart.INPUT] <= 0, MinutePart.SECONDS] = 0.0
        oldest = self.pending[:, 0]
        has_events = (oldest[:, MinutePart.INPUT] > 0)[:, None, None]
        self.kept *= np.where(has_events, 0.5 ** (1 / HALF_LIVES_MIN)[:, None], 1.0)
        self.kept += oldest[:, None]
        self.pending[:, :-1] = self.pending[:, 1:]
        self.pending[:, -1] = self.minute
        self.minute = np.zeros_like(self.minute)

    def drop_recent(self, which: Bools) -> None:
        """Exclude the last minutes of these series for good."""
        self.pending[which] = 0.0
        self.minute[which] = 0.0

    def accept(self, which: Bools, level: Floats) -> None:
        """Make this level the usual one."""
        inputs = self.kept[which, :, MinutePart.INPUT]
        self.kept[which, :, MinutePart.COUNT] = np.nan_to_num(level)[which, None] * inputs

    @property
    def counted(self) -> Floats:
        """Counted events that the level of an hour is estimated from."""
        result: Floats = self.kept[:, HOUR, MinutePart.COUNT]
        return result

    def seen(self) -> Floats:
        """Delayed `per` events, also of the minutes that are not included yet."""
        inputs = (minutes[..., MinutePart.INPUT] for minutes in (self.kept[:, HOUR], self.minute))
        result: Floats = sum(inputs, self.pending[:, :, MinutePart.INPUT].sum(axis=1))
        return result

    def level(self) -> Floats:
        """Estimated `count` per `per` events; NaN if unknown."""
        return ratio(self.counted, self.kept[:, HOUR, MinutePart.INPUT])

    def reference(self, phi: Floats, *, rise: bool) -> tuple[Floats, Floats]:
        """(reference level, events that it is estimated from); NaN if unknown. `phi`: dispersion over minutes."""
        counts = self.kept[..., MinutePart.COUNT]
        levels = ratio(counts, self.kept[..., MinutePart.INPUT])
        hour = levels[:, HOUR : HOUR + 1]
        se = hour * np.sqrt(phi[:, None] / np.maximum(counts, 1.0))
        sign = 1.0 if rise else -1.0
        surely = (levels - hour) * sign > _SURE_SE * se
        surely[:, HOUR] = True
        best = np.where(surely, levels * sign, -np.inf).argmax(axis=1)
        rows = np.arange(len(best))
        return levels[rows, best], counts[rows, best]

    def rates(self) -> Floats:
        """Own trend: # [series, part]: events per second lately; 0 if unknown."""
        fast = self.kept[:, FAST]
        return np.nan_to_num(ratio(fast, fast[:, MinutePart.SECONDS :]))

    def gmv_per(self, part: MinutePart) -> Floats:
        """GMV per event of a part, minor units."""
        return ratio(self.kept[:, HOUR, MinutePart.GMV], self.kept[:, HOUR, part])
