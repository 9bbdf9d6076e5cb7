"""Alerts about Redis while it cannot store them: one page and one end."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from alerts.api.silences import SilenceRequest
from alerts.engine import Engine, EvaluationOutcome
from alerts.findings import Severity
from alerts.metrics import AlertMetrics
from alerts.redis_alerts import HANDOVER_TIMEOUT_MS, InMemoryRedisAlerts, RedisHealth
from alerts.rules.loader import default_text, load
from alerts.shop import ShopInfo
from alerts.state.alert import Status
from alerts.state.notices import DueNotices, NoticeKind
from alerts.state.policy import Timing
from alerts.state.silences import Silence
from alerts.store.acks_and_silences import AcksAndSilences
from alerts.store.outbox import Outbox
from alerts.store.states import StateStore
from tests.alerts.builders import T0, to
from tests.alerts.engine import KEYS
from tests.alerts.scripted import Scripted

pytestmark = pytest.mark.anyio

DOWN, REFUSES, WELL = RedisHealth(down=True), RedisHealth(refuses=True), RedisHealth()
TIMING = Timing(for_ms=3000, clear_ms=2000)


def alarm_of(text: str = "") -> InMemoryRedisAlerts:
    rules = load(text or default_text(), "rules").rules
    return InMemoryRedisAlerts(lambda: rules, lambda _: TIMING, lambda: to("chat"))


async def sent(alarm: InMemoryRedisAlerts, now_ms: int) -> list[tuple[str, NoticeKind]]:
    """Queued notices as `(rule, kind)`."""
    found = await alarm.outbox.claim_due("chat", now_ms, 60_000)
    assert isinstance(found, DueNotices)
    return [(notice.alert.series.rule, notice.kind) for notice in found.notices]


async def delivered(alarm: InMemoryRedisAlerts) -> None:
    found = await alarm.outbox.claim_due("chat", T0 * 2, 60_000)
    assert isinstance(found, DueNotices)
    for notice in found.notices:
        alarm.outbox._queues["chat"].notices.pop(notice.id)


def passing(alarm: InMemoryRedisAlerts, health: RedisHealth, start_s: int, end_s: int, *, may_page: bool = True) -> int:
    for second in range(start_s, end_s):
        alarm.observe(health, may_page=may_page, now_ms=T0 + second * 1000)
    return T0 + end_s * 1000


async def test_an_outage_pages_once_after_for() -> None:
    alarm = alarm_of()
    assert await sent(alarm, passing(alarm, DOWN, 0, 3)) == []
    assert await sent(alarm, passing(alarm, DOWN, 3, 100)) == [("store-down", NoticeKind.FIRING)]


async def test_each_state_of_redis_has_its_rule() -> None:
    alarm = alarm_of()
    assert await sent(alarm, passing(alarm, REFUSES, 0, 10)) == [("store-refuses-writes", NoticeKind.FIRING)]


async def test_a_short_outage_does_not_page() -> None:
    alarm = alarm_of()
    for start_s in range(0, 60, 6):
        passing(alarm, DOWN, start_s, start_s + 3)
        passing(alarm, WELL, start_s + 3, start_s + 6)
    assert await sent(alarm, T0 + 60_000) == []


async def test_without_may_page_another_process_pages() -> None:
    alarm = alarm_of()
    assert await sent(alarm, passing(alarm, DOWN, 0, 60, may_page=False)) == []
    assert await sent(alarm, passing(alarm, DOWN, 60, 70)) == [("store-down", NoticeKind.FIRING)], "and is dead"


async def test_the_last_known_silences_apply() -> None:
    alarm = alarm_of()
    alarm.update_known([], _silence("store-down"))
    assert await sent(alarm, passing(alarm, DOWN, 0, 60)) == []


def _silence(rule: str) -> list[Silence]:
    wish = SilenceRequest.model_validate({"matchers": [f"rule={rule}"], "duration": "1h", "by": "me"})
    return [wish.silence(T0 - 1000)]


async def test_only_rules_about_redis_are_evaluated() -> None:
    text = """rules:
