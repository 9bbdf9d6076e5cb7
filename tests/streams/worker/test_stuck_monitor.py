"""A worker that reads nothing exits only if the broker answers other consumers."""

from __future__ import annotations

import asyncio

import pytest
import redis

from consumers.topics import Partition
from streams.clock import now_ms
from streams.store.refusal_kinds import RedisRefusal
from streams.worker.stuck_monitor import StuckMonitor
from tests.streams.shop import CLICKS_0, ORDERS_0
from tests.streams.worker.conftest import Clock, Office
from tests.support.events import click

pytestmark = pytest.mark.anyio


class Watched:
    """Checks once a second; the broker answers other consumers, or does not."""

    def __init__(self, office: Office, clock: Clock) -> None:
        self.office, self.clock = office, clock
        self.answers = True
        self.unreadable: set[Partition] = set()
        self.asked: list[Partition] = []
        self.stuck_monitor: StuckMonitor = office.worker._stuck_monitor
        self.stuck_monitor.is_readable = self._is_readable

    async def _is_readable(self, partition: Partition, _position: int | None) -> bool:
        self.asked.append(partition)
        return self.answers and partition not in self.unreadable

    async def check(self, seconds: int) -> str:
        """The first reason to exit within some seconds, or an empty string."""
        for _ in range(seconds):
            self.clock.advance(1)
            if why := await self.stuck_monitor.check():
                return why
        return ""


@pytest.fixture
def watched(clock: Clock, office: Office) -> Watched:
    return Watched(office, clock)


async def test_ends_the_worker_if_a_backlog_is_unread_and_others_can_read_it(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, *(click(at=at) for at in range(4)))
    await watched.office.count(watched.office.topics.fetch(CLICKS_0, most=2))
    assert await watched.check(32) == ""
    assert await watched.check(5) == "no record of clicks/0 was read for 30 s, and the broker answers other consumers"


async def test_waits_for_a_partition_that_others_can_read_since_a_moment_ago(watched: Watched) -> None:
    """Its damage was mended as it was probed: this worker reads it a few seconds later."""
    watched.office.topics.write(CLICKS_0, *(click(at=at) for at in range(4)))
    await watched.office.count(watched.office.topics.fetch(CLICKS_0, most=2))
    assert await watched.check(32) == ""
    assert watched.asked == [CLICKS_0]
    await watched.office.count(watched.office.topics.fetch(CLICKS_0, most=1))
    assert await watched.check(28) == ""


async def test_an_unreadable_partition_does_not_end_the_worker_and_others_stay_monitored(watched: Watched) -> None:
    topics = watched.office.topics
    topics.write(CLICKS_0, click(at=1), click(at=2))
    topics.write(ORDERS_0)
    await watched.office.count(topics.fetch(CLICKS_0, most=1))
    watched.unreadable.add(CLICKS_0)
    assert await watched.check(200) == ""
    assert len(watched.asked) < 10
    topics.write(ORDERS_0, click(at=1))
    assert "no record of orders/0 was read" in await watched.check(36)
    watched.unreadable.clear()
    topics.values[ORDERS_0].clear()
    await asyncio.sleep(0)
    assert "no record of clicks/0 was read" in await watched.check(100)


async def test_reading_a_large_record_is_progress(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1), click(at=2))
    await watched.office.count(watched.office.topics.fetch(CLICKS_0, most=1))
    for step in range(20):
        watched.office.topics.stepped[CLICKS_0] = step
        assert await watched.check(10) == ""
    assert "clicks/0" in await watched.check(40)


async def test_suspects_a_partition_without_fetch_responses(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1))
    await watched.office.count(watched.office.topics.fetch(CLICKS_0))
    assert await watched.check(100) == ""
    watched.office.topics.heard[CLICKS_0] = now_ms() - 4_000
    assert "clicks/0" in await watched.check(40)


async def test_does_not_suspect_idle_and_never_counted_partitions(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0)
    watched.office.topics.write(ORDERS_0, click(at=1))
    watched.office.topics.begins[ORDERS_0] = watched.office.topics.reads[ORDERS_0] = 1  # deleted before it was read
    assert await watched.check(100) == ""
    assert watched.asked == []


async def test_waits_while_the_broker_answers_no_consumer(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1))
    watched.answers = False
    assert await watched.check(300) == ""
    watched.answers = True
    assert await watched.check(30) == ""  # the timers start again
    assert await watched.check(10) != ""


async def test_continues_when_the_broker_is_back(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1))
    watched.answers = False
    assert await watched.check(60) == ""
    watched.answers = True
    assert await watched.check(20) == ""
    await watched.office.count(watched.office.topics.fetch(CLICKS_0))
    assert await watched.check(100) == ""


async def test_ends_the_worker_if_a_rebalance_never_ends(watched: Watched) -> None:
    watched.office.topics.in_rebalance = True
    assert await watched.check(60) == ""
    assert "a rebalance has not ended for 60 s" in await watched.check(5)


async def test_does_not_end_the_worker_while_redis_refuses_writes(watched: Watched, redis_url: str) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1))
    with redis.Redis.from_url(redis_url) as admin:
        admin.config_set("maxmemory", "1")
        try:
            assert await watched.check(1000) == ""
        finally:
            admin.config_set("maxmemory", "0")
    assert await watched.check(30) == "", "the timers start again"
    assert "clicks/0" in await watched.check(5)


async def test_does_not_end_the_worker_while_a_call_is_refused_that_the_probe_misses(watched: Watched) -> None:
    watched.office.topics.write(CLICKS_0, click(at=1))
    watched.stuck_monitor.redis_retry.refused[CLICKS_0] = RedisRefusal.NOPERM
    assert await watched.check(100) == ""
    watched.stuck_monitor.redis_retry.refused.clear()
    assert "clicks/0" in await watched.check(40)


async def test_waits_while_redis_is_unavailable(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> bool:
        return False

    watched.office.topics.write(CLICKS_0, click(at=1))
    monkeypatch.setattr(watched.stuck_monitor, "_redis_takes_writes", silent)
    assert await watched.check(100) == ""
