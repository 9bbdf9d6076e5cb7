"""The final net GMV of a promotion as a distribution.

Future sales R are recent sales W times a ratio that depends on the elapsed share of the promotion:

- R = W * exp(d),    W = sum of sales, each weighted by exp(-age / MEMORY)

d comes from earlier promotions, whose R and W at the same share are known; without any, from the typical shape of a
day. d varies between promotions with a standard deviation tau, which shrinks with the root of the remaining time, as
for a sum of independent surprises. A prior of tau and the spread of earlier promotions are pooled (conjugate normal
model with unknown variance: Gelman et al., Bayesian Data Analysis, 3.2 and 3.3; hence Student's t). In addition, sales
come in single orders of different size: sales with mean x have the variance phi * x (quasi-Poisson: McCullagh and
Nelder, Generalized Linear Models, 6.2; of compound Poisson sales phi is the mean square order over the mean order). phi
is estimated from successive differences (von Neumann 1941), which trends barely affect.

R shrinks with time, and all uncertainty with it, since past sales are certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Cumulative net GMV at some times, linearly interpolated, starting at 0."""

    minutes: Floats
    """Since the promotion's start, ascending, from 0."""
    until: Floats
    """# [time]: cumulative net GMV, minor units; falls where refunds exceed sales"""
    length: float
    """Minutes from the promotion's start to its end."""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]], length: float) -> Self:
        """From (minutes since the start, cumulative net GMV), ascending; raises ValueError for invalid curves."""
        rows = np.array([(0.0, 0.0), *points], dtype=np.float64)
        if len(rows) > 1 and rows[1, 0] == 0:
            rows = rows[1:]
        if not length > 0 or (np.diff(rows[:, 0]) <= 0).any() or rows[-1, 0] > length + 1e-9:
            raise ValueError("minutes of a curve must ascend from 0 to at most its length, which must be positive")
        return cls(rows[:, 0], rows[:, 1], float(length))

    @property
    def elapsed(self) -> float:
        """Share of the length at the last time, 0 to 1."""
        return float(self.minutes[-1]) / self.length

    @property
    def last(self) -> float:
        """Net GMV at the last time; the final one of a complete curve."""
        return float(self.until[-1])

    def at(self, shares: Floats) -> Floats:
        """Net GMV at these shares (0 to 1) of the length."""
        net_gmv: Floats = np.interp(shares * self.length, self.minutes, self.until)
        return net_gmv

    def sold(self, edges: Floats) -> Floats:
        """Net GMV between edges, which are shares of the length."""
        cells: Floats = np.diff(self.at(edges))
        return cells


HOURS = (
    *(3.5, 2.5, 2.0, 1.7, 1.6, 1.8, 2.4, 3.4, 4.5, 5.6, 6.4, 6.6),
    *(6.6, 6.3, 6.2, 6.2, 6.1, 5.9, 6.0, 6.6, 7.4, 7.9, 7.2, 5.4),
)
"""Relative sales in each local hour: lowest at 4, peaks at noon and at 21 (5 times as high), typical for shops of
one time zone. A rough assumption, see `forecast.DAY_SHAPE_PRIOR`."""
_STEP_MINUTES = 10.0


def day_curve(length: float, hour_at: Callable[[float], float]) -> Curve:
    """Expected sales of a promotion of `length` minutes on an ordinary day.

    `hour_at`: local hour of the day (0 to 24, fractional) at a number of minutes after the start.
    """
    steps = max(96, int(length / _STEP_MINUTES))
    minutes = np.linspace(0.0, length, steps + 1)
    hours = np.array([hour_at(minute) for minute in (minutes[1:] + minutes[:-1]) / 2]) % 24.0
    middles = np.arange(24) + 0.5
    rates = np.interp(hours, middles, np.array(HOURS), period=24.0)
    return Curve.of(zip(minutes[1:].tolist(), np.cumsum(rates).tolist(), strict=True), length)


_NORMAL = NormalDist()


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of a t-distributed variable, for a probability between 0 and 1."""
    z = _NORMAL.inv_cdf(probability) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.copysign(math.sqrt(freedom * math.expm1(z * z / freedom)), z)


MEMORY = 1 / 6
"""Share of the promotion's length after which sales weigh 1/e of current ones."""
CELLS = 240
"""Number of steps that divide a promotion."""
INTERVAL_PROBABILITY = 0.8
"""The probability of the interval between `low` and `high`."""
_QUANTILES = 200
"""Number of normal distributions in the mixture."""
_SQRT_2 = math.sqrt(2)


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior for the variation of d between promotions."""

    deviation: float
    """Standard deviation of d at the start."""
    degrees_of_freedom: float
    """Weight of the prior in observed differences: degrees of freedom."""

    def variance(self, share: float) -> float:
        """Variance of d at an elapsed share. A part remains to the end: the last minutes have surprises of their
        own."""
        return self.deviation**2 * (LAST + (1 - LAST) * (1 - share))


EARLIER_PRIOR = Prior(0.22, 5.0)
"""Relative to comparable promotions: at the start, future sales usually differ by up to a quarter."""
DAY_SHAPE_PRIOR = Prior(0.9, 5.0)
"""Relative to the typical shape of a day: at the start, future sales may well be half or twice as much."""
LAST = 0.15
"""Share of the variance of d that remains at the end."""
FADE = 0.6
"""Decline of d relative to an ordinary day, at its start: the opening anticipates later sales. Assumed."""
DAY_SHAPE_FROM = 0.15
"""Below this elapsed share a promotion's own sales are not used."""


