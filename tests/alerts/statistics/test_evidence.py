"""The sequential test: false alarms and detection delay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.statistics.arrays import Floats
from alerts.statistics.evidence import Evidence, information, sizes_of


def run(counts: Floats, mu: float, *, least_effect: float = 0.1, rise: bool = False, phi: float = 1.0) -> Floats:
    """Log evidence (step, series) of counts by second, with an expectation of `mu` in each."""
    evidence = Evidence()
    size = counts.shape[1]
    evidence.fit(size)
    sizes = sizes_of(least_effect, rise=rise)
    totals = []
    for i, y in enumerate(counts):
        evidence.step(
            y,
            np.full(size, mu),
            sizes=sizes,
            phi=np.full(size, phi),
            end_s=float(i + 1),
            dt_s=1.0,
            weighs=np.ones(size, np.bool_),
        )
        totals.append(evidence.total())
    return np.array(totals)


def first_s(totals: Floats, seconds: float) -> Floats:
    """When the evidence first reached `seconds`; infinite: never."""
    reached = totals >= math.log(seconds)
    return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)


@pytest.mark.parametrize("rise", [False, True])
def test_false_alarms_stay_within_the_budget_at_any_time(rise: bool) -> None:
    """With a mean time of at least A between false alarms, at most t / A of the series alarm before t."""
    rng = np.random.default_rng(11)
    counts = rng.poisson(5.0, (1000, 400)).astype(np.float64)
    alarmed = first_s(run(counts, 5.0, rise=rise), 2000.0) <= 1000
    assert alarmed.mean() <= 0.5


def test_an_improvement_causes_fewer_alarms() -> None:
    rng = np.random.default_rng(12)
    counts = rng.poisson(5.5, (1000, 200)).astype(np.float64)
    assert np.isfinite(first_s(run(counts, 5.0), 2000.0)).mean() <= 0.05


def test_over_dispersed_counts_are_corrected_by_their_dispersion() -> None:
    rng = np.random.default_rng(13)
    phi = 3.0
    counts = rng.negative_binomial(5 / (phi - 1), 1 / phi, (1000, 300)).astype(np.float64)
    blind = np.isfinite(first_s(run(counts, 5.0), 2000.0)).mean()
    corrected = np.isfinite(first_s(run(counts, 5.0, phi=phi), 2000.0)).mean()
    assert corrected <= 0.5 < blind


@pytest.mark.parametrize("kept", [0.8, 0.5, 0.0])
def test_the_delay_is_near_the_least_possible(kept: float) -> None:
    rng = np.random.default_rng(14)
    rate, seconds = 16.7, 864_000.0
    counts = rng.poisson(rate * kept, (400, 200)).astype(np.float64)
    delays = first_s(run(counts, rate), seconds)
    bound = math.log(seconds) / (rate * information(kept))
    assert np.median(delays) <= 1.35 * bound + 2


def test_the_start_of_the_change_is_estimated() -> None:
    rng = np.random.default_rng(15)
    evidence = Evidence()
    evidence.fit(1)
    for second in range(1, 401):
        y = rng.poisson(20 if second <= 340 else 12, 1).astype(np.float64)
        one = np.ones(1)
        evidence.step(
            y,
            20 * one,
            sizes=sizes_of(0.1, rise=False),
            phi=one,
            end_s=float(second),
            dt_s=1.0,
            weighs=one.astype(np.bool_),
        )
    since = float(evidence.since_s[0, evidence.best()[0]])
    assert since == pytest.approx(340, abs=8)
    assert evidence.seen[0, evidence.best()[0]] < 0.75 * evidence.expected[0, evidence.best()[0]]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.floats(0.1, 20))
def test_evidence_does_not_depend_on_the_step_length_without_events(counts: list[int], mu: float) -> None:
    """Looking does not wear the test out: what it says at a moment is a function of what was counted."""
    column = np.array(counts, np.float64)[:, None]
    both = run(np.repeat(column, 2, axis=1), mu)
    assert np.allclose(both[:, 0], both[:, 1])
    assert np.allclose(both[-1, 0], run(column, mu)[-1, 0])


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.5, 30))
def test_fewer_counts_are_more_evidence_of_a_drop(few: int, more: int, mu: float) -> None:
    few, more = sorted((few, more))
    totals = run(np.array([[few, more]], np.float64), mu)
    assert totals[0, 0] >= totals[0, 1] - 1e-9


def test_series_without_weight_are_unchanged() -> None:
    evidence = Evidence()
    evidence.fit(2)
    weighs = np.array([True, False])
    two = np.ones(2)
    evidence.step(0 * two, 9 * two, sizes=sizes_of(0.1, rise=False), phi=two, end_s=1.0, dt_s=1.0, weighs=weighs)
    assert evidence.total()[0] > 0
    assert evidence.total()[1] == -np.inf
