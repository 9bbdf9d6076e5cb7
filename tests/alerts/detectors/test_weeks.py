"""Usual values by time of the week."""

from __future__ import annotations

import numpy as np

from alerts.detectors.weeks import BUCKET_S, WeeklyHistory

WEEK_MS = 7 * 86_400_000
ONE = np.array([0])


def remembered(*numbers: tuple[int, float]) -> WeeklyHistory:
    """(time, value) of one series."""
    weeks = WeeklyHistory()
    weeks.fit(1)
    for at_ms, number in numbers:
        weeks.remember(ONE, np.array([number]), at_ms)
    return weeks


def usual(weeks: WeeklyHistory) -> float:
    return float(weeks.usual(ONE)[0])


def test_the_usual_value_is_the_median_of_the_same_hours_of_four_weeks() -> None:
    same = [(week * WEEK_MS, number) for week, number in enumerate((0.9, 0.1, 0.5, 0.6, 0.7))]
    other = [(at_ms + 1000 * BUCKET_S, 0.0) for at_ms, _ in same]
    weeks = remembered(*sorted([*same, *other, (5 * WEEK_MS, 0.2)]))
    assert usual(weeks) == 0.55, "of weeks 1 to 4; neither the hours after, nor now, nor what is older count"


def test_one_outlier_week_changes_little_and_two_weeks_are_too_few() -> None:
    assert usual(remembered((0, 0.7), (WEEK_MS, 0.0), (2 * WEEK_MS, 0.7), (3 * WEEK_MS, 0.0))) == 0.7
    assert np.isnan(usual(remembered((0, 0.7), (WEEK_MS, 0.7), (2 * WEEK_MS, 0.7))))
    gap = remembered((0, 0.7), (WEEK_MS, np.nan), (2 * WEEK_MS, 0.5), (3 * WEEK_MS, 0.6), (4 * WEEK_MS, np.nan))
    assert usual(gap) == 0.6, "a week without a number is left out"


def test_after_a_month_without_values_the_history_is_empty() -> None:
    weeks = remembered(*((week * WEEK_MS, 0.7) for week in range(5)))
    weeks.remember(ONE, np.array([0.7]), 10 * WEEK_MS)
    assert np.isnan(usual(weeks))


def test_a_new_series_has_no_usual_value() -> None:
    weeks = remembered(*((week * WEEK_MS, 0.7) for week in range(4)))
    weeks.fit(2)
    assert np.isnan(weeks.usual(np.array([1]))[0])
