"""Leadership and evaluation through crashes, pauses and network partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis

from alerts import engine as engine_module
from alerts.engine import Engine, EvaluationOutcome
from alerts.findings import Severity
from alerts.metrics import AlertMetrics
from alerts.rule_states import NO_RULE_STATES, RuleCondition
from alerts.shop import ShopInfo
from alerts.state.notices import DueNotices, NoticeKind
from alerts.state.policy import Timing
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.outbox import Outbox
from alerts.store.rule_states import read_rule_states
from alerts.store.states import StateStore
from tests.alerts.builders import T0, status, to
from tests.alerts.engine import KEYS, expire_lease
from tests.alerts.scripted import Scripted
from tests.alerts.state.alert_play import BAD, FINE

pytestmark = pytest.mark.anyio


@dataclass
class Made:
    """An evaluating process."""

    engine: Engine
    evaluator: Scripted
    metrics: AlertMetrics


class Clock:
    def __init__(self) -> None:
        self.now_ms = T0

    def __call__(self) -> int:
        self.now_ms += 1000
        return self.now_ms


Making = Callable[..., Made]
Owed = Callable[[], Awaitable[list[NoticeKind]]]


@pytest.fixture
def make(redis: Redis) -> Making:
    clock = Clock()

    def making(name: str = "one", timing: Timing | None = None) -> Made:
        evaluator, metrics = Scripted(BAD, timing=timing), AlertMetrics()
        store = StateStore(redis, KEYS, ShopInfo(), lease_ms=5000)
        routing = to("chat")
        engine = Engine(
            name,
            store,
            AcksAndSilences(redis, KEYS),
            evaluator,
            lambda: routing,
            metrics,
            clock=clock,
        )
        return Made(engine, evaluator, metrics)

    return making


@pytest.fixture
def owed(redis: Redis) -> Owed:
    async def reading() -> list[NoticeKind]:
        due = await Outbox(redis, KEYS, "reader", lease_ms=1).claim_due("chat", T0 + 10**9, 60_000)
        assert isinstance(due, DueNotices)
        return [notice.kind for notice in due.notices]

    return reading


async def test_an_evaluation_is_written(make: Making, owed: Owed) -> None:
    one = make()
    assert [await one.engine.round() for _ in range(3)] == [EvaluationOutcome.EVALUATED] * 3
    assert await owed() == [NoticeKind.FIRING]
    assert [str(series) for series in one.evaluator.watched] == ['conversion-drop{channel="app"}']
    value = one.metrics.registry.get_sample_value
    assert value("salepulse_alerts", {"state": "firing", "severity": "critical"}) == 1
    assert value("salepulse_alerts_by_notification_status", {"reason": "unchanged"}) == 1
    assert value("salepulse_alerts_leading") == 1


async def test_a_waiting_notice_that_is_gone_from_the_outbox_counts_as_sent(
    make: Making, owed: Owed, redis: Redis
) -> None:
    one = make(timing=Timing(digest_ms=300_000))
    one.evaluator.found = (replace(BAD, severity=Severity.WARNING),)
    assert await one.engine.round() is EvaluationOutcome.EVALUATED
    await redis.delete(KEYS.outbox("chat"), KEYS.due("chat"))
    one.evaluator.found = (FINE,)
    outcomes = [await one.engine.round() for _ in range(3)]
    assert outcomes == [EvaluationOutcome.REFUSED] * 2 + [EvaluationOutcome.EVALUATED]
    assert await owed() == [NoticeKind.RESOLVED]


async def test_states_of_rules_are_stored_and_the_next_leader_continues_them(make: Making, redis: Redis) -> None:
    one = make("one")
    one.evaluator.statuses = (status("order-drop"), status("refund-surge", RuleCondition.LEARNING, lacks="20 min"))
    await one.engine.round()
    first = await read_rule_states(redis, KEYS)
    assert [(rule.status.condition.value, rule.since_ms) for rule in first.rules] == [
        ("watching", first.as_of_ms),
        ("learning", first.as_of_ms),
    ]
    value = one.metrics.registry.get_sample_value
    by_state = {state.value: value("salepulse_alert_rules", {"state": state}) for state in RuleCondition}
    assert by_state == {"watching": 1, "learning": 1, "inhibited": 0, "no_data": 0, "off": 0}
    await one.engine.stop()
    two = make("two")
    two.evaluator.statuses = (status("order-drop"), status("refund-surge"))
    await two.engine.round()
    second = await read_rule_states(redis, KEYS)
    assert second.as_of_ms > first.as_of_ms
    assert [rule.since_ms for rule in second.rules] == [first.as_of_ms, second.as_of_ms]


async def test_unchanged_states_of_rules_are_written_at_intervals(make: Making, redis: Redis) -> None:
    one = make()
    one.evaluator.statuses = (status(),)
    await one.engine.round()
    first = await read_rule_states(redis, KEYS)
    await one.engine.round()
    assert await read_rule_states(redis, KEYS) == first
    one.evaluator.statuses = (status(condition=RuleCondition.INHIBITED),)
    await one.engine.round()
    assert (await read_rule_states(redis, KEYS)).as_of_ms > first.as_of_ms


async def test_states_of_another_version_are_ignored(make: Making, redis: Redis) -> None:
    await redis.set(KEYS.rules, b'{"as_of_ms": "then"}')
    assert await read_rule_states(redis, KEYS) == NO_RULE_STATES
    assert await make().engine.round() is EvaluationOutcome.EVALUATED


async def test_one_process_evaluates_and_the_other_is_standby(make: Making) -> None:
    one, two = make("one"), make("two")
    assert await one.engine.round() is EvaluationOutcome.EVALUATED
    assert await two.engine.round() is EvaluationOutcome.STANDBY
    await one.engine.stop()
    assert await two.engine.round() is EvaluationOutcome.EVALUATED
    assert await one.engine.round() is EvaluationOutcome.STANDBY


async def test_a_standby_takes_over_from_a_killed_leader(make: Making, owed: Owed, redis: Redis) -> None:
    killed, standby = make("killed"), make("standby")
    await killed.engine.round()
    await expire_lease(redis, KEYS.lead)
    assert await standby.engine.round() is EvaluationOutcome.EVALUATED
    standby.evaluator.found = (FINE,)
    await standby.engine.round()
    assert await owed() == [NoticeKind.FIRING, NoticeKind.RESOLVED]


async def test_a_leader_that_lost_its_lease_writes_nothing(make: Making, owed: Owed, redis: Redis) -> None:
    sleepy, other = make("sleepy"), make("other")
    await sleepy.engine.round()
    sleepy.evaluator.found = (FINE,)
    woken = asyncio.Event()

    async def meanwhile() -> None:
        await expire_lease(redis, KEYS.lead)
        assert await other.engine.round() is EvaluationOutcome.EVALUATED
        woken.set()

    original = sleepy.evaluator.evaluate

    async def sleeping(*args: object) -> object:
        task = asyncio.create_task(meanwhile())
        await woken.wait()
        await task
        return await original(*args)  # type: ignore[arg-type]

    sleepy.evaluator.evaluate = sleeping  # type: ignore[method-assign, assignment]
    assert await sleepy.engine.round() is EvaluationOutcome.REFUSED
    assert await owed() == [NoticeKind.FIRING]
    assert sleepy.metrics.registry.get_sample_value("salepulse_alerts_refused_writes_total") == 1
    assert await sleepy.engine.round() is EvaluationOutcome.STANDBY


async def test_an_expired_lease_is_reserved_for_its_last_holder(
    make: Making, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "TAKE_EXPIRED_LEASE_AFTER_MS", 60_000)
    last, standby = make("last"), make("standby")
    await last.engine.round()
    assert await standby.engine.round() is EvaluationOutcome.STANDBY
    assert (last.engine.led_by_another, standby.engine.led_by_another) == (False, True)
    await expire_lease(redis, KEYS.lead)
    assert await standby.engine.round() is EvaluationOutcome.STANDBY
    assert await last.engine.round() is EvaluationOutcome.EVALUATED
    await expire_lease(redis, KEYS.lead)
    assert await standby.engine.round() is EvaluationOutcome.STANDBY
    monkeypatch.setattr(engine_module, "TAKE_EXPIRED_LEASE_AFTER_MS", 0)
    assert await standby.engine.round() is EvaluationOutcome.EVALUATED
    assert await last.engine.round() is EvaluationOutcome.STANDBY
    assert (last.engine.led_by_another, standby.engine.led_by_another) == (True, False)


async def test_a_failed_evaluation_changes_nothing_and_is_retried(make: Making, owed: Owed) -> None:
    one = make()
    await one.engine.round()
    one.evaluator.raises = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        await one.engine.round()
    one.evaluator.raises, one.evaluator.found = None, (FINE,)
    assert await one.engine.round() is EvaluationOutcome.EVALUATED
    assert await owed() == [NoticeKind.FIRING, NoticeKind.RESOLVED]


async def test_a_write_with_a_lost_response_repeats_no_notification(
    make: Making, owed: Owed, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make()
    store = one.engine._store
    written = store.write

    async def lost(*args: object) -> None:
        await written(*args)  # type: ignore[arg-type]
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", lost)
        with pytest.raises(ConnectionError):
            await one.engine.round()
    await one.engine.round()
    assert await owed() == [NoticeKind.FIRING]


async def test_a_new_leader_restores_the_memory(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MEMORY_WRITE_INTERVAL_S", 0)
    one, two = make("one"), make("two")
    one.evaluator.memory = b"\x00what one knows"
    await one.engine.round()
    await one.engine.round()
    assert one.evaluator.begun_with == [None]
    await one.engine.stop()
    await two.engine.round()
    assert two.evaluator.begun_with == [b"\x00what one knows"]


async def test_an_empty_redis_is_filled_again(make: Making, redis: Redis, owed: Owed) -> None:
    one = make()
    await one.engine.round()
    await redis.flushall()
    assert await one.engine.round() is EvaluationOutcome.EVALUATED
    assert await owed() == [NoticeKind.FIRING]
