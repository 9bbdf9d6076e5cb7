"""Every process uses Redis's clock, whatever its machine's clock says."""

from __future__ import annotations

import time

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from streams.clock import MachineClock
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, connect
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from tests.support.fault_proxy import FaultProxy
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

KEYS = Keys("salepulse", 3)
TOLERANCE_MS = 1_500
"""Time that a busy machine may need between two readings; less than the 2 s from which on a clock is off."""


def present_ms() -> float:
    return time.time() * 1000


@pytest.mark.parametrize("wrong_s", [0, -600, 90])
async def test_the_machines_clock_does_not_matter(redis_settings: Settings, wrong_s: float) -> None:
    redis = connect(redis_settings)
    clock = ReferenceClock(redis, KEYS, MachineClock(time=lambda: time.time() + wrong_s))
    with capture_logs() as logged:
        for _ in range(3):
            await clock.measure()
            assert clock.now_ms() == pytest.approx(present_ms(), abs=TOLERANCE_MS)
    assert clock.offset_ms == pytest.approx(wrong_s * 1000, abs=TOLERANCE_MS)
    assert clock.is_off is (wrong_s != 0)
    assert [one["ahead_s"] for one in logged] == ([] if wrong_s == 0 else [wrong_s]), "logged once"
    await redis.aclose()


async def test_a_step_of_the_machines_clock_is_logged_and_has_no_effect(redis_url: str) -> None:
    redis, wrong = connect(Settings(redis_url=redis_url)), [0.0]
    clock = ReferenceClock(redis, KEYS, MachineClock(time=lambda: time.time() + wrong[0]))
    with capture_logs() as logged:
        await clock.measure()
        wrong[0] = 3_600
        assert clock.now_ms() == pytest.approx(present_ms(), abs=TOLERANCE_MS)
        assert clock.offset_ms == pytest.approx(3_600_000, abs=TOLERANCE_MS), "without another measurement"
        await clock.measure()
        assert clock.is_off
        wrong[0] = 0
        await clock.measure()
        assert not clock.is_off
    assert [one["log_level"] for one in logged] == ["warning", "info"]
    await redis.aclose()


async def test_the_next_measurement_corrects_a_suspended_machine(redis_url: str) -> None:
    redis, slept = connect(Settings(redis_url=redis_url)), [0.0]
    clock = ReferenceClock(redis, KEYS, MachineClock(monotonic=lambda: time.monotonic() - slept[0]))
    await clock.measure()
    slept[0] = 600  # the monotonic clock stood still
    assert clock.now_ms() == pytest.approx(present_ms() - 600_000, abs=TOLERANCE_MS)
    await clock.measure()
    assert clock.now_ms() == pytest.approx(present_ms(), abs=TOLERANCE_MS)
    await redis.aclose()


async def test_a_slow_redis_does_not_make_a_clock_untrusted(redis_server: Server) -> None:
    with FaultProxy(("127.0.0.1", redis_server.port)) as proxy:
        redis = connect(Settings(redis_url=f"redis://{proxy.address}"))
        await redis.ping()
        proxy.delay(0.5)
        clock = ReferenceClock(redis, KEYS)
        await clock.measure()
        assert clock.now_ms() == pytest.approx(present_ms(), abs=600)
        assert not clock.is_off
        await redis.aclose()


async def test_returns_the_machines_clock_before_the_first_measurement() -> None:
    redis = connect(Settings(redis_url="redis://127.0.0.1:1"))
    clock = ReferenceClock(redis, KEYS)
    with pytest.raises((RedisError, *UNREACHABLE)):
        await clock.measure()
    assert (clock.measured_s, clock.offset_ms, clock.is_off) == (None, 0, False)
    assert clock.now_ms() == pytest.approx(present_ms(), abs=TOLERANCE_MS)
