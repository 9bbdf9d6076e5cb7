"""When Redis counts as down: at the same moment for who answers questions, for the rules and for who looks at Redis."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from alerts.rules.detect import FactName
from alerts.rules.loader import default_text, load
from alerts.state.policy import Timing
from alerts.store.said import Said
from alerts.store_alarm import StoreAlarm
from alerts.store_look import StoreLook
from streams.serve.standing import is_silent
from streams.store.keys import Keys
from tests.alerts.builders import to
from tests.alerts.engine import KEYS
from tests.alerts.viewing.test_facts import NOW, told


async def no() -> bool:
    return False


def look_at_nothing() -> StoreLook:
    redis = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    rules = load(default_text(), "rules").rules
    alarm = StoreAlarm(lambda: rules, lambda _: Timing(), lambda: to("chat"))
    return StoreLook(
        redis,
        Keys("salepulse", 2),
        Said(redis, KEYS),
        alarm,
        first_claim=lambda: True,
        led_last=lambda: True,
        kafka_answers=no,
        evaluated_ms=lambda: None,
        clock=lambda: NOW,
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("silent_ms", "down"), [(1_500, False), (2_500, True)])
async def test_a_redis_that_has_not_answered_for_two_seconds_is_down_to_all(silent_ms: int, down: bool) -> None:
    look = look_at_nothing()
    look._answered_s = time.monotonic() - silent_ms / 1000
    health, failure = await look._health()
    assert failure is not None
    assert health.down is down
    assert [fact.value for fact in told(FactName.STORE_DOWN, polled_ms=NOW - silent_ms)] == [float(down)]
    assert is_silent(NOW - silent_ms, None, NOW) is down
