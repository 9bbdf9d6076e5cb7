"""The calibration script prints complete, plausible tables for a few shops."""

from __future__ import annotations

import pytest

from tests.tools.target_calibration import EARLIER, Case, brier, cases, reliability, report, shops


@pytest.fixture(scope="module")
def found() -> list[Case]:
    return [case for number, shop in enumerate(shops(5, seed=3)) for case in cases(shop, number)]


@pytest.mark.slow
def test_forecasts_beat_the_mean_and_intervals_have_their_coverage(found: list[Case]) -> None:
    for earlier in range(EARLIER + 1):
        mine = [case for case in found if case.earlier == earlier]
        score, blind = brier(mine)
        assert score < blind
        assert sum(case.within for case in mine) / len(mine) > 0.6
    assert any("| called |" in line for line in report(found))


@pytest.mark.slow
def test_results_depend_only_on_the_seed(found: list[Case]) -> None:
    again = [case for number, shop in enumerate(shops(1, seed=3)) for case in cases(shop, number)]
    assert again == found[: len(again)]


def test_predictions_are_grouped_by_tenths() -> None:
    one = Case(1, 0, 0.5, (0.81, 0.05, 1.0), (True, False, True), True, 0.0)
    other = Case(2, 0, 0.5, (0.89, 0.01, 0.85), (True, False, False), True, 0.0)
    assert reliability([one, other]) == [
        (pytest.approx(0.03), 0.0, 2, 2),
        (pytest.approx(0.85), pytest.approx(2 / 3), 3, 2),
        (1.0, 1.0, 1, 1),
    ]
    assert brier([Case(1, 0, 0.5, (0.5, 1.0), (True, False), True, 0.0)]) == (0.625, 0.25)
