"""Topics of salepulse whose names another team already uses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaProducer

from consumers.topic_admin import create_topics, default_plans
from tests.support.events import click, wire
from tests.support.salepulse import Running, failure, salepulse, started
from tests.support.servers import Server
from tests.support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

DEBEZIUM = b'{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":1},"op":"c"}}'
WRITTEN = ("dead-letters", "alerts", "promotions")


async def send(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, b"k")
    finally:
        await producer.stop()


def test_a_topic_with_foreign_messages_is_refused_until_it_is_accepted(
    apache_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    broker = ("--bootstrap", apache_kafka.bootstrap)
    at = (*broker, "--redis-url", redis_server.url)
    asyncio.run(create_topics(apache_kafka.bootstrap, default_plans(1)))
    for topic in WRITTEN:
        asyncio.run(send(apache_kafka.bootstrap, topic, *[DEBEZIUM] * 5))
    done = salepulse("topics", "create", *broker, "--partitions", "1", cwd=tmp_path)
    assert done.returncode == 1
    for topic in WRITTEN:
        (line,) = [output for output in done.stdout.splitlines() if output.startswith(f"{topic}: ")]
        assert (
            "cannot be used: 5 of its 5 oldest messages are not salepulse's (such as: the message is a Debezium" in line
        )
        assert f"--accept {topic}" in line
        assert f"`topic_{topic.replace('-', '_')}`" in line
    accepting = [part for topic in WRITTEN for part in ("--accept", topic)]
    done = salepulse("topics", "create", *broker, "--partitions", "1", *accepting, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    doctor = salepulse("doctor", *at, "--partitions", "1", cwd=tmp_path)
    assert doctor.returncode == 1
    assert doctor.stdout.count("oldest messages are not salepulse's") == 3
    code, output = failure("promotions", "apply", "--delete", "d11", *broker, cwd=tmp_path)
    assert (code, "5 of its 5 oldest messages are not salepulse's" in output) == (1, True)
    for command in ("worker", "alerts"):
        code, output = failure(command, *at, cwd=tmp_path)
        assert code == 1
        assert "cannot be used: 5 of its 5 oldest messages are not salepulse's" in output
        assert "--accept" in output
    code, output = failure("up", *at, "--partitions", "1", "--http-port", "0", cwd=tmp_path)
    assert (code, "oldest messages are not salepulse's" in output) == (1, True)
    with redis.Redis.from_url(redis_server.url) as client:
        assert not client.exists("salepulse:{0}:reports"), "no process has started"
    with started(Running("worker", *at, "--clock", "event", *accepting, cwd=tmp_path)):
        asyncio.run(send(apache_kafka.bootstrap, "clicks", wire(click(at=1)), b"no JSON"))
        eventually(lambda: rejected_count(redis_server.url) == 1, within_s=60, what="the worker counts")


def test_salepulses_own_messages_are_accepted_and_a_running_shop_continues(
    apache_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    """A running shop continues when others write more messages into its dead letters than it did."""
    at = ("--bootstrap", apache_kafka.bootstrap, "--redis-url", redis_server.url)
    asyncio.run(create_topics(apache_kafka.bootstrap, default_plans(1)))
    for start in (1, 2):
        with started(Running("worker", *at, "--clock", "event", cwd=tmp_path)) as worker:
            asyncio.run(send(apache_kafka.bootstrap, "clicks", wire(click(at=start)), b"no JSON"))
            eventually(lambda: rejected_count(redis_server.url) == start, within_s=60, what="the worker counts")  # noqa: B023
            assert "holds messages of others" not in worker.stdout + worker.stderr
    done = salepulse("topics", "create", *at[:2], "--partitions", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    asyncio.run(send(apache_kafka.bootstrap, "dead-letters", *[DEBEZIUM] * 5))
    with started(Running("worker", *at, "--clock", "event", cwd=tmp_path)) as worker:
        asyncio.run(send(apache_kafka.bootstrap, "clicks", b"no JSON"))
        eventually(lambda: rejected_count(redis_server.url) == 3, within_s=60, what="the worker continues")
        assert "holds messages of others" in worker.stdout + worker.stderr
    assert "5 of its 8 oldest messages" in salepulse("doctor", *at, cwd=tmp_path).stdout


def rejected_count(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.hget("salepulse:{0}:totals", "rejected,clicks,bad_json") or 0)
