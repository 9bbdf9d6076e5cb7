"""The outbox: one sender at a time, no notice lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from alerts.findings import FindingReason, Severity
from alerts.state.notices import AttemptResult, DueNotices, ReceiverBlocked, ReceiverBusy
from alerts.state.policy import Timing
from alerts.store.outbox import Outbox
from alerts.store.states import WriteResult
from streams.settings import Settings
from streams.store.connection import connect
from tests.alerts.builders import T0
from tests.alerts.engine import KEYS, Process, expire_lease
from tests.alerts.state.alert_play import BAD, FINE

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
WARNING = replace(BAD, severity=Severity.WARNING)


@pytest.fixture
async def redis(redis_settings: Settings) -> AsyncIterator[Redis]:
    """A Redis with two queued notices for the receiver `chat`."""
    client = connect(redis_settings)
    one = Process(client)
    await one.evaluate(0, BAD)
    await one.evaluate(5, FINE)
    yield client
    await client.aclose()


def outbox(redis: Redis, owner: str = "a") -> Outbox:
    return Outbox(redis, KEYS, owner, lease_ms=5000)


async def due(box: Outbox, second: float = 10) -> DueNotices:
    found = await box.claim_due("chat", T0 + round(second * 1000), MINUTE_MS)
    assert isinstance(found, DueNotices), found
    return found


async def test_due_notices_are_claimed_in_order(redis: Redis) -> None:
    box = outbox(redis)
    assert (await due(box, -1)).notices == ()
    assert [notice.kind for notice in (await due(box, 1)).notices] == ["firing"]
    assert [notice.kind for notice in (await due(box)).notices] == ["firing", "resolved"]


async def test_one_process_sends_at_a_time(redis: Redis) -> None:
    await due(outbox(redis, "a"))
    assert await outbox(redis, "b").claim_due("chat", T0 + 10_000, MINUTE_MS) == ReceiverBusy()


async def test_notices_of_a_dead_process_are_claimed_after_its_lease(redis: Redis) -> None:
    first = await due(outbox(redis, "a"))
    await expire_lease(redis, KEYS.turn("chat"))
    second = await due(outbox(redis, "b"))
    assert second.notices == first.notices


async def test_a_process_that_lost_its_claim_may_not_send(redis: Redis) -> None:
    sleepy = outbox(redis, "a")
    await due(sleepy)
    await expire_lease(redis, KEYS.turn("chat"))
    other = outbox(redis, "b")
    await due(other)
    assert await other.begin_attempt("chat", T0 + 10_000, MINUTE_MS)
    assert not await sleepy.begin_attempt("chat", T0 + 10_000, MINUTE_MS)


async def test_the_claim_is_free_between_attempts(redis: Redis) -> None:
    one = outbox(redis, "a")
    found = await due(one)
    assert await one.begin_attempt("chat", T0 + 10_000, MINUTE_MS)
    assert await outbox(redis, "b").claim_due("chat", T0 + 10_000, MINUTE_MS) == ReceiverBusy()
    await one.record_outcome("chat", AttemptResult([found.notices[0].id], [], failures=0, blocked_ms=0))
    assert len((await due(outbox(redis, "b"))).notices) == 1


async def test_delivered_notices_are_removed(redis: Redis) -> None:
    box = outbox(redis)
    found = await due(box)
    await box.record_outcome("chat", AttemptResult([found.notices[0].id], [], failures=0, blocked_ms=0))
    assert (await due(box)).notices == found.notices[1:]
    assert await box.waiting("chat") == 1


async def test_a_failed_notice_waits_and_keeps_its_failures(redis: Redis) -> None:
    box = outbox(redis)
    found = await due(box)
    again = [replace(notice, failures=1, due_ms=T0 + 20_000) for notice in found.notices]
    await box.record_outcome("chat", AttemptResult([], again, failures=1, blocked_ms=T0 + 15_000))
    assert await box.claim_due("chat", T0 + 14_999, MINUTE_MS) == ReceiverBlocked(T0 + 15_000)
    assert (await due(box, 15)).notices == ()
    later = await due(box, 20)
    assert (later.failures, [notice.failures for notice in later.notices]) == (1, [1, 1])


async def test_a_notice_delivered_by_another_process_is_not_restored(redis: Redis) -> None:
    box = outbox(redis)
    found = await due(box)
    await box.record_outcome("chat", AttemptResult([notice.id for notice in found.notices], [], 0, 0))
    await box.record_outcome("chat", AttemptResult([], found.notices, 1, 0))
    assert (await due(box)).notices == ()


async def test_a_withdrawn_notice_is_removed_and_not_restored(redis_settings: Settings) -> None:
    client = connect(redis_settings)
    one = Process(client, timing=Timing(digest_ms=300_000))
    await one.evaluate(0, WARNING)
    box = outbox(client)
    (waiting,) = (await due(box, 300)).notices
    await one.evaluate(10, FINE)
    await one.evaluate(11, FINE)
    assert (await due(box, 300)).notices == ()
    await box.record_outcome("chat", AttemptResult([], [waiting], 1, 0))
    assert await box.waiting("chat") == 0
    await client.aclose()


async def test_a_notice_that_was_sent_cannot_be_withdrawn(redis_settings: Settings) -> None:
    client = connect(redis_settings)
    one = Process(client, timing=Timing(digest_ms=300_000))
    await one.evaluate(0, WARNING)
    await one.lead()
    update = await one.compute(10, replace(FINE, reason=FindingReason.GONE))
    box = outbox(client)
    (sent,) = (await due(box, 300)).notices
    await box.record_outcome("chat", AttemptResult([sent.id], [], 0, 0))
    assert await one.write(update) is WriteResult.MOVED
    await one.evaluate(300, replace(FINE, reason=FindingReason.GONE))
    assert [notice.kind for notice in (await due(box, 700)).notices] == ["resolved"]
    await client.aclose()


async def test_a_critical_notice_replaces_the_one_in_the_digest(redis_settings: Settings) -> None:
    client = connect(redis_settings)
    one = Process(client, timing=Timing(digest_ms=300_000))
    await one.evaluate(0, WARNING)
    assert (await due(outbox(client), 10)).notices == ()
    await one.evaluate(10, BAD)
    assert [(notice.kind, notice.critical) for notice in (await due(outbox(client), 300)).notices] == [("firing", True)]
    await client.aclose()


async def test_attempts_of_all_processes_count_in_the_window(redis: Redis) -> None:
    box = outbox(redis)
    for second in (10, 11, 12):
        await due(box, second)
        assert await box.begin_attempt("chat", T0 + second * 1000, MINUTE_MS)
    await expire_lease(redis, KEYS.turn("chat"))
    other = outbox(redis, "b")
    assert len((await due(other, 12)).attempts_ms) == 3
    assert len((await due(other, 71)).attempts_ms) == 1
