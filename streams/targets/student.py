"""Student's t distribution, near enough, in closed form.

Wallace, D. L. (1959), Bounds on normal approximations to Student's and the chi-square distributions, Annals of
Mathematical Statistics 30: t with n degrees of freedom is to z = (8n + 1) / (8n + 3) * sqrt(n ln(1 + t^2 / n)) as the
normal distribution is to z. From 3 degrees of freedom on, the probability is off by less than 0.002.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def t_probability(t: float, freedom: float) -> float:
    """The probability that a t-distributed number is less than `t`."""
    shrink = (8 * freedom + 1) / (8 * freedom + 3)
    return _NORMAL.cdf(math.copysign(shrink * math.sqrt(freedom * math.log1p(t * t / freedom)), t))


def t_quantile(probability: float, freedom: float) -> float:
    """The number that a t-distributed one is less than with this probability, between 0 and 1."""
    z = _NORMAL.inv_cdf(probability) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.copysign(math.sqrt(freedom * math.expm1(z * z / freedom)), z)
