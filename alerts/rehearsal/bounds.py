"""Least mean delays of any detection, and confidence of rates.

- **Counts** (Poisson): log(seconds between false alarms) / (rate × I), with I = r log r - r + 1, the Kullback-Leibler
  information of an expected event if the true mean is r times it (Lorden, Annals of Mathematical Statistics 42, 1971,
  theorem 2).
- **Rates** (Bernoulli): the same with the information of a trial, q log(q / p) + (1 - q) log((1 - q) / (1 - p)).
  Orders are a thinning of checkouts, so where p is large, this is far below the bound of counts.

Both are asymptotic in the logarithm, and hold for a test that knows the rates before and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable

FALSE_PER_DAY = 0.05
"""False alarms of one series for which bounds are computed: about what one series of the default rules may have."""


def poisson_bound_s(rate: float, kept: float, false_per_day: float = FALSE_PER_DAY) -> float:
    """Counts of `rate` a second fall to the share `kept` of it."""
    information = kept * math.log(kept) - kept + 1 if kept > 0 else 1.0
    return _bound_s(rate * information, false_per_day)


def bernoulli_bound_s(trials: float, before: float, after: float, false_per_day: float = FALSE_PER_DAY) -> float:
    """The success rate of `trials` a second changes."""
    return _bound_s(trials * (_term(after, before) + _term(1 - after, 1 - before)), false_per_day)


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
