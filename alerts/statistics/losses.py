"""Whether something is lost: counts in a window against the own trends of their series before the breach.

A ratio also falls where `per` rises, and rises where `per` falls; its own events then do not change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alerts.statistics.arrays import Bools, Floats, ratio
from alerts.statistics.baseline import OWN_TREND_S, MinutePart
from alerts.statistics.steps import WindowPart

_CROWD, _CROWD_SE = 0.25, 2.0
"""Where `per` rose by this share, this many more standard errors are needed: chance is tested often in a crowd."""
_ROSE_SE = 2.0
"""Standard errors above its own trend at which `per` has risen since the start of a breach."""
_UNTRACKED = 0.75
"""Tracking is lost only below this share of the events of the last hours: the end of a surge is no loss."""
_FELL_SE, _FOLLOWED_SE = 2.5, 3.0
"""Standard errors below its own trend that a count, and a later one that is tested often, have surely fallen by, if a
single window is tested."""
_RETRIED = 0.75
"""Assumed share of failures that are tried again."""


@dataclass(frozen=True, slots=True)
class OwnTrends:
    """What windows are compared with: arrays by series."""

    before: Floats
    """# [series, part]: events per second as the breach began"""
    hourly: Floats
    """`count` events per second in the last hours."""
    crowd: Floats
    """`per` events lately over those of the last hours, at least 1."""
    dispersion: Floats
    """# [series, (count, loss)]: dispersion around own trends, at least 1"""

    def variance(self, window: Floats, own: MinutePart) -> Floats:
        """Variance of a sum around its trend, for each expected event: the trend is an estimate, too."""
        spread = self.dispersion[:, int(own is MinutePart.LOSS)]
        result: Floats = spread * (1 + window[:, WindowPart.SECONDS] / OWN_TREND_S)
        return result

    def change(self, window: Floats, part: WindowPart, own: MinutePart) -> tuple[Floats, Floats]:
        """(a sum of a window relative to its trend, standard errors below it)."""
        expected = self.before[:, own] * window[:, WindowPart.SECONDS]
        change = np.nan_to_num(ratio(window[:, part], expected), nan=1.0)
        return change, (1 - change) * np.sqrt(expected / self.variance(window, own))


def has_risen(window: Floats, trends: OwnTrends, least_effect: float) -> Bools:
    """Whether `count` itself rose, and by more than `per` fell: failures are a larger share of attempts, too, where
    other attempts are late."""
    expected = trends.before[:, MinutePart.COUNT] * window[:, WindowPart.SECONDS]
    variance = trends.variance(window, MinutePart.COUNT) * np.maximum(expected, 1.0)
    surely = expected + _FELL_SE * np.sqrt(variance)
    count, _ = trends.change(window, WindowPart.COUNT, MinutePart.COUNT)
    inputs, _ = trends.change(window, WindowPart.INPUT, MinutePart.INPUT)
    rose = window[:, WindowPart.COUNT] >= np.maximum((1 + least_effect / 2) * expected, surely)
    result: Bools = rose & ((count * inputs >= 1) | (expected <= 0))
    return result


def has_fallen(window: Floats, onset: Floats, trends: OwnTrends, least_effect: float) -> Bools:
    """Whether `count` fell surely, by more than `per` rose, and further than `per` fell.

    `window`: the latest sums of the breach; `onset`: those since its start, over which `per` may have risen more.
    """
    count, fell_se = trends.change(window, WindowPart.COUNT, MinutePart.COUNT)
    inputs, _ = trends.change(window, WindowPart.INPUT, MinutePart.INPUT)
    per, _ = trends.change(window, WindowPart.PER, MinutePart.PER)
    rose = np.maximum(inputs, per) * trends.crowd
    since, below_se = trends.change(onset, WindowPart.PER, MinutePart.PER)
    surely = np.where(below_se < -_ROSE_SE, since, 1.0)
    crowd = np.clip((np.maximum(rose, surely) - 1) / _CROWD, 0, 1)
    needed_se = _FELL_SE + _CROWD_SE * crowd
    lost = (count <= 1 - least_effect / 2) & (fell_se >= needed_se) & (count * rose <= 1) & (per > count)
    result: Bools = lost & (window[:, WindowPart.SECONDS] > 0)
    return result


def is_followed(window: Floats, latest: Floats, onset: Floats, age_s: Floats, trends: OwnTrends) -> tuple[Bools, Bools]:
    """(whether the `loss` events fell by half as much as `count`, whether they did not although `count` fell surely:
    events are not recorded). They are those of the `latest` seconds, or since the `onset` of a younger breach."""
    count, fell_se = trends.change(window, WindowPart.COUNT, MinutePart.COUNT)
    per, _ = trends.change(window, WindowPart.PER, MinutePart.PER)
    short = np.where((age_s > latest[:, WindowPart.SECONDS])[:, None], latest, onset)
    follow, follow_se = trends.change(short, WindowPart.LOSS, MinutePart.LOSS)
    is_half = follow <= (1 + count) / 2
    windows = np.maximum(age_s / np.maximum(short[:, WindowPart.SECONDS], 1.0), 1.0)
    needed_se = np.sqrt(_FOLLOWED_SE**2 + 2 * np.log(windows))  # as unlikely in one of them: the normal tail
    is_below_hourly = ratio(latest[:, WindowPart.COUNT], latest[:, WindowPart.SECONDS]) <= _UNTRACKED * trends.hourly
    has_crowd = per - 1 > _CROWD * (1 - count)
    untracked = (fell_se >= _FELL_SE) & is_below_hourly & ~is_half & ~has_crowd
    return is_half & (follow_se >= needed_se), untracked


def lacking_events(*, trend: float, seconds: float, counted: float, dispersion: float, errors: float) -> float:
    """Events that `seconds` lack of a trend (events per second), plus `errors` standard errors; at least 0.

    `dispersion`: variance over mean around the trend.
    """
    expected = trend * seconds
    error = math.sqrt(dispersion * expected * (1 + seconds / OWN_TREND_S))
    return max(0.0, expected + errors * error - counted)


def never_paid(failed: float, attempts: float) -> float:
    """Share of failures after which no later attempt succeeds, if three of four are tried again, independently:
    1 less the geometric series of the attempts. 0 to 1."""
    failing = min(failed / max(attempts, 1e-9), 1.0)
    return 1 - _RETRIED * (1 - failing) / (1 - _RETRIED * failing)
