"""`up` with an embedded broker, which starts empty, on a Redis with the positions of another broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis

from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.topics import Topic
from streams.local.embedded.ports import free_port
from tests.support.events import click, wire
from tests.support.salepulse import Running, failure, started
from tests.support.servers import Server
from tests.support.stack import stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow


def everything(url: str) -> dict[bytes, bytes | None]:
    """Every key of a Redis with its `DUMP`."""
    with redis.Redis.from_url(url) as client:
        return {key: client.dump(key) for key in client.keys("*")}


def state(url: str) -> dict[bytes, bytes]:
    with redis.Redis.from_url(url) as client:
        return client.hgetall("salepulse:{0}:state")


def ports() -> tuple[str, ...]:
    return ("--http-port", "0", "--kafka-port", "0")


@pytest.mark.kafka
def test_up_refuses_positions_of_another_broker_and_changes_nothing(
    apache_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    with stack(apache_kafka, redis_server, partitions=1) as shop:
        shop.send(clicks(0))
        shop.until_counted()
        eventually(lambda: b"topic:clicks/0" in state(redis_server.url), within_s=20, what="the topic id is stored")
    before = everything(redis_server.url)
    code, line = failure("up", *ports(), "--redis-url", redis_server.url, cwd=tmp_path)
    assert code == 1
    assert "holds positions of another broker under the prefix 'salepulse' (clicks/0 at 20)" in line
    assert "--bootstrap" in line
    assert "SALEPULSE_REDIS_PREFIX" in line
    assert everything(redis_server.url) == before


def test_up_accepts_its_own_positions_and_those_under_another_prefix(redis_url: str, tmp_path: Path) -> None:
    other = {"pos:orders/0": "7", "topic:orders/0": "8f14e45f-ceea-467f-a0e6-1b1c7a1c9d33 "}
    with redis.Redis.from_url(redis_url) as client:
        client.hset("other:{0}:state", mapping=other)
    for start in (0, 1):
        kafka = free_port()
        arguments = ("--http-port", "0", "--kafka-port", kafka, "--redis-url", redis_url, "--partitions", "1")
        with started(Running("up", *arguments, "--clock", "event", cwd=tmp_path)) as up:
            up.until("ready http")
            asyncio.run(send_all(f"127.0.0.1:{kafka}", clicks(start)))
            eventually(lambda: page_views(redis_url) == 20 * (start + 1), within_s=30, what="all events are counted")  # noqa: B023
            eventually(lambda: b"topic:clicks/0" in state(redis_url), within_s=20, what="the topic id is stored")
    assert "counts of the last start are kept" in up.stderr


def clicks(start: int) -> list[OutgoingMessage]:
    return [OutgoingMessage(Topic.CLICKS, b"u-1", wire(click(at=100 * start + n))) for n in range(20)]


def page_views(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.hget("salepulse:{0}:totals", "events,clicks,page_view") or 0)
