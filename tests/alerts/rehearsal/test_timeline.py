"""The timeline of a sale has each event in its minute."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pytest

from alerts.detection.panes import CellPanes
from alerts.detection.series import WHOLE_SHOP
from alerts.rehearsal.pace import pace
from alerts.rehearsal.play import RehearsalResult
from alerts.rehearsal.report import report
from alerts.rehearsal.timeline import SaleTimeline
from alerts.rules.rule import Rules
from streams.panes.cells import Cells, cell_keys
from streams.panes.counters import COUNTER_IDS

START_MIN = 29_379_600
START_S = START_MIN * 60


def ordered(start_s: int, end_s: int, seconds: Iterable[int]) -> CellPanes:
    """A range with an order in each of these seconds, counted from the start of the sale."""
    at = np.array(list(seconds), np.int64) + START_S
    keys = cell_keys(at, np.zeros_like(at), np.full_like(at, COUNTER_IDS["orders_created"]))
    return CellPanes(START_S + start_s, START_S + end_s, [WHOLE_SHOP], Cells(keys, np.ones(len(at), np.int64)))


def test_each_event_is_in_its_own_minute_however_long_a_stretch_is() -> None:
    course = SaleTimeline()
    course.take(ordered(0, 150, range(0, 150, 10)))
    course.take(ordered(150, 3600, [170, 3599]))
    assert dict(course.by_minute["orders_created"]) == {
        START_MIN: 6,
        START_MIN + 1: 6,
        START_MIN + 2: 4,
        START_MIN + 59: 1,
    }
    assert course.minutes == range(START_MIN, START_MIN + 60)


def test_a_point_is_the_mean_of_its_minutes() -> None:
    course = SaleTimeline()
    course.take(ordered(0, 420, [0, 61, 62, 63, 300]))
    assert course.step(most=7) == 1
    assert course.step(most=3) == 3
    assert course.points("orders_created", 3) == [
        (START_MIN + 1.5, pytest.approx(4 / 3)),
        (START_MIN + 4.5, pytest.approx(1 / 3)),
        (START_MIN + 6.5, 0),
    ]


@pytest.mark.parametrize(("minutes", "step"), [(90, 1), (5000, 3)])
def test_the_chart_describes_its_points(minutes: int, step: int) -> None:
    course = SaleTimeline()
    course.take(ordered(0, 60 * minutes, range(60, 60 * minutes, 120)))  # in every other minute
    html = report(Rules(rules=()), RehearsalResult(), None, course, pace(0)).html()
    *_, drawn = re.findall(r'points="([^"]*)"', html)
    assert len(drawn.split()) == -(-minutes // step)
    assert ("each point the mean of 3 minutes" in html) == (step == 3)
