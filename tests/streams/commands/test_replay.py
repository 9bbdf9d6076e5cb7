"""`salepulse replay`: errors, and waiting until all messages are counted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import redis

from consumers.errors import SalepulseError
from consumers.topic_admin import create_topics, default_plans
from streams.commands.options import parse_speed
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.progress import read_positions, wait_until_counted
from tests.support.salepulse import failure, salepulse
from tests.support.servers import Server

ORDER = '{"event_id":"o-1","type":"order_created","ts":1762776000000,"order_id":"1","user_id":"u","items":[]}\n'


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    (tmp_path / "orders.ndjson").write_text(ORDER)
    return tmp_path


def test_waiting_without_a_worker_fails_with_the_reason(
    recorded: Path, embedded_broker: Server, redis_url: str
) -> None:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(2)))
    servers = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", redis_url)
    code, line = failure("replay", recorded, "--wait", "--patience", "1", *servers, cwd=recorded)
    assert code == 1
    assert line == (
        "nothing was counted for 1 s and 1 records wait: no worker is running: start one with `salepulse worker`"
    )


def test_waiting_without_redis_fails_with_the_reason(recorded: Path, embedded_broker: Server) -> None:
    asyncio.run(create_topics(embedded_broker.bootstrap, default_plans(2)))
    servers = ("--bootstrap", embedded_broker.bootstrap, "--redis-url", "redis://127.0.0.1:1/0")
    code, line = failure("replay", recorded, "--wait", "--patience", "1", *servers, cwd=recorded)
    assert (code, line) == (1, "no Redis answers at 127.0.0.1:1 for 1 s")


def test_a_missing_topic_and_a_missing_broker_are_named(recorded: Path, embedded_broker: Server) -> None:
    code, line = failure("replay", recorded, "--bootstrap", embedded_broker.bootstrap, cwd=recorded)
    assert (code, line.startswith("topic orders does not exist")) == (1, True)
    code, line = failure("replay", recorded, "--bootstrap", "127.0.0.1:1", cwd=recorded)
    assert (code, line.startswith("no Kafka broker answers")) == (1, True)


def test_wrong_usage_ends_with_2(recorded: Path) -> None:
    assert failure("replay", "nowhere", cwd=recorded)[0] == 2
    assert failure("replay", recorded, "--bootstrap", "nowhere", cwd=recorded)[0] == 2
    (recorded / "colours.ndjson").write_text("{}\n")
    assert failure("replay", "colours.ndjson", cwd=recorded)[0] == 2
    for speed in ("fast", "0", "-1", "nan", "inf"):
        assert salepulse("replay", recorded, "--speed", speed, cwd=recorded).returncode == 2


def test_every_positive_number_is_a_speed() -> None:
    assert (parse_speed("1"), parse_speed("0.5"), parse_speed("60"), parse_speed("max")) == (1, 0.5, 60, None)


class TestWaitCounted:
    """State in Redis, as workers write it."""

    def settings(self, url: str) -> Settings:
        return Settings(redis_url=url, poll_ms=10)

    def write(self, url: str, **fields: int) -> None:
        with redis.Redis.from_url(url) as client:
            for name, value in fields.items():
                client.hset(Keys("salepulse", 1).state(0), f"{name}:orders/0", value)

    def wait(self, url: str, **later: int) -> float:
        async def scenario() -> float:
            began = time.monotonic()
            task = asyncio.create_task(wait_until_counted(self.settings(url), {("orders", 0): 10}, patience_s=1))
            await asyncio.sleep(0.4)
            assert not task.done()
            self.write(url, **later)
            await task
            return time.monotonic() - began

        return asyncio.run(scenario())

    def test_it_waits_for_the_position(self, redis_url: str) -> None:
        self.write(redis_url, pos=9, lag=1, seen=1)
        with pytest.raises(SalepulseError, match="1 records wait"):
            self.wait(redis_url, lag=1)

    def test_it_waits_for_a_later_heartbeat_without_lag(self, redis_url: str) -> None:
        self.write(redis_url, pos=10, lag=0, seen=1)
        assert self.wait(redis_url, seen=2) >= 0.4

    def test_a_lag_that_stays_does_not_count_as_caught_up(self, redis_url: str) -> None:
        self.write(redis_url, pos=10, lag=3, seen=1)
        with pytest.raises(SalepulseError, match="caught up with orders/0"):
            self.wait(redis_url, seen=2)

    def test_a_position_of_an_earlier_broker_does_not_count(self, redis_url: str) -> None:
        self.write(redis_url, pos=12, lag=0, seen=1)

        async def scenario(later: int) -> None:
            settings = self.settings(redis_url)
            before = await read_positions(settings)
            task = asyncio.create_task(wait_until_counted(settings, {("orders", 0): 10}, patience_s=1, before=before))
            await asyncio.sleep(0.4)
            assert not task.done()
            self.write(redis_url, pos=later)
            await asyncio.sleep(0.4)
            self.write(redis_url, seen=2)
            await task

        asyncio.run(scenario(10))
        self.write(redis_url, pos=12, seen=1)
        with pytest.raises(SalepulseError, match="10 records wait"):
            asyncio.run(scenario(12))

    def test_while_other_producers_write_passing_the_end_offsets_is_enough(self, redis_url: str) -> None:
        self.write(redis_url, pos=10, lag=3, seen=1)
        assert self.wait(redis_url, seen=2, pos=12) >= 0.4
