"""When a SKU runs out: the point estimate that the metric dictionary defines, and an interval around it.

Future sales are a Poisson process of orders whose rate is estimated from recent sales (gamma-Poisson) and drifts.

- Orders of several units: with `index_of_dispersion` = variance / mean of the units per minute (at least 1),
  `n = sold / index_of_dispersion` orders were seen, and `s = stock / index_of_dispersion` are to come (quasi-Poisson;
  McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, chapter 6).
- Sales `a` minutes ago have weight `DISCOUNT ** a`, units and time alike, since rates change: the gamma-Poisson model
  with discounting (West and Harrison, Bayesian Forecasting and Dynamic Models, 2nd ed. 1997).
- The rate, seen for `t` such minutes, is Gamma(n + 1/2, t) (Jeffreys' prior of a Poisson rate); the time until the s-th
  order is Gamma(s, rate). So time / t is beta prime(s, n + 1/2): its quantile q is b / (1 - b), b the quantile q of
  Beta(s, n + 1/2) (the predictive distribution of gamma-Poisson; Gelman et al., Bayesian Data Analysis, 3rd ed. 2013,
  section 2.6).
- Drift: the future rate is the past rate times a lognormal walk of variance `DRIFT` per hour. Its variance over half
  the time is added to the gamma's squared coefficient of variation, 1 / (n + 1/2).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

_TINY = 1e-300
_CLOSE = 1e-14
RATE_MINUTES = 15
"""Minutes of sales behind the point estimate's rate, as the metric dictionary defines it."""
COVERAGE = 0.8
"""Probability that the interval contains the true time."""
LOOK_BACK_MINUTES = 60
"""Minutes of sales behind the interval; more than `RATE_MINUTES`, since slow products sell little in 15 minutes."""
DISCOUNT = 0.98
DRIFT = 0.3
"""Variance that the log of a rate gains per hour. Both were fitted on simulated sales, see docs/stock.md."""
_LONGEST_DRIFT_H = 8
"""Maximum drift time: rates return with the time of day."""
_PRIOR = 0.5


@dataclass(frozen=True, slots=True)
class StockOutInterval:
    """Minutes from the as-of until the stock is gone; `high` None: possibly never."""

    low: float
    high: float | None


def minutes_to_stockout(stock: int | None, units: int) -> float | None:
    """Stock / units per minute over the last 15 m; 0 when stock <= 0; None without a stock, or when nothing sells."""
    if stock is None:
        return None
    if stock <= 0:
        return 0.0
    return stock / (units / RATE_MINUTES) if units > 0 else None


def index_of_dispersion(units: Sequence[int]) -> float:
    """Variance / mean of the units sold per minute, at least 1."""
    mean = math.fsum(units) / len(units) if units else 0.0
    if len(units) < 2 or mean <= 0:
        return 1.0
    return max(1.0, math.fsum((n - mean) ** 2 for n in units) / (len(units) - 1) / mean)


def interval(stock: int, units: Sequence[int], *, coverage: float = COVERAGE) -> StockOutInterval | None:
    """When `stock` will be gone, given the units sold in each of the last minutes, the latest last.

    The interval is widened to contain the point after sudden changes. None without sales.
    """
    if stock <= 0:
        return StockOutInterval(0.0, 0.0)
    weights = [DISCOUNT**age for age in range(len(units))]
    sold, minutes = math.fsum(map(operator.mul, weights, reversed(units))), math.fsum(weights)
    if sold <= 0:
        return None
    orders = index_of_dispersion(units)
    estimated, ahead = sold / orders + _PRIOR, max(stock / orders, _PRIOR)
    hours = minutes * (ahead / estimated) / 60
    seen = 1 / (1 / estimated + DRIFT * min(hours, _LONGEST_DRIFT_H) / 2)
    tail = (1 - coverage) / 2
    low, high = (beta_quantile(q, ahead, seen) for q in (tail, 1 - tail))
    # The middle of the posterior is at the observed rate, whatever its width.
    scale = minutes * seen / estimated
    point = minutes_to_stockout(stock, sum(units[-RATE_MINUTES:]))
    soonest, latest = scale * low / (1 - low), scale * high / (1 - high) if high < 1 - 1e-12 else None
    if point is None:
        return StockOutInterval(soonest, latest)
    return StockOutInterval(min(soonest, point), None if latest is None else max(latest, point))


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b); a, b > 0; to about 1e-10.

    The regularized incomplete beta function by its continued fraction, evaluated by Lentz's method (Press et al.,
    Numerical Recipes, 3rd ed. 2007, section 6.4).
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges on the other side
        return 1 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(x, a, b) / a


def beta_quantile(q: float, a: float, b: float) -> float:
    """The x with P(X <= x) = q for X ~ Beta(a, b), by bisection of the log-odds; 0 < q < 1."""
    low, high = -700.0, 36.0  # log-odds: x from 1e-304 to 1 - 2e-16
    for _ in range(200):
        middle = (low + high) / 2
        if high - low < 1e-11 * max(1.0, abs(middle)):
            break
        low, high = (middle, high) if beta_cdf(_logistic(middle), a, b) < q else (low, middle)
    return _logistic((low + high) / 2)


def _logistic(log_odds: float) -> float:
    odds = math.exp(log_odds)
    return odds / (1 + odds)


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's method; needs some sqrt(max(a, b)) iterations."""
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100 + int(10 * math.sqrt(max(a, b)))):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / _apart(1 + numerator * d), _apart(1 + numerator / c)
            step = c * d
            value *= step
        if abs(step - 1) < _CLOSE:
            break
    return value


def _apart(number: float) -> float:
    """The number, kept away from 0."""
    return number if abs(number) > _TINY else _TINY
