"""Alert states in Redis: through crashes and competing leaders, without repeated notifications."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from alerts.findings import Finding
from alerts.payloads import AlertChangePayload, change_payload
from alerts.shop import ShopInfo
from alerts.state.alert import ChangeKind, Status, series_fingerprint
from alerts.state.notices import DueNotices, NoticeKind
from alerts.state.notification_log import NotificationStatus
from alerts.state.silences import Matcher, Silence
from alerts.store.outbox import Outbox
from alerts.store.states import LeaderLease, Standby, WriteResult
from streams.settings import Settings
from streams.store.connection import connect
from tests.alerts.builders import T0, finding
from tests.alerts.engine import KEYS, Process, expire_lease
from tests.alerts.state.alert_play import BAD, FINE, HELD

pytestmark = pytest.mark.anyio


@pytest.fixture
async def redis(redis_settings: Settings) -> AsyncIterator[Redis]:
    client = connect(redis_settings)
    yield client
    await client.aclose()


async def on_their_way(redis: Redis, receiver: str = "chat", now_ms: int = T0 + 10**9) -> list[NoticeKind]:
    due = await Outbox(redis, KEYS, "reader", lease_ms=1).claim_due(receiver, now_ms, 60_000)
    assert isinstance(due, DueNotices)
    return [notice.kind for notice in due.notices]


async def unpublished(one: Process) -> list[AlertChangePayload]:
    return [AlertChangePayload.model_validate_json(change.json) for change in await one.store.unpublished()]


class TestOneEvaluation:
    async def test_states_changes_and_notices_are_written_together(self, redis: Redis) -> None:
        one = Process(redis)
        done = await one.evaluate(0, BAD)
        loaded = await one.store.load()
        assert loaded.alerts == {alert.fingerprint: alert for alert in done.updated_alerts}
        assert [one_change.id for one_change in await unpublished(one)] == [
            change_payload(change, ShopInfo()).id for change in done.changes
        ]
        assert await on_their_way(redis) == [NoticeKind.FIRING]

    async def test_a_restart_repeats_no_notification_and_sends_the_end(self, redis: Redis) -> None:
        await Process(redis).evaluate(0, BAD)
        for second in (1, 2, 3):
            assert (await Process(redis).evaluate(second, BAD)).notices == ()
        done = await Process(redis).evaluate(4, FINE)
        assert [notice.kind for notice in done.notices] == [NoticeKind.RESOLVED]
        assert (await Process(redis).evaluate(5)).notices == ()

    async def test_a_crash_before_the_write_loses_nothing(self, redis: Redis) -> None:
        dying = Process(redis)
        await dying.lead()
        assert (await dying.compute(0, BAD)).notices
        done = await Process(redis).evaluate(1, BAD)
        assert [notice.kind for notice in done.notices] == [NoticeKind.FIRING]
        assert await on_their_way(redis) == [NoticeKind.FIRING]

    async def test_a_write_with_a_lost_response_is_not_repeated(self, redis: Redis) -> None:
        one = Process(redis)
        await one.lead()
        done = await one.compute(0, BAD)
        assert await one.write(done) is WriteResult.OK
        assert await one.write(done) is WriteResult.MOVED
        assert len(await one.store.unpublished()) == 1

    async def test_a_removed_alert_loses_its_acknowledgement(self, redis: Redis) -> None:
        one = Process(redis)
        await one.evaluate(0, BAD)
        (alert,) = await one.acks_and_silences.alerts()
        assert await one.acks_and_silences.acknowledge(alert.fingerprint, by="ada", comment="", now_ms=T0)
        await one.evaluate(1, FINE)
        await one.evaluate(100_000)
        assert await one.acks_and_silences.alerts() == []
        assert await one.acks_and_silences.acks() == {}


class TestTwoThatLead:
    async def test_the_second_process_waits_for_the_lease(self, redis: Redis) -> None:
        one, two = Process(redis, "one"), Process(redis, "two")
        await one.lead()
        waits = await two.store.lead("two")
        assert isinstance(waits, Standby)
        assert waits.owner == "one"
        assert 0 < waits.free_in_ms <= 5000
        await one.store.release_lead("one")
        assert isinstance(await two.store.lead("two"), LeaderLease)

    async def test_the_first_keeps_its_epoch_and_the_second_gets_a_greater_one(self, redis: Redis) -> None:
        one, two = Process(redis, "one"), Process(redis, "two")
        first = await one.lead()
        assert await one.lead() == first
        await one.store.release_lead("one")
        assert (await two.lead()).epoch > first.epoch

    async def test_a_deposed_leader_writes_nothing(self, redis: Redis) -> None:
        one, two = Process(redis, "one"), Process(redis, "two")
        await one.lead()
        late = await one.compute(0, BAD)
        await expire_lease(redis, KEYS.lead)
        await two.evaluate(1, BAD)
        before = await two.store.load()
        assert await one.write(late) is WriteResult.DEPOSED
        assert await two.store.load() == before
        assert await on_their_way(redis) == [NoticeKind.FIRING]

    async def test_a_returning_leader_reads_the_states_first(self, redis: Redis) -> None:
        one, two = Process(redis, "one"), Process(redis, "two")
        await one.lead()
        late = await one.compute(0, BAD)
        await expire_lease(redis, KEYS.lead)
        await two.evaluate(1, BAD)
        await two.store.release_lead("two")
        lead = await one.store.lead("one")
        assert isinstance(lead, LeaderLease)
        assert await one.store.write(lead, one.loaded.version, late) is WriteResult.MOVED
        assert (await one.evaluate(2, BAD)).notices == ()

    async def test_restored_states_are_read_again(self, redis: Redis) -> None:
        one = Process(redis)
        await one.evaluate(0, BAD)
        await one.lead()
        next_ = await one.compute(1, FINE)
        await redis.flushall()
        assert await one.write(next_) is WriteResult.DEPOSED
        done = await one.evaluate(2, BAD)
        assert [change.kind for change in done.changes] == [ChangeKind.FIRING]

    async def test_epochs_increase_after_redis_lost_its_data(self, redis: Redis) -> None:
        first = await Process(redis).lead()
        await redis.flushall()
        assert (await Process(redis, "two").lead()).epoch >= first.epoch


class TestPublishing:
    async def test_changes_are_published_in_order_until_marked(self, redis: Redis) -> None:
        one = Process(redis)
        for second, found in enumerate([BAD, FINE, BAD]):
            await one.evaluate(second, found)
        waiting = await one.store.unpublished()
        assert [one_change.change for one_change in await unpublished(one)] == [
            ChangeKind.FIRING,
            ChangeKind.RESOLVED,
            ChangeKind.FIRING,
        ]
        assert {change.fingerprint.decode() for change in waiting} == {
            one_change.fingerprint for one_change in await one.acks_and_silences.alerts()
        }
        await one.store.published(waiting[1].at)
        assert await one.store.unpublished() == waiting[2:]


class TestWhatPeopleSay:
    async def test_the_next_evaluation_applies_an_acknowledgement(self, redis: Redis) -> None:
        one = Process(redis)
        await one.evaluate(0, BAD)
        (alert,) = await one.acks_and_silences.alerts()
        assert await one.acks_and_silences.acknowledge(alert.fingerprint, by="ada", comment="on it", now_ms=T0 + 1)
        done = await one.evaluate(1, BAD)
        assert [change.kind for change in done.changes] == [ChangeKind.ACKNOWLEDGED]
        (alert,) = await one.acks_and_silences.alerts()
        assert alert.log.ack is not None
        assert (alert.log.ack.by, alert.log.status) == ("ada", NotificationStatus.ACKNOWLEDGED)

    @pytest.mark.parametrize("part", [HELD, FINE], ids=["fires still", "is over"])
    async def test_acknowledging_the_first_alert_applies_to_its_successor(self, redis: Redis, part: Finding) -> None:
        one = Process(redis)
        whole = replace(finding(labels={}), continues=BAD.series)
        await one.evaluate(0, BAD)
        await one.evaluate(2, whole, HELD)
        await one.evaluate(3, whole, part)
        assert await one.acks_and_silences.acknowledge(
            series_fingerprint(BAD.series), by="ada", comment="", now_ms=T0 + 4000
        )
        await one.evaluate(5, whole, part)
        holder = await one.acks_and_silences.alert(series_fingerprint(whole.series))
        assert holder is not None
        assert holder.log.status is NotificationStatus.ACKNOWLEDGED

    async def test_only_firing_alerts_can_be_acknowledged(self, redis: Redis) -> None:
        one = Process(redis)
        assert await one.acks_and_silences.acknowledge("0" * 16, by="ada", comment="", now_ms=T0) is None
        await one.evaluate(0, BAD)
        await one.evaluate(1, FINE)
        (alert,) = await one.acks_and_silences.alerts()
        assert alert.status is Status.RESOLVED
        assert await one.acks_and_silences.acknowledge(alert.fingerprint, by="ada", comment="", now_ms=T0) is None

    async def test_a_silence_is_kept_until_a_day_after_its_end(self, redis: Redis) -> None:
        one = Process(redis)
        wanted = Silence(id="", matchers=(Matcher.parse("rule=~.*"),), starts_ms=T0, ends_ms=T0 + 60_000)
        kept = await one.acks_and_silences.silence(wanted)
        assert await one.acks_and_silences.silences(T0) == [kept]
        assert (await one.evaluate(1, BAD)).notices == ()
        assert await one.acks_and_silences.end_silence(kept.id, T0 + 2000)
        assert [notice.kind for notice in (await one.evaluate(3, BAD)).notices] == [NoticeKind.FIRING]
        assert await one.acks_and_silences.silences(T0 + 90_000_000) == []
        assert not await one.acks_and_silences.end_silence(kept.id, T0)
