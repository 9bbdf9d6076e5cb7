"""Least mean delays of any detection, and confidence of rates.

- **Counts** (Poisson): log(seconds between false alarms) / (rate × I), with I = r log r - r + 1, the Kullback-Leibler
  information of an expected event if the true mean is r times it (Lorden, Annals of Mathematical Statistics 42, 1971,
  theorem 2).
- **Rates** (Bernoulli): the same with the information of a trial, q log(q / p) + (1 - q) log((1 - q) / (1 - p)).
  Orders are a thinning of checkouts, so where p is large, this is far below the bound of counts.

Both are asymptotic in the logarithm, and hold for a test that knows the rates before and after. Bernoulli's also
presumes that the result of a trial is known at once. Where successes follow their trials after a delay:

- **Delayed rates**: the counts of the first T seconds sum independent trials, of which each has its success in
  them with a chance q. Their variance is a share D(T) = sum q (1 - q) / sum q of Poisson's: 1 in a time much shorter
  than the delays vary, 1 - p in a longer one. The bound is the least T with rate × T × I / D(T) >= log(seconds between
  false alarms), or Bernoulli's if that is later.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from alerts.statistics.arrays import Floats

FALSE_PER_DAY = 0.05
"""False alarms of one series for which bounds are computed: about what one series of the default rules may have."""
_LONGEST_DELAY_S = 1800.0
"""Longer delays are taken to be so long."""
_STEP_S = 0.5
"""Accuracy of bounds with delays."""


def poisson_bound_s(rate: float, kept: float, false_per_day: float = FALSE_PER_DAY) -> float:
    """Counts of `rate` a second fall to the share `kept` of it."""
    information = kept * math.log(kept) - kept + 1 if kept > 0 else 1.0
    return _bound_s(rate * information, false_per_day)


def bernoulli_bound_s(trials: float, before: float, after: float, false_per_day: float = FALSE_PER_DAY) -> float:
    """The success rate of `trials` a second changes."""
    return _bound_s(trials * (_term(after, before) + _term(1 - after, 1 - before)), false_per_day)


def delayed_bound_s(
    trials: float, before: float, after: float, delays_s: Floats, false_per_day: float = FALSE_PER_DAY
) -> float:
    """As `bernoulli_bound_s`, where a success follows its trial by a delay. At most the bound of counts.

    `delays_s`: a sample of the delays. Accurate to half a second.
    """
    bound_s = bernoulli_bound_s(trials, before, after, false_per_day)
    delays_s = np.sort(np.minimum(delays_s, _LONGEST_DELAY_S))
    if not len(delays_s) or not 0 < bound_s < math.inf:
        return bound_s
    count_s = poisson_bound_s(trials * before, after / before, false_per_day)
    while bound_s < count_s * delayed_dispersion(before, delays_s, bound_s):
        bound_s += _STEP_S
    return min(bound_s, count_s)


def delayed_dispersion(success: float, delays_s: Floats, length_s: float) -> float:
    """Variance over mean of the successes in a window of some seconds, for given trials; the delays are ascending."""
    step_s = min(_STEP_S, length_s / 2)  # shorter windows than steps would have no success
    ages_s = np.arange(0.0, delays_s[-1] + length_s, step_s) + step_s / 2
    """Seconds from each trial to the end of the window."""
    within = np.searchsorted(delays_s, ages_s) - np.searchsorted(delays_s, ages_s - length_s)
    chance = success * within / len(delays_s)
    return float((chance * (1 - chance)).sum() / chance.sum())


def _term(after: float, before: float) -> float:
    if after <= 0:
        return 0.0
    return after * math.log(after / before) if before > 0 else math.inf


def _bound_s(information_a_second: float, false_per_day: float) -> float:
    return math.log(86_400 / false_per_day) / information_a_second if information_a_second > 0 else math.inf


def poisson_interval(count: int, exposure: float, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided confidence interval of a Poisson rate (Garwood, Biometrika 28, 1936)."""
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _mean_where(lambda mean: 1 - _at_most(count - 1, mean) < tail, count)
    high = _mean_where(lambda mean: _at_most(count, mean) > tail, count)
    return low / exposure, high / exposure


def _mean_where(is_below: Callable[[float], bool], count: int) -> float:
    low, high = 0.0, 20.0 + 4 * count
    for _ in range(80):
        mean = (low + high) / 2
        low, high = (mean, high) if is_below(mean) else (low, mean)
    return high


def _at_most(count: int, mean: float) -> float:
    """P(Poisson(mean) <= count)."""
    if mean <= 0:
        return 1.0
    logs = [i * math.log(mean) - mean - math.lgamma(i + 1) for i in range(count + 1)]
    return min(1.0, math.fsum(math.exp(log) for log in logs))
