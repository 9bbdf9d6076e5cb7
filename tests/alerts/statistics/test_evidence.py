"""The scan of windows: false alarms, delay, dispersion and onset."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rehearsal.bounds import poisson_bound_s
from alerts.statistics.arrays import Floats
from alerts.statistics.evidence import Evidence, half_deviance, log_threshold

RATE = 16.7


def started(size: int) -> Evidence:
    evidence = Evidence.of(2)
    evidence.fit(size)
    return evidence


def run(
    counts: Floats, mu: float = RATE, *, learns: bool = True, level: float = 0.05, evidence: Evidence | None = None
) -> tuple[Evidence, Floats]:
    """(evidence, the most evidence over its threshold by second and series): a drop of counts by second."""
    size = counts.shape[1]
    evidence = evidence or started(size)
    one, found, began = np.ones(size), [], 0
    if np.isfinite(evidence.marks_s).any():
        began = round(float(evidence.marks_s.max())) + 1
    for second, y in enumerate(counts, began + 1):
        evidence.step(np.stack((y, mu * one), axis=1), end_s=second, dt_s=1.0)
        lengths = evidence.lengths(1.0)
        over, _, _ = evidence.scan(lengths, 1e9 * one, rise=False, end_s=second)
        found.append((over - log_threshold(np.full(size, 0.05), lengths)).max(axis=1))
        if learns:
            evidence.learn(one > 0, level=level * one, rise=False, end_s=second, dt_s=1.0)
    return evidence, np.array(found)


def test_false_alarms_keep_the_budget() -> None:
    """40 series of 50 min are 1.4 days of a budget of 0.05 a day."""
    rng = np.random.default_rng(11)
    _, over = run(rng.poisson(RATE, (3000, 40)).astype(np.float64))
    assert not (over >= 0).any()


def test_over_dispersed_counts_are_learned() -> None:
    """Minutes that wander by 10 %: each length learns its own dispersion; Poisson's would alarm in all series. While it
    is learned, more alarm than the budget allows: 4 of 40 in the second hour."""
    rng = np.random.default_rng(12)
    walk = np.repeat(1 + 0.1 * rng.standard_normal((120, 40)), 60, axis=0)
    evidence, over = run(rng.poisson(RATE * np.maximum(walk, 0.1)).astype(np.float64))
    dispersion = np.median(evidence.dispersion, axis=0)
    assert dispersion[0] == pytest.approx(1.15, abs=0.2)
    assert dispersion[6] > 5
    assert int((over[3600:] >= 0).any(axis=0).sum()) <= 4


def test_a_thinning_has_less_dispersion_than_poisson() -> None:
    rng = np.random.default_rng(13)
    counts = rng.binomial(21, 0.8, (2000, 10)).astype(np.float64)
    evidence, _ = run(counts, 16.8, level=0.8)
    assert np.median(evidence.dispersion[:, 3]) == pytest.approx(0.22, abs=0.08)
    assert (evidence.dispersion > 0.199).all()


def test_counts_above_the_level_hide_no_dispersion() -> None:
    """Counts that are 3 % above their level vary as others do; only half as much of it is below the level."""
    rng = np.random.default_rng(16)
    evidence, _ = run(rng.poisson(1.03 * RATE * 10, (2000, 10)).astype(np.float64), mu=RATE * 10)
    assert (np.median(evidence.dispersion, axis=0)[6:] > 0.9).all()


def test_rises_teach_how_far_a_level_wanders() -> None:
    """A level that has only risen, by 2 % in each window of 512 s, may fall as fast."""
    rng = np.random.default_rng(17)
    mean = 20 * RATE * 1.02 ** np.arange(0, 8)
    evidence, _ = run(rng.poisson(np.repeat(mean, 512)[:, None], (4096, 2)).astype(np.float64), mu=20 * RATE)
    assert np.median(evidence.dispersion[:, 9]) > 20


def test_windows_that_were_not_seen_yet_have_the_dispersion_of_longer_ones() -> None:
    """Counts in groups of 20 s, evaluated in steps of 10 s, as a backlog, and then of 1 s."""
    rng = np.random.default_rng(16)
    grouped = np.repeat(rng.gamma(40, 0.025, (240, 20)), 20, axis=0)
    counts = rng.poisson(40 * grouped).astype(np.float64)
    evidence, one = started(20), np.ones(20)
    for end_s in range(10, 3601, 10):
        evidence.step(np.stack((counts[end_s - 10 : end_s].sum(axis=0), 400 * one), axis=1), end_s=end_s, dt_s=10.0)
        evidence.learn(one > 0, level=one, rise=False, end_s=end_s, dt_s=10.0)
    assert (evidence.dispersion[:, :3] >= np.maximum(evidence.dispersion[:, 3:4], 1.0)).all()
    _, over = run(counts[3600:4200], 40.0, level=1.0, evidence=evidence)
    assert not (over[:200] >= 0).any()
    assert (evidence.dispersion[:, 0] < 0.7 * evidence.dispersion[:, 3]).all(), "then each has its own"


@pytest.mark.parametrize(("kept", "most"), [(0.8, 1.6), (0.5, 1.6), (0.0, 2.0)])
def test_the_delay_is_near_the_bound(kept: float, most: float) -> None:
    """Lorden's for a Poisson count."""
    rng = np.random.default_rng(14)
    evidence, _ = run(rng.poisson(RATE, (1500, 30)).astype(np.float64))
    _, over = run(rng.poisson(RATE * kept, (200, 30)).astype(np.float64), learns=False, evidence=evidence)
    reached = over >= 0
    delays = np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)
    assert np.median(delays) <= most * poisson_bound_s(RATE, kept) + 2


def test_the_start_of_the_change_is_estimated() -> None:
    rng = np.random.default_rng(15)
    calm, struck = rng.poisson(RATE, (1200, 20)), rng.poisson(0.5 * RATE, (30, 20))
    evidence, _ = run(np.concatenate((calm, struck)).astype(np.float64))
    since_s, sums = evidence.onset(np.arange(20), rise=False)
    assert np.median(np.abs(since_s - 1200)) <= 8
    assert np.median(sums[:, 0] / sums[:, 1]) == pytest.approx(0.5, abs=0.12)


def test_reset_evidence_starts_again() -> None:
    evidence, over = run(np.zeros((20, 2)), learns=False)
    assert (over[-1] > 0).all()
    evidence.reset(np.array([True, False]), 20.0)
    one = np.ones(2)
    evidence.step(np.stack((0 * one, 5 * one), axis=1), end_s=21.0, dt_s=1.0)
    found, y, mu = evidence.scan(np.array([4]), 1e9 * one, rise=False, end_s=21.0)
    assert (y[0], mu[0]) == (0, 5)
    assert found[0] < found[1]


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.5, 50), st.floats(0.15, 4))
def test_fewer_counts_are_more_evidence_of_a_drop(few: int, more: int, mu: float, dispersion: float) -> None:
    few, more = sorted((min(few, int(mu)), min(more, int(mu))))
    found = half_deviance(np.array([few, more], np.float64), np.full(2, mu), np.full(2, dispersion))
    assert found[0] >= found[1] - 1e-9
    assert found[1] >= -1e-9


def test_half_the_deviance_of_a_thinning_is_binomial() -> None:
    found = float(half_deviance(np.array([64.0]), np.array([80.0]), np.array([0.2]))[0])
    assert found == pytest.approx(100 * (0.64 * math.log(0.8) + 0.36 * math.log(1.8)))
