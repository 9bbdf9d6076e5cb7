"""The beta distribution: CDF and quantiles, to about 1e-10.

The regularized incomplete beta function by its continued fraction, evaluated by Lentz's method (Press et al., Numerical
Recipes, 3rd ed. 2007, section 6.4); quantiles by bisection of the log-odds.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_CLOSE = 1e-14


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b); a, b > 0."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges on the other side
        return 1 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(x, a, b) / a


def beta_quantile(q: float, a: float, b: float) -> float:
    """The x with P(X <= x) = q for X ~ Beta(a, b); 0 < q < 1."""
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
