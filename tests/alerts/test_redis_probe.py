"""Redis counts as down at the same moment for answers, rules and the probe."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from alerts.redis_alerts import InMemoryRedisAlerts
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


def look_at_nothing() -> RedisProbe:
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
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("silent_ms", "down"), [(1_500, False), (2_500, True)])
async def test_redis_is_down_after_two_seconds_without_a_response(silent_ms: int, down: bool) -> None:
    look = look_at_nothing()
    look._answered_s = time.monotonic() - silent_ms / 1000
    health, failure = await look._health()
    assert failure is not None
    assert health.down is down
    assert [fact.value for fact in readings(HealthCheck.STORE_DOWN, polled_ms=NOW - silent_ms)] == [float(down)]
    assert is_redis_silent(NOW - silent_ms, None, NOW) is down
