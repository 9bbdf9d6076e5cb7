"""The final net GMV of a promotion as a distribution.

What is still to come, R, is what was sold lately, W, times a ratio that depends on how much of the promotion is over:

    R = W * exp(d),    W = sum of sales, each weighted by exp(-age / MEMORY)

d comes from earlier promotions, whose R and W at the same moment of their own clock are known; without any, from the
usual shape of a day. d differs from promotion to promotion by a standard deviation tau, which shrinks with the root of
the time that is left, as that of a sum of independent surprises does. A prior guess of tau and the spread of the
earlier ones are pooled (conjugate normal model with unknown variance: Gelman et al., Bayesian Data Analysis, 3.2 and
3.3; hence Student's t). On top of that, sales come in single orders of different size: over any stretch that sells x on
average they have the variance phi * x (quasi-Poisson: McCullagh and Nelder, Generalized Linear Models, 6.2; of compound
Poisson sales phi is the mean square order over the mean order). phi is measured on successive differences (von Neumann
1941), which trends hardly touch.

As time goes on R shrinks, and all uncertainty with it: it is of R alone, what was sold is certain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from streams.targets.curve import Curve, Floats

_NORMAL = NormalDist()


def t_probability(t: float, freedom: float) -> float:
    """The probability that a t-distributed number is less than `t`."""
    shrink = (8 * freedom + 1) / (8 * freedom + 3)
    return _NORMAL.cdf(math.copysign(shrink * math.sqrt(freedom * math.log1p(t * t / freedom)), t))


def t_quantile(probability: float, freedom: float) -> float:
    """The number that a t-distributed one is less than with this probability, between 0 and 1."""
    z = _NORMAL.inv_cdf(probability) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.copysign(math.sqrt(freedom * math.expm1(z * z / freedom)), z)


MEMORY = 1 / 6
"""As a share of the promotion's length: what was sold so long ago weighs 1/e of what was sold just now."""
CELLS = 240
"""Steps that a whole promotion is looked at in."""
INTERVAL_PROBABILITY = 0.8
"""The probability of the interval between `low` and `high`."""
_QUANTILES = 200
_SQRT_2 = math.sqrt(2)


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed of how much d differs from promotion to promotion."""

    deviation: float
    """Standard deviation of d when the promotion begins."""
    degrees_of_freedom: float
    """So many observed differences the guess is worth: degrees of freedom."""

    def variance(self, share: float) -> float:
        """Of d when a share of the time is over. Some never goes: the last minutes have surprises of their own."""
        return self.deviation**2 * (LAST + (1 - LAST) * (1 - share))


EARLIER_PRIOR = Prior(0.22, 5.0)
"""Against promotions that people call comparable: a quarter more or less still to come, at the start, is usual."""
DAY_SHAPE_PRIOR = Prior(0.9, 5.0)
"""Against the usual shape of a day: twice or half as much still to come, at the start, is usual."""
LAST = 0.15
"""The share of the variance of d that is left at the end."""
FADE = 0.6
"""How much of d it loses against a usual day, at its start: what the opening drew is missing later. Assumed."""
DAY_SHAPE_FROM = 0.15
"""Before so much of a promotion is over its own shape says nothing."""


@dataclass(frozen=True)
class Forecast:
    """The distribution of the final net GMV, as a mixture of equally probable normal ones."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def certain(cls, final: float) -> Forecast:
        """Of a promotion that has ended."""
        return cls((final,), (0.0,))

    @cached_property
    def expected(self) -> float:
        """The median: as likely more as less. (The mean of a log-t distribution does not exist.)"""
        return self.quantile(0.5)

    @cached_property
    def low(self) -> float:
        """With `high`: the interval that holds the final net GMV with probability `INTERVAL_PROBABILITY`."""
        return self.quantile((1 - INTERVAL_PROBABILITY) / 2)

    @cached_property
    def high(self) -> float:
        return self.quantile((1 + INTERVAL_PROBABILITY) / 2)

    def probability(self, target: float) -> float:
        """Of reaching a target."""
        parts = zip(self.means, self.deviations, strict=True)
        return sum(_normal_above(mean, deviation, target) for mean, deviation in parts) / len(self.means)

    def quantile(self, probability: float) -> float:
        """What the final net GMV is less than with this probability, found by halving."""
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
    """A promotion when a share of it is over."""

    lately: float
    """W."""
    lately_noise: float
    """Relative variance of W, over phi."""
    phi: float

    @classmethod
    def of(cls, curve: Curve, share: float) -> _SalesSoFar | None:
        """None where hardly anything was sold."""
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
    """What is known of d before anything of this promotion is looked at: Student's t."""

    mean: float
    variance: float
    """Square of the scale."""
    freedom: float

    @classmethod
    def pooled(cls, known: Sequence[tuple[float, float]], share: float) -> _Ratio:
        """From (d, its noise variance) of earlier promotions, at least one."""
        many = len(known)
        mean, noise = sum(d for d, _ in known) / many, sum(one for _, one in known) / many
        spread = max(0.0, sum((d - mean) ** 2 for d, _ in known) - (many - 1) * noise)
        freedom = EARLIER_PRIOR.degrees_of_freedom + many - 1
        tau2 = (EARLIER_PRIOR.degrees_of_freedom * EARLIER_PRIOR.variance(share) + spread) / freedom
        return cls(mean, tau2 * (1 + 1 / many) + noise / many, freedom)

    @classmethod
    def of_day(cls, day: Curve | None, share: float) -> _Ratio | None:
        """From the usual shape of a day; None without one, and too early."""
        found = None if day is None or share < DAY_SHAPE_FROM else _seen_ratio(day, share)
        return (
            None
            if found is None
            else cls(found[0] - FADE * (1 - share), DAY_SHAPE_PRIOR.variance(share), DAY_SHAPE_PRIOR.degrees_of_freedom)
        )


def forecast(now: Curve, earlier: Sequence[EarlierPromotion], day: Curve | None = None) -> Forecast | None:
    """Where a promotion that is under way will end, minor units. None where nothing can be said yet.

    `earlier`: promotions to go by, of any length; their clocks are scaled to this one's. `day`: the shape of a usual
    day (`day_curve`), for when there is none of them; the answer is uncertain by much then.
    """
    share = now.elapsed
    if share >= 1:
        return Forecast.certain(now.last)
    seen = _SalesSoFar.of(now, share)
    if seen is None:
        return None
    known = [found for whole in earlier if (found := _seen_ratio(whole.curve, share)) is not None]
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
    """d of a whole curve when a share of it was over, and its noise variance; None where that cannot be said."""
    seen, rest = _SalesSoFar.of(whole, share), whole.last - float(whole.at(np.array([share]))[0])
    if seen is None or rest <= 0:
        return None
    return math.log(rest / seen.lately), seen.phi / rest + seen.phi * seen.lately_noise


def _phi(sold: Floats) -> float | None:
    """Variance of sales over their mean; None where there are no sales."""
    total = float((sold[1:] + sold[:-1]).sum())
    return float((np.diff(sold) ** 2).sum()) / total if total > 0 else None


def _normal_above(mean: float, deviation: float, bound: float) -> float:
    if deviation == 0:
        return 1.0 if mean >= bound else 0.0
    return 0.5 * math.erfc((bound - mean) / deviation / _SQRT_2)
