"""Bounds and intervals against numbers that are known."""

from __future__ import annotations

import math

import pytest

from alerts.rehearsal.bounds import bernoulli_bound_s, poisson_bound_s, poisson_interval


def test_a_fall_of_a_fifth_at_1000_orders_a_minute_takes_40_s_by_counts_and_10_s_by_rates() -> None:
    assert poisson_bound_s(1000 / 60, 0.8) == pytest.approx(40, abs=1)
    assert bernoulli_bound_s(1000 / 60 / 0.8, 0.8, 0.64) == pytest.approx(10, abs=0.2)


def test_rare_trials_are_counts() -> None:
    assert bernoulli_bound_s(1e6, 1e-5, 0.8e-5) == pytest.approx(poisson_bound_s(10, 0.8), rel=1e-3)


def test_a_stop_is_one_nat_an_expected_event() -> None:
    assert poisson_bound_s(2.0, 0.0) == pytest.approx(math.log(86_400 / 0.05) / 2)
    assert bernoulli_bound_s(2.0, 0.5, 0.0) == pytest.approx(math.log(86_400 / 0.05) / (2 * math.log(2)))


def test_what_does_not_change_is_never_detected() -> None:
    assert poisson_bound_s(10.0, 1.0) == math.inf


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.364, 121.627)]
)
def test_the_interval_of_a_poisson_rate_is_the_exact_one(count: int, low: float, high: float) -> None:
    assert poisson_interval(count, 1.0) == pytest.approx((low, high), rel=1e-3)