- {name: mine, title: Redis gone, severity: critical, detect: {kind: health, check: store_down, above: 0}}
- {name: stale, title: Stale, severity: critical, detect: {kind: health, check: partition_stale, above: 0}}"""
    alarm = alarm_of(text)
    assert alarm.rule_names == {"mine"}
    assert await sent(alarm, passing(alarm, DOWN, 0, 60)) == [("mine", NoticeKind.FIRING)]


async def test_an_alert_without_a_leader_ends_in_memory() -> None:
    alarm = alarm_of()
    passing(alarm, DOWN, 0, 10)
    await delivered(alarm)
    waits_s = HANDOVER_TIMEOUT_MS // 1000
    assert await sent(alarm, passing(alarm, WELL, 10, 10 + waits_s)) == []
    ended = passing(alarm, WELL, 10 + waits_s, 30 + waits_s)
    assert await sent(alarm, ended) == [("store-down", NoticeKind.RESOLVED)]
    assert alarm.firing() == {}


async def test_what_ends_before_its_digest_is_never_sent() -> None:
    rules = load(default_text(), "rules").rules
    timing = Timing(for_ms=3000, clear_ms=2000, digest_ms=300_000)
    alarm = InMemoryRedisAlerts(
        lambda: rules.model_copy(
            update={"rules": tuple(rule.model_copy(update={"severity": Severity.WARNING}) for rule in rules.rules)}
        ),
        lambda _: timing,
        lambda: to("chat"),
    )
    passing(alarm, DOWN, 0, 10)
    assert alarm.outbox.receivers() == ["chat"]
    passing(alarm, WELL, 10, 30 + HANDOVER_TIMEOUT_MS // 1000)
    assert alarm.outbox.receivers() == []


# With the engine that takes it over -----------------------------------------------------------------------------------


def engine_of(redis: Redis, alarm: InMemoryRedisAlerts, clock: list[int]) -> Engine:
    store = StateStore(redis, KEYS, ShopInfo(), lease_ms=5000)
    evaluator = Scripted(timing=TIMING)
    return Engine(
        "one",
        store,
        AcksAndSilences(redis, KEYS),
        evaluator,
        lambda: to("chat"),
        AlertMetrics(),
        clock=lambda: clock[0],
        alarm=alarm,
    )


async def owed(redis: Redis, now_ms: int) -> list[NoticeKind]:
    found = await Outbox(redis, KEYS, "x", lease_ms=100).claim_due("chat", now_ms, 60_000)
    assert isinstance(found, DueNotices)
    return [notice.kind for notice in found.notices]


async def test_the_leader_stores_and_resolves_the_alert(redis: Redis) -> None:
    alarm, clock = alarm_of(), [T0]
    engine = engine_of(redis, alarm, clock)
    assert await engine.round() is EvaluationOutcome.EVALUATED
    passing(alarm, DOWN, 0, 10)
    await delivered(alarm)
    clock[0] = T0 + 11_000
    assert await engine.round() is EvaluationOutcome.EVALUATED
    assert alarm.firing() == {}
    (alert,) = await AcksAndSilences(redis, KEYS).alerts()
    assert alert.series.rule == "store-down"
    passing(alarm, WELL, 11, 60)
    for second in range(12, 20):
        clock[0] = T0 + second * 1000
        assert await engine.round() is EvaluationOutcome.EVALUATED
    (alert,) = await AcksAndSilences(redis, KEYS).alerts()
    assert alert.status is Status.RESOLVED
    assert await owed(redis, clock[0]) == [NoticeKind.RESOLVED]
    assert await sent(alarm, clock[0]) == []
    changes = [entry[b"json"] for _, entry in await redis.xrange(KEYS.changes)]
    assert [
        what for what in ("pending", "firing", "resolved") if any(f'"{what}"'.encode() in one for one in changes)
    ] == [
        "pending",
        "firing",
        "resolved",
    ]


async def test_the_handover_waits_for_queued_notices(redis: Redis) -> None:
    alarm, clock = alarm_of(), [T0]
    engine = engine_of(redis, alarm, clock)
    passing(alarm, DOWN, 0, 10)
    clock[0] = T0 + 11_000
    await engine.round()
    assert await AcksAndSilences(redis, KEYS).alerts() == [], "its end must not overtake its beginning"
    await delivered(alarm)
    await engine.round()
    assert len(await AcksAndSilences(redis, KEYS).alerts()) == 1


async def test_a_handover_with_a_lost_response_is_not_repeated(redis: Redis) -> None:
    alarm, clock = alarm_of(), [T0]
    engine = engine_of(redis, alarm, clock)
    passing(alarm, DOWN, 0, 10)
    await delivered(alarm)
    kept = alarm.firing()
    forgotten, alarm.confirm_handover = alarm.confirm_handover, lambda: None  # type: ignore[method-assign]
    for second in range(11, 20):
        clock[0] = T0 + second * 1000
        await engine.round()
        engine._loaded = None
    alarm.confirm_handover = forgotten  # type: ignore[method-assign]
    assert kept
    assert await owed(redis, clock[0]) == [NoticeKind.RESOLVED]


async def test_a_process_that_cannot_renew_the_lease_does_not_lead(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(redis, alarm_of(), [T0])
    await engine.round()
    assert engine.leading
    await redis.config_set("min-replicas-to-write", "1")
    try:
        now = [0.0]
        began = engine._led_s
        monkeypatch.setattr("alerts.engine.time.monotonic", lambda: began + now[0])
        for now[0] in (1.0, 4.0):
            with pytest.raises(Exception, match="NOREPLICAS"):
                await engine.round()
            assert engine.leading
        now[0] = 5.1
        with pytest.raises(Exception, match="NOREPLICAS"):
            await engine.round()
        assert not engine.leading
        assert engine._metrics.leading._value.get() == 0
        assert not engine.led_by_another
    finally:
        await redis.config_set("min-replicas-to-write", "0")
