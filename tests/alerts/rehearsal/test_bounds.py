"""Bounds and intervals against numbers that are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from alerts.rehearsal.bounds import (
    bernoulli_bound_s,
    delayed_bound_s,
    delayed_dispersion,
    poisson_bound_s,
    poisson_interval,
)


def test_a_fall_of_a_fifth_at_1000_orders_a_minute_takes_40_s_by_counts_and_10_s_by_rates() -> None:
    assert poisson_bound_s(1000 / 60, 0.8) == pytest.approx(40, abs=1)
    assert bernoulli_bound_s(1000 / 60 / 0.8, 0.8, 0.64) == pytest.approx(10, abs=0.2)


def test_a_rate_whose_successes_come_later_is_a_count_at_first() -> None:
    trials, before, after = 1000 / 60 / 0.8, 0.8, 0.64
    at_once, count_s = bernoulli_bound_s(trials, before, after), poisson_bound_s(1000 / 60, 0.8)
    assert delayed_bound_s(trials, before, after, np.zeros(100)) == at_once
    assert delayed_bound_s(trials, before, after, np.full(100, 500.0)) == at_once, "the same delay for all"
    long_s = np.linspace(0, 1700, 5000)
    assert delayed_bound_s(trials, before, after, long_s) == pytest.approx(count_s, abs=2)
    delays_s = np.random.default_rng(1).exponential(10.0, 5000)
    assert at_once < delayed_bound_s(trials, before, after, delays_s) < count_s


@pytest.mark.parametrize("delay_s", [0.0, 500.0])
def test_a_bound_below_a_second_is_known_where_all_have_one_delay(delay_s: float) -> None:
    trials = 5000 / 60 / 0.8
    assert delayed_bound_s(trials, 0.8, 0.16, np.full(100, delay_s)) == bernoulli_bound_s(trials, 0.8, 0.16)
    assert delayed_dispersion(0.8, np.full(100, delay_s), 0.1) == pytest.approx(0.2)


def test_without_delays_or_a_change_the_bound_is_bernoullis() -> None:
    assert delayed_bound_s(20.0, 0.8, 0.64, np.zeros(0)) == bernoulli_bound_s(20.0, 0.8, 0.64)
    assert delayed_bound_s(20.0, 0.8, 0.8, np.ones(9)) == math.inf


def test_the_spread_of_delayed_counts_is_the_one_of_simulated_ones() -> None:
    rng = np.random.default_rng(1)
    delays_s = rng.exponential(10.0, 5000)
    trials_at = np.sort(rng.random(500 * 400)) * 400
    counts = []  # for the same trials each time
    for _ in range(300):
        at = trials_at + rng.choice(delays_s, len(trials_at))
        works = rng.random(len(trials_at)) < 0.8
        counts.append(int((works & (at >= 300) & (at < 315)).sum()))
    assert np.var(counts) / np.mean(counts) == pytest.approx(delayed_dispersion(0.8, np.sort(delays_s), 15.0), rel=0.2)


def test_the_bounds_in_the_docs_are_the_computed_ones() -> None:
    """Of falls by 10 %, 20 %, 40 % and 80 %: the delays are exponential."""
    docs = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
    delays_s = -10 * np.log1p(-(np.arange(5000) + 0.5) / 5000)
    for rate in (200, 1000, 5000):
        cells = []
        for kept in (0.9, 0.8, 0.6, 0.2):
            trials = rate / 60 / 0.8
            bounds_s = (
                bernoulli_bound_s(trials, 0.8, 0.8 * kept),
                delayed_bound_s(trials, 0.8, 0.8 * kept, delays_s),
                poisson_bound_s(rate / 60, kept),
            )
            cells.append(" / ".join(f"{bound_s:.3g}" for bound_s in bounds_s))
        assert f"| {rate:,} | {' | '.join(cells)} |" in docs


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
