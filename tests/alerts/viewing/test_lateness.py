"""The lateness of producers."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from alerts.detection.panes import CellPanes, ScopeValue
from alerts.findings import Labels
from alerts.rules.detect import HealthCheck
from alerts.viewing.arrivals import LATE_S, MOST_LATE_S, ArrivalReader, span_to_read
from alerts.viewing.lateness import RecentLateness
from consumers.topics import Topic
from streams.model.windows import Span
from streams.panes.cells import Cells, merge_cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys
from tests.alerts.viewing.test_arrivals import ALL, START_S

LABELS: tuple[ScopeValue, ...] = (ALL, ("source", "orders/oms-1"), ("source", "orders/oms-2"), ("source", "clicks/web"))


def cell(second: int, row: int, amount: int, counter: str = "orders_created") -> Cells:
    keys = pane_keys(np.array([second]), np.array([row]), np.int64(COUNTER_IDS[counter]))
    return Cells(keys, np.array([amount]))


def readings(
    arrivals: list[tuple[int, int, int, str]], seconds: int = 120, not_in_as_of: Collection[Topic] = ()
) -> dict[Labels, float]:
    """Readings after this number of seconds with these arrivals in each: (row, seconds late, number, counter)."""
    lateness = RecentLateness(not_in_as_of)
    for second in range(START_S, START_S + seconds):
        arrived = [cell(second - late_s, row, amount, counter) for row, late_s, amount, counter in arrivals]
        lateness.take(CellPanes(second, second + 1, LABELS, arrived=merge_cells(arrived)))
    found = list(lateness.readings())
    assert all(reading.name is HealthCheck.SOURCE_LATE for reading in found)
    return {reading.labels: reading.value for reading in found}


CREATED, VIEWED = "orders_created", "page_views"


def test_a_late_producer_is_named_with_its_lateness() -> None:
    punctual = [(0, 0, 5, CREATED), (2, 0, 5, CREATED), (0, 0, 9, VIEWED), (3, 0, 9, VIEWED)]
    late = [(0, 40, 5, CREATED), (1, 40, 5, CREATED)]
    assert readings(punctual) == {}
    assert readings(punctual + late) == {
        (("source", "oms-1"), ("topic", "orders")): pytest.approx(42, abs=1),
    }, "events wait 2 s for their second to be complete"


def test_late_events_without_a_source_are_those_of_their_topic() -> None:
    half = [(0, 0, 5, CREATED), (0, 40, 5, CREATED), (0, 0, 9, VIEWED)]
    assert readings(half) == {(("topic", "orders"),): pytest.approx(42, abs=1)}


def test_a_topic_that_is_excluded_from_the_as_of_is_expected_to_be_late() -> None:
    late = [(0, 40, 5, CREATED)]
    assert list(readings(late)) == [(("topic", "orders"),)]
    assert readings(late, not_in_as_of=(Topic.ORDERS,)) == {}


def test_stragglers_are_no_late_producer() -> None:
    assert readings([(0, 0, 90, VIEWED), (3, 0, 90, VIEWED), (0, 30, 9, VIEWED), (3, 30, 9, VIEWED)]) == {}
    assert readings([(0, 40, 5, CREATED), (1, 40, 5, CREATED)], seconds=1) == {}, "too few"


def test_a_reading_ends_soon_after_the_lateness() -> None:
    lateness = RecentLateness()
    for second in range(START_S, START_S + 600):
        late_s = 40 if second < START_S + 300 else 0
        arrived = merge_cells([cell(second - late_s, row, 5) for row in (0, 1)])
        lateness.take(CellPanes(second, second + 1, LABELS, arrived=arrived))
        if second == START_S + 299:
            assert list(lateness.readings())
    assert not list(lateness.readings())


def test_a_reading_ends_also_if_nothing_arrives() -> None:
    lateness = RecentLateness()
    for second in range(START_S, START_S + 1200):
        arrived = cell(second - 40, 0, 5) if second < START_S + 300 else merge_cells([])
        lateness.take(CellPanes(second, second + 1, LABELS, arrived=arrived))
        if second == START_S + 299:
            assert list(lateness.readings())
    assert not list(lateness.readings())


def test_where_arrivals_are_unknown_nothing_is_learned() -> None:
    lateness = RecentLateness()
    lateness.take(CellPanes(START_S, START_S + 10, LABELS, cell(START_S, 1, 9)))
    assert not list(lateness.readings())


def test_a_producer_that_is_later_than_usually_read_is_late_and_not_silent() -> None:
    """Its events begin to come five minutes late, all at once."""
    reader, lateness, widths = ArrivalReader(), RecentLateness(), []
    counted: dict[int, int] = {}
    for now in range(START_S, START_S + 900):
        late_s = 0 if now < START_S + 120 else 300
        if not START_S + 120 <= now < START_S + 420:
            counted[now - late_s] = counted.get(now - late_s, 0) + 5
        span = Span(now, now + 1)
        wide = span_to_read(span, lateness.seconds_to_read_again())
        widths.append(span.start_s - wide.start_s)
        cells = merge_cells([cell(second, 1, amount) for second, amount in sorted(counted.items())])
        read = CellPanes(wide.start_s, wide.end_s, LABELS, cells.between(wide.start_s, wide.end_s))
        lateness.take(reader.take(span, read))
    assert widths[119] == LATE_S, "usually"
    assert widths[-1] == MOST_LATE_S
    assert [reading.value for reading in lateness.readings()] == [pytest.approx(302, abs=1)]


def test_sparse_producers_are_not_waited_for() -> None:
    lateness = RecentLateness()
    for second in range(START_S, START_S + 300):
        arrived = cell(second, 1, 1) if second % 30 == 0 else merge_cells([])
        lateness.take(CellPanes(second, second + 1, LABELS, arrived=arrived))
        assert lateness.seconds_to_read_again() == LATE_S
