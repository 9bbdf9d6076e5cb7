"""Partitions that delay the as-of: late feeds and slow workers differ by their lag."""

from __future__ import annotations

import pytest

from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.settings import Settings
from streams.store.as_of import PartitionState, blocking_as_of, late_feed_fix, late_feed_text
from tests.support.events import ms

NOW = ms(10_000)
LOGISTICS, ORDERS = Partition(Topic.LOGISTICS, 2), Partition(Topic.ORDERS, 0)


def state(
    age_s: float, *, lag: int | None = 0, fresh_s: float = 1, arrived_s: float | None = 1, seen_s: float = 0.5
) -> PartitionState:
    counted_through_ms = None if arrived_s is None else NOW - round(arrived_s * 1000)
    return PartitionState(
        9,
        9,
        NOW - round(age_s * 1000),
        NOW - round(fresh_s * 1000),
        NOW - round(seen_s * 1000),
        lag,
        counted_through_ms,
    )


def test_describes_a_late_feed_with_its_age_and_fix() -> None:
    (one,) = blocking_as_of({LOGISTICS: state(1_200), ORDERS: state(1, lag=1)}, NOW, Settings())
    assert (one.partition, one.is_late_feed) == (LOGISTICS, True)
    assert late_feed_text(one).startswith("logistics/2: its newest event is 20 min old: the feed is late")
    assert "as_of_topics" in late_feed_fix(one)


def test_a_small_lag_under_load_is_a_late_feed() -> None:
    (one,) = blocking_as_of({LOGISTICS: state(1_200, lag=50)}, NOW, Settings())
    assert one.is_late_feed


@pytest.mark.parametrize("arrived_s", [None, 600])
def test_a_backlog_is_not_a_late_feed(arrived_s: float | None) -> None:
    (one,) = blocking_as_of({LOGISTICS: state(1_200, lag=50, arrived_s=arrived_s)}, NOW, Settings())
    assert (one.is_late_feed, one.lag) == (False, 50)


def test_idle_recent_and_excluded_partitions_do_not_block() -> None:
    late = {LOGISTICS: state(1_200)}
    assert not [*blocking_as_of({LOGISTICS: state(1_200, fresh_s=60)}, NOW, Settings())]
    assert not [*blocking_as_of({LOGISTICS: state(29)}, NOW, Settings())]
    assert not [*blocking_as_of(late, NOW, Settings(as_of_topics="clicks,orders"))]
    assert not [*blocking_as_of(late, NOW, Settings(clock=Clock.EVENT))]


@pytest.mark.parametrize("clock_s", [16, 60, 600])
def test_a_stale_partition_is_not_a_late_feed(clock_s: float) -> None:
    silent = {LOGISTICS: state(1_200, seen_s=clock_s, fresh_s=clock_s + 1), ORDERS: state(60, seen_s=clock_s)}
    assert not [*blocking_as_of(silent, NOW, Settings(stale_after_s=15))], "the backlog is unknown"
