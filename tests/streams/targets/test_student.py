"""Student's t distribution against numerical integration and its own inverse."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.targets.forecast import t_probability, t_quantile


def summed(t: float, freedom: float) -> float:
    """The probability by Simpson's rule over the density."""
    log_c = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2

    def density(x: float) -> float:
        return math.exp(log_c - (freedom + 1) / 2 * math.log1p(x * x / freedom))

    steps = 2_000
    width = t / steps
    inner = sum((4 if i % 2 else 2) * density(i * width) for i in range(1, steps))
    return 0.5 + width / 3 * (density(0) + inner + density(t))


@pytest.mark.parametrize("freedom", [3, 5, 6, 10, 40])
@pytest.mark.parametrize("t", [-4, -1.5, -0.3, 0, 0.7, 2, 6])
def test_the_probability_error_is_below_two_in_a_thousand(freedom: float, t: float) -> None:
    assert t_probability(t, freedom) == pytest.approx(summed(t, freedom), abs=0.002)


@given(st.floats(0.001, 0.999), st.floats(3, 50))
def test_the_quantile_inverts_the_probability(probability: float, freedom: float) -> None:
    assert t_probability(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-9)
