"""Work of every second: heartbeats, seeking idle partitions, metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consumers.topics import Partition
from streams.clock import now_ms
from streams.store.reader import read_reports
from streams.store.writer import PaneWriter
from streams.worker.housekeeping import Housekeeping
from tests.streams.shop import CLICKS_0, ORDERS_0
from tests.streams.worker.conftest import Clock, Office
from tests.support.events import click, paid

pytestmark = pytest.mark.anyio


async def test_sends_a_heartbeat_with_the_lag_of_each_partition(office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    office.topics.write(ORDERS_0)
    await office.count(office.topics.fetch(CLICKS_0, most=2))
    before = now_ms()
    await office.worker.tick()
    held = (await office.state()).partitions
    assert {partition: state.lag for partition, state in held.items()} == {CLICKS_0: 3, ORDERS_0: 0}
    assert all((state.heartbeat_ms or 0) >= before for state in held.values())


async def test_an_empty_partition_is_counted_through_the_last_fetch(office: Office) -> None:
    """Its first records then do not delay the as-of; a partition found with a backlog has no such time."""
    office.topics.write(CLICKS_0)
    office.topics.write(ORDERS_0, paid(at=1))
    await office.worker.tick()
    empty_ms = now_ms()
    office.topics.write(CLICKS_0, click(at=1))
    await office.worker.tick()
    held = (await office.state()).partitions
    assert (held[CLICKS_0].position, held[CLICKS_0].lag, held[ORDERS_0].counted_through_ms) == (None, 1, None)
    assert empty_ms - 1_000 < (held[CLICKS_0].counted_through_ms or 0) <= empty_ms


async def test_sends_a_heartbeat_when_the_position_moves_during_the_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load the position always moves between sampling and the heartbeat."""
    look_at, heartbeat = Housekeeping._look_at, PaneWriter.heartbeat
    calls = []

    async def looked(self: Housekeeping, partition: Partition) -> Any:
        reported = await look_at(self, partition)
        await office.count(office.topics.fetch(partition, most=1))
        return reported

    async def late(self: PaneWriter, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            await office.count(office.topics.fetch(CLICKS_0, most=1))
        return await heartbeat(self, *args)

    monkeypatch.setattr(Housekeeping, "_look_at", looked)
    monkeypatch.setattr(PaneWriter, "heartbeat", late)
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    before = now_ms()
    await office.worker.tick()
    held = (await office.state()).partitions[CLICKS_0]
    assert (held.position, held.lag, len(calls)) == (2, 3, 2)
    assert (held.heartbeat_ms or 0) >= before


async def test_sends_a_heartbeat_while_an_applied_batch_is_unacknowledged(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, applied, going = PaneWriter.apply, asyncio.Event(), asyncio.Event()

    async def slow(self: PaneWriter, *args: Any) -> Any:
        answer = await apply(self, *args)
        applied.set()
        await going.wait()
        return answer

    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    await office.count(office.topics.fetch(CLICKS_0, most=1))
    monkeypatch.setattr(PaneWriter, "apply", slow)
    office.worker.take(office.topics.fetch(CLICKS_0, most=2))
    async with asyncio.timeout(5):
        await applied.wait()
        before = now_ms()
        await office.worker.tick()
        held = (await office.state()).partitions[CLICKS_0]
        assert (held.position, held.lag) == (3, 4), "not less than the backlog when it was sampled"
        assert (held.heartbeat_ms or 0) >= before
        going.set()
        while office.worker._housekeeping._busy(CLICKS_0):
            await asyncio.sleep(0.01)


async def test_sends_no_heartbeat_for_a_partition_without_recent_fetch_responses(clock: Clock, office: Office) -> None:
    office.topics.write(CLICKS_0, click(at=1))
    office.topics.write(ORDERS_0, paid(at=1))
    office.topics.heard[CLICKS_0] = None
    office.topics.heard[ORDERS_0] = now_ms() - 4_000
    await office.worker.tick()
    await office.redis.hdel(office.keys.state(0), "seen:clicks/0", "seen:orders/0")
    clock.advance(60)
    await office.worker.tick()
    assert not [state for state in (await office.state()).partitions.values() if state.heartbeat_ms]
    office.topics.heard[ORDERS_0] = now_ms()
    await office.worker.tick()
    assert {partition for partition, state in (await office.state()).partitions.items() if state.heartbeat_ms} == {
        ORDERS_0
    }


async def test_seeks_an_idle_partition_whose_read_position_differs(clock: Clock, office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    await office.count(office.topics.fetch(CLICKS_0, most=2))
    office.topics.reads[CLICKS_0] = 5
    await office.worker.tick()
    assert office.topics.sought == []  # fetched batches may still be queued
    clock.advance(6)
    await office.worker.tick()
    assert office.topics.sought == [(CLICKS_0, 2)]


async def test_commits_offsets_to_kafka_periodically(clock: Clock, office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    await office.count(office.topics.fetch(CLICKS_0, most=2))
    await office.worker.tick()
    assert office.topics.committed == {CLICKS_0: 2}
    await office.count(office.topics.fetch(CLICKS_0))
    await office.worker.tick()
    assert office.topics.committed == {CLICKS_0: 2}
    clock.advance(6)
    await office.worker.tick()
    assert office.topics.committed == {CLICKS_0: 5}


async def test_releases_revoked_partitions(office: Office) -> None:
    office.topics.write(CLICKS_0, click(at=1))
    await office.worker.tick()
    assert office.metric("assigned_partitions") == 1
    del office.topics.values[CLICKS_0]
    await office.worker.tick()
    assert office.metric("assigned_partitions") == 0


async def test_reports_records_and_clock(office: Office) -> None:
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(5)))
    await office.count(office.topics.fetch(CLICKS_0))
    await office.worker.tick()
    (report,) = (await read_reports(office.redis, office.keys)).values()
    assert (report.records, report.refused, report.sources_ahead) == (5, (), ())
    assert report.at_ms == pytest.approx(now_ms(), abs=5_000)
    assert report.clock_offset_s == pytest.approx(0, abs=5)
    assert report.dedup["clicks"].ids == 5


async def test_deletes_reports_of_gone_workers_once_a_minute(clock: Clock, office: Office) -> None:
    at = now_ms()
    reported = {b"gone": b'{"at_ms":%d}' % (at - 601_000), b"away": b'{"at_ms":%d}' % (at - 599_000)}
    await office.redis.hset(office.keys.reports, mapping=reported)
    for _ in range(3):
        await office.worker.tick()
    assert set(reported) < set(await office.redis.hkeys(office.keys.reports))
    clock.advance(61)
    await office.worker.tick()
    assert set(await office.redis.hkeys(office.keys.reports)) & set(reported) == {b"away"}


async def test_a_failed_turn_does_not_end_the_worker(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office.topics, "assigned", lambda: 1 / 0)
    await office.worker.tick()
    assert office.metric("batch_failures_total") == 1
