"""Readings of the health checks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from alerts.detection.inputs import HealthReading
from alerts.rules.detect import HealthCheck
from alerts.viewing.health_readings import MIN_MESSAGES, RATE_WINDOW_MS, RecentTotals, StoreSample, health_readings
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.store.as_of import PartitionState

NOW = 1_762_776_000_000
CLICKS, ORDERS = Partition(Topic.CLICKS, 0), Partition(Topic.ORDERS, 0)
WELL = PartitionState(
    position=9, compacted_to=9, newest_ms=NOW - 1000, last_counted_ms=NOW - 900, heartbeat_ms=NOW - 500, lag=0
)
SEEN = StoreSample(
    now_ms=NOW,
    polled_ms=NOW - 100,
    clock=Clock.WALL,
    as_of_ms=NOW - 2000,
    partitions={CLICKS: WELL, ORDERS: WELL},
    stale=(),
    incomplete={},
    totals={},
)


def readings(name: HealthCheck, shares: RecentTotals | None = None, **changes: Any) -> list[HealthReading]:
    return [fact for fact in health_readings(replace(SEEN, **changes), shares or RecentTotals()) if fact.name is name]


def test_all_is_well() -> None:
    assert [fact.value for fact in readings(HealthCheck.STORE_DOWN)] == [0.0]
    assert [fact.value for fact in readings(HealthCheck.STALE)] == [0.0]
    assert {fact.value for fact in readings(HealthCheck.LAG_AGE)} == {0.0}
    assert [fact.value for fact in readings(HealthCheck.AS_OF_AGE)] == [2.0]
    assert readings(HealthCheck.INCOMPLETE) == []


def test_all_stale_partitions_are_one_reading() -> None:
    assert readings(HealthCheck.STALE, stale=(CLICKS, ORDERS)) == [HealthReading(HealthCheck.STALE, 2.0)]


@pytest.mark.parametrize("name", [HealthCheck.STALE, HealthCheck.LAG, HealthCheck.LAG_AGE, HealthCheck.AS_OF_AGE])
def test_heartbeat_readings_are_unknown_during_and_after_an_outage(name: HealthCheck) -> None:
    behind = replace(WELL, newest_ms=NOW - 45_000, heartbeat_ms=NOW - 40_000, lag=7)
    found = readings(name, stale=None, partitions={CLICKS: behind, ORDERS: behind}, as_of_ms=NOW - 45_000)
    assert found
    assert all(math.isnan(fact.value) for fact in found)
    assert readings(HealthCheck.STORE_DOWN, stale=None) == [HealthReading(HealthCheck.STORE_DOWN, 0.0)]


def test_a_redis_that_refuses_writes() -> None:
    assert readings(HealthCheck.STORE_REFUSES) == [HealthReading(HealthCheck.STORE_REFUSES, 0.0)]
    assert readings(HealthCheck.STORE_REFUSES, refuses=True) == [HealthReading(HealthCheck.STORE_REFUSES, 1.0)]


def test_the_lag_of_a_topic_is_that_of_its_slowest_partition() -> None:
    behind = replace(WELL, newest_ms=NOW - 45_000, lag=7)
    quiet = replace(WELL, newest_ms=NOW - 900_000)
    (fact,) = readings(HealthCheck.LAG_AGE, partitions={CLICKS: behind, Partition(Topic.CLICKS, 1): quiet})
    assert fact == HealthReading(HealthCheck.LAG_AGE, 45.0, (("topic", "clicks"),))
    assert readings(HealthCheck.LAG_AGE, clock=Clock.EVENT) == [], "old events are no lag in a replay"


def test_a_redis_without_response_is_down() -> None:
    assert readings(HealthCheck.STORE_DOWN, polled_ms=NOW - 4000) == [HealthReading(HealthCheck.STORE_DOWN, 1.0)]


def test_incomplete_history_is_one_series_per_topic_until_cleared() -> None:
    assert readings(HealthCheck.INCOMPLETE, incomplete={ORDERS: NOW - 3_600_000}) == [
        HealthReading(HealthCheck.INCOMPLETE, 1.0, (("topic", "orders"),))
    ]
    made_again = {Partition(Topic.ORDERS, number): NOW - 3_600_000 for number in range(3)}
    assert readings(HealthCheck.INCOMPLETE, incomplete={**made_again, CLICKS: NOW}) == [
        HealthReading(HealthCheck.INCOMPLETE, 1.0, (("topic", "clicks"),)),
        HealthReading(HealthCheck.INCOMPLETE, 3.0, (("topic", "orders"),)),
    ], "a topic that is made again pages once, not once a partition"
    assert readings(HealthCheck.INCOMPLETE, incomplete={ORDERS: NOW - 400 * 86_400_000}), "however old it is"


def totals(events: int, rejected: int, duplicates: int) -> dict[str, int]:
    return {
        "events,orders,order_paid": events,
        "rejected,orders,bad_json": rejected,
        "duplicates,orders": duplicates,
        "events,clicks,page_view": 10**6,
    }


def test_shares_are_of_the_last_minutes() -> None:
    shares = RecentTotals()
    shares.take(NOW, totals(50_000, 40_000, 0))
    shares.take(NOW + RATE_WINDOW_MS, totals(50_000, 40_000, 0))
    shares.take(NOW + 2 * RATE_WINDOW_MS, totals(50_900, 40_020, 80))
    assert shares.of("rejected", Topic.ORDERS) == pytest.approx(0.02)
    assert shares.of("duplicates", Topic.ORDERS) == pytest.approx(0.08)


def test_few_messages_have_no_share() -> None:
    shares = RecentTotals()
    shares.take(NOW, totals(0, 0, 0))
    shares.take(NOW + 5000, totals(MIN_MESSAGES // 2, 3, 0))
    assert shares.of("rejected", Topic.ORDERS) is None
    assert RecentTotals().of("rejected", Topic.ORDERS) is None