@dataclass(frozen=True)
class Forecast:
    """The distribution of the final net GMV, as a mixture of equally probable normal distributions."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def certain(cls, final: float) -> Forecast:
        """Of a promotion that has ended."""
        return cls((final,), (0.0,))

    @cached_property
    def expected(self) -> float:
        """The median. (A log-t distribution has no mean.)"""
        return self.quantile(0.5)

    @cached_property
    def low(self) -> float:
        """Lower end of the interval that contains the final net GMV with probability `INTERVAL_PROBABILITY`."""
        return self.quantile((1 - INTERVAL_PROBABILITY) / 2)

    @cached_property
    def high(self) -> float:
        """Upper end of that interval."""
        return self.quantile((1 + INTERVAL_PROBABILITY) / 2)

    def probability(self, target: float) -> float:
        """The probability of reaching a target."""
        parts = zip(self.means, self.deviations, strict=True)
        return sum(_normal_above(mean, deviation, target) for mean, deviation in parts) / len(self.means)

    def quantile(self, probability: float) -> float:
        """A quantile of the final net GMV, by bisection."""
        reach = 8 * max(self.deviations)
        low, high = min(self.means) - reach, max(self.means) + reach
        while high - low > max(0.5, 1e-6 * abs(high)):
            middle = (low + high) / 2
            if 1 - self.probability(middle) < probability:
                low = middle
            else:
                high = middle
        return (low + high) / 2


@dataclass(frozen=True, slots=True)
class EarlierPromotion:
    """An earlier promotion, from its start to its end."""

    promotion_id: str
    curve: Curve


@dataclass(frozen=True, slots=True)
class _SalesSoFar:
    """A promotion at an elapsed share."""

    lately: float
    """W."""
    lately_noise: float
    """Relative variance of W, over phi."""
    phi: float

    @classmethod
    def of(cls, curve: Curve, share: float) -> _SalesSoFar | None:
        """None if weighted net sales are not positive."""
        edges = np.linspace(0.0, share, max(12, math.ceil(CELLS * share)) + 1)
        sold = curve.sold(edges)
        weights = np.exp(((edges[1:] + edges[:-1]) / 2 - share) / MEMORY)
        lately = float((weights * sold).sum())
        phi = _phi(sold)
        if lately <= 0 or phi is None:
            return None
        return cls(lately, max(0.0, float((weights**2 * sold).sum())) / lately**2, phi)


@dataclass(frozen=True, slots=True)
class _Ratio:
    """Prior of d before this promotion's sales: Student's t."""

    mean: float
    variance: float
    """Square of the scale."""
    freedom: float

    @classmethod
    def pooled(cls, known: Sequence[tuple[float, float]], share: float) -> _Ratio:
        """From (d, its noise variance) of earlier promotions, at least one."""
        count = len(known)
        mean, noise = sum(d for d, _ in known) / count, sum(noise_variance for _, noise_variance in known) / count
        spread = max(0.0, sum((d - mean) ** 2 for d, _ in known) - (count - 1) * noise)
        freedom = EARLIER_PRIOR.degrees_of_freedom + count - 1
        tau2 = (EARLIER_PRIOR.degrees_of_freedom * EARLIER_PRIOR.variance(share) + spread) / freedom
        return cls(mean, tau2 * (1 + 1 / count) + noise / count, freedom)

    @classmethod
    def of_day(cls, day: Curve | None, share: float) -> _Ratio | None:
        """From the typical shape of a day; None without one, or too early."""
        ratio = None if day is None or share < DAY_SHAPE_FROM else _seen_ratio(day, share)
        if ratio is None:
            return None
        prior = DAY_SHAPE_PRIOR
        return cls(ratio[0] - FADE * (1 - share), prior.variance(share), prior.degrees_of_freedom)


def forecast(now: Curve, earlier: Sequence[EarlierPromotion], day: Curve | None = None) -> Forecast | None:
    """Forecast the final net GMV of a running promotion, minor units; None if unknown yet.

    `earlier`: promotions of any length, scaled to this one's. `day`: the typical shape of a day (`day_curve`), used
    without earlier ones, with far more uncertainty.
    """
    share = now.elapsed
    if share >= 1:
        return Forecast.certain(now.last)
    seen = _SalesSoFar.of(now, share)
    if seen is None:
        return None
    known = [
        ratio_of_earlier
        for promotion in earlier
        if (ratio_of_earlier := _seen_ratio(promotion.curve, share)) is not None
    ]
    ratio = _Ratio.pooled(known, share) if known else _Ratio.of_day(day, share)
    if ratio is None:
        return None
    scale = math.sqrt(ratio.variance + seen.phi * seen.lately_noise)
    rests = [
        seen.lately * math.exp(ratio.mean + scale * t_quantile((i + 0.5) / _QUANTILES, ratio.freedom))
        for i in range(_QUANTILES)
    ]
    return Forecast(tuple(now.last + rest for rest in rests), tuple(math.sqrt(seen.phi * rest) for rest in rests))


def _seen_ratio(whole: Curve, share: float) -> tuple[float, float] | None:
    """d of a complete curve at an elapsed share, and its noise variance; None if undefined."""
    seen, rest = _SalesSoFar.of(whole, share), whole.last - float(whole.at(np.array([share]))[0])
    if seen is None or rest <= 0:
        return None
    return math.log(rest / seen.lately), seen.phi / rest + seen.phi * seen.lately_noise


def _phi(sold: Floats) -> float | None:
    """Variance of sales over their mean; None without sales."""
    total = float((sold[1:] + sold[:-1]).sum())
    return float((np.diff(sold) ** 2).sum()) / total if total > 0 else None


def _normal_above(mean: float, deviation: float, bound: float) -> float:
    if deviation == 0:
        return 1.0 if mean >= bound else 0.0
    return 0.5 * math.erfc((bound - mean) / deviation / _SQRT_2)
