"""When a SKU runs out: the point that the metric dictionary defines, and an interval around it.

What is sold from now on is taken for a Poisson process of orders whose rate is not known but estimated from what was
sold lately (gamma-Poisson), and will drift.

- Orders of several units: a unit is no event by itself. With `clump` = variance / mean of the units a minute (the index
  of dispersion, at least 1), `n = sold / clump` orders were seen, and `s = stock / clump` are to come (quasi-Poisson;
  McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, chapter 6).
- The rate, seen for `t` minutes, is Gamma(n + 1/2, t) (Jeffreys' prior of a Poisson rate); until the s-th order it
  takes Gamma(s, rate). So time / t is beta prime(s, n + 1/2): its quantile q is b / (1 - b), b the quantile q of
  Beta(s, n + 1/2) (the predictive distribution of gamma-Poisson; Gelman et al., Bayesian Data Analysis, 3rd ed. 2013,
  section 2.6).
- Drift: the rate ahead is the rate behind times a lognormal walk of variance `DRIFT` an hour. Its variance over half
  the way there is added to the gamma's squared coefficient of variation, 1 / (n + 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streams.stock.beta import beta_quantile

RATE_MINUTES = 15
"""The rate is that of the last 15 minutes (metric dictionary)."""
COVERAGE = 0.8
"""The interval is to hold the true moment in so many of the cases."""
DRIFT = 0.15
"""Variance that the log of a rate gains in an hour."""
_PRIOR = 0.5


@dataclass(frozen=True, slots=True)
class Interval:
    """Minutes from the as-of until the stock is gone; `high` None: it may last for ever."""

    low: float
    high: float | None


def minutes_to_stockout(stock: int | None, units: int) -> float | None:
    """Stock / units per minute over the last 15 m; 0 when stock <= 0; None without a stock, or when nothing sells."""
    if stock is None:
        return None
    if stock <= 0:
        return 0.0
    return stock / (units / RATE_MINUTES) if units > 0 else None


def clump(units: Sequence[int]) -> float:
    """Variance / mean of the units sold a minute, at least 1."""
    mean = math.fsum(units) / len(units) if units else 0.0
    if len(units) < 2 or mean <= 0:
        return 1.0
    return max(1.0, math.fsum((n - mean) ** 2 for n in units) / (len(units) - 1) / mean)


def interval(stock: int, units: Sequence[int], *, coverage: float = COVERAGE) -> Interval | None:
    """When `stock` will be gone, judged by the units sold in each of the last minutes.

    None when nothing sold: then anything may be.
    """
    if stock <= 0:
        return Interval(0.0, 0.0)
    sold, minutes = sum(units), len(units)
    if sold <= 0:
        return None
    orders = clump(units)
    seen, ahead = sold / orders + _PRIOR, max(stock / orders, _PRIOR)
    hours = minutes * (ahead / seen) / 60
    seen = 1 / (1 / seen + DRIFT * hours / 2)
    tail = (1 - coverage) / 2
    low, high = (beta_quantile(q, ahead, seen) for q in (tail, 1 - tail))
    # The middle of the posterior is where the rate puts it, however much was added to its width.
    scale = minutes * seen / (sold / orders + _PRIOR)
    return Interval(scale * low / (1 - low), scale * high / (1 - high) if high < 1 - 1e-12 else None)
