"""Thresholds, changes, silences, budgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.statistics.evidence import false_alarms_per_day
from alerts.statistics.limits import BUCKET_S, WeeklyHistory, breached_with_hysteresis, changed, usual
from alerts.statistics.silence import SilenceState


def test_a_value_near_its_limit_does_not_flap() -> None:
    was = np.zeros(1, np.bool_)
    breached = []
    for value in (9.0, 11.0, 9.5, 10.5, 8.0, 7.9, 9.5):
        was = breached_with_hysteresis(np.array([value]), was, limit=10, clear=8, above=True)
        breached.append(bool(was[0]))
    assert breached == [False, True, True, True, False, False, False]


@given(st.lists(st.floats(-100, 100), min_size=1), st.booleans())
def test_without_a_value_the_condition_is_unchanged(values: list[float], wrong: bool) -> None:
    was = np.full(len(values), wrong)
    assert (breached_with_hysteresis(np.full(len(values), np.nan), was, limit=1, clear=0, above=True) == was).all()


def test_an_unknown_outage_does_not_change_the_usual_value() -> None:
    past = np.array([[100.0], [102], [98], [0], [101], [99]])
    found = usual(past)
    assert found.middle[0] == pytest.approx(99.5)
    assert found.spread[0] < 4


def test_a_change_must_be_large_and_unusual() -> None:
    quiet, noisy = np.array([100.0, 100, 101, 99, 100, 100]), np.array([100.0, 40, 160, 90, 130, 60])
    baseline = usual(np.stack((quiet, noisy), axis=1))
    drop = changed(np.array([70.0, 70.0]), baseline, np.zeros(2, np.bool_), by=0.2, clear_by=0.1, spreads=3, rise=False)
    assert drop.tolist() == [True, False]


def test_without_a_baseline_nothing_has_changed() -> None:
    baseline = usual(np.full((3, 1), np.nan))
    assert not changed(np.ones(1), baseline, np.zeros(1, np.bool_), by=0.2, clear_by=0.1, spreads=3, rise=True)[0]


@given(st.floats(0.001, 10), st.integers(0, 500), st.booleans())
def test_shares_of_the_budget_do_not_exceed_it(per_day: float, children: int, parent: bool) -> None:
    is_parent = np.array([True] * parent + [False] * children, np.bool_)
    assert false_alarms_per_day(per_day, is_parent).sum() <= per_day * 1.000001


def heard(counts: list[float], dt_s: float = 1.0) -> SilenceState:
    silences = SilenceState()
    silences.fit(1)
    for count in counts:
        silences.step(np.array([count]), dt_s)
    return silences


def test_a_busy_series_that_stops_is_silent_within_seconds() -> None:
    silences = heard([16.0] * 300)
    assert not silences.silent(after_s=5, least_expected=30)[0]
    for second in range(1, 7):
        silences.step(np.zeros(1), 1.0)
        assert silences.silent(after_s=5, least_expected=30)[0] == (second >= 5)
    silences.step(np.array([12.0]), 1.0)
    assert not silences.silent(after_s=5, least_expected=30)[0]


def test_a_slow_series_needs_a_longer_silence() -> None:
    silences = heard(([1.0] + [0.0] * 59) * 60)
    for _ in range(10 * 60):
        silences.step(np.zeros(1), 1.0)
    assert not silences.silent(after_s=5, least_expected=30)[0], "ten missed events may be chance"
    for _ in range(40 * 60):
        silences.step(np.zeros(1), 1.0)
    assert silences.silent(after_s=5, least_expected=30)[0]


def test_a_bursty_series_is_not_silent_between_bursts() -> None:
    silences = heard(([600.0] + [0.0] * 59) * 30)
    for _ in range(90):
        silences.step(np.zeros(1), 1.0)
        assert not silences.silent(after_s=5, least_expected=30)[0]


def test_a_series_without_any_event_is_not_silent() -> None:
    assert not heard([0.0] * 500).silent(after_s=5, least_expected=30)[0]


WEEK_MS = 7 * 86_400_000
ONE = np.array([0])


def remembered(*numbers: tuple[int, float]) -> WeeklyHistory:
    """(time, value) of one series."""
    weeks = WeeklyHistory()
    weeks.fit(1)
    for at_ms, number in numbers:
        weeks.remember(ONE, np.array([number]), at_ms)
    return weeks


def usual_now(weeks: WeeklyHistory) -> float:
    return float(weeks.usual(ONE)[0])


def test_the_usual_value_is_the_median_of_the_same_hours_of_four_weeks() -> None:
    same = [(week * WEEK_MS, number) for week, number in enumerate((0.9, 0.1, 0.5, 0.6, 0.7))]
    other = [(at_ms + 1000 * BUCKET_S, 0.0) for at_ms, _ in same]
    weeks = remembered(*sorted([*same, *other, (5 * WEEK_MS, 0.2)]))
    assert usual_now(weeks) == 0.55, "of weeks 1 to 4; neither the hours after, nor now, nor what is older count"


def test_one_outlier_week_changes_little_and_two_weeks_are_too_few() -> None:
    assert usual_now(remembered((0, 0.7), (WEEK_MS, 0.0), (2 * WEEK_MS, 0.7), (3 * WEEK_MS, 0.0))) == 0.7
    assert np.isnan(usual_now(remembered((0, 0.7), (WEEK_MS, 0.7), (2 * WEEK_MS, 0.7))))
    gap = remembered((0, 0.7), (WEEK_MS, np.nan), (2 * WEEK_MS, 0.5), (3 * WEEK_MS, 0.6), (4 * WEEK_MS, np.nan))
    assert usual_now(gap) == 0.6, "a week without a number is left out"


def test_after_a_month_without_values_the_history_is_empty() -> None:
    weeks = remembered(*((week * WEEK_MS, 0.7) for week in range(5)))
    weeks.remember(ONE, np.array([0.7]), 10 * WEEK_MS)
    assert np.isnan(usual_now(weeks))


def test_a_new_series_has_no_usual_value() -> None:
    weeks = remembered(*((week * WEEK_MS, 0.7) for week in range(4)))
    weeks.fit(2)
    assert np.isnan(weeks.usual(np.array([1]))[0])
