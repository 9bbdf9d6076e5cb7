"""Redis counts as down at the same moment for answers, rules and the probe."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from alerts.redis_alerts import InMemoryRedisAlerts, RedisHealth
from alerts.redis_probe import RedisProbe
from alerts.rules.detect import HealthCheck
from alerts.rules.loader import default_text, load
from alerts.state.policy import Timing
from alerts.store.acks_and_silences import AcksAndSilences
from streams.store.keys import Keys
from streams.view.answer_status import is_redis_silent
from tests.alerts.builders import to
from tests.alerts.engine import KEYS
from tests.alerts.viewing.test_health_readings import NOW, readings


@dataclass
class MonotonicClock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def look_at_nothing(monotonic_s: MonotonicClock) -> RedisProbe:
    redis = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    rules = load(default_text(), "rules").rules
    alarm = InMemoryRedisAlerts(lambda: rules, lambda _: Timing(), lambda: to("chat"))
    return RedisProbe(
        redis,
        Keys("salepulse", 2),
        AcksAndSilences(redis, KEYS),
        alarm,
        reports=lambda: True,
        evaluated_ms=lambda: None,
        clock=lambda: NOW,
        monotonic_s=monotonic_s,
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("silent_ms", "down"), [(1_500, False), (2_500, True)])
async def test_redis_is_down_after_two_seconds_without_a_response(silent_ms: int, down: bool) -> None:
    clock = MonotonicClock()
    look = look_at_nothing(clock)
    clock.now_s += silent_ms / 1000
    health, failure = await look._health()
    assert failure is not None
    assert health.down is down
    assert [fact.value for fact in readings(HealthCheck.STORE_DOWN, polled_ms=NOW - silent_ms)] == [float(down)]
    assert is_redis_silent(NOW - silent_ms, None, NOW) is down


@pytest.mark.anyio
async def test_the_outage_ends_with_the_answer_not_with_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that hung answers what was asked before. Workers write their heartbeats only from then on."""
    clock = MonotonicClock()
    look = look_at_nothing(clock)
    await look.observe(blocked_s=0)
    clock.now_s += 20
    assert look.healthy_for_s == 0

    async def answers_late() -> tuple[RedisHealth, Exception | None]:
        clock.now_s += 0.3
        return RedisHealth(), None

    monkeypatch.setattr(look, "_health", answers_late)
    await look.observe(blocked_s=20)
    assert look.healthy_for_s == 0
    clock.now_s += 5
    assert look.healthy_for_s == 5
