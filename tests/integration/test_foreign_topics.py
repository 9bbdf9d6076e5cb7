"""A topic of another team with one of salepulse's names: no command changes it unless it is named and confirmed."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.clock import now_ms
from tests.support.salepulse import COMMAND, Running, environment, failure, salepulse, started
from tests.support.servers import Server

RECORDS = 1_000
DAY_MS = 86_400_000
THEIRS = {"cleanup.policy": "compact", "segment.ms": "12345678"}


@pytest.fixture
def orders(broker: Server) -> Server:
    """A broker with a compacted topic `orders` that another system has used for 30 days."""
    asyncio.run(fill(broker.bootstrap))
    return broker


@pytest.mark.slow
def test_a_compacted_topic_of_another_team_survives_every_command(
    orders: Server, redis_url: str, tmp_path: Path
) -> None:
    before = asyncio.run(snapshot(orders.bootstrap))
    assert len(before["records"]) == RECORDS
    at = ("--bootstrap", orders.bootstrap)
    done = salepulse("topics", "create", "--dry-run", *at, cwd=tmp_path)
    assert (done.returncode, "clicks: would create" in done.stdout) == (1, True), done.stdout
    assert asyncio.run(names(orders.bootstrap)) == {"orders"}
    done = salepulse("topics", "create", *at, cwd=tmp_path)
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("orders: ")]
    assert done.returncode == 1
    for text in ("differs", "cleanup.policy=compact", "cannot be used", "--take-over orders", "topic_prefix"):
        assert text in line
    code, output = failure("up", *at, "--redis-url", redis_url, "--http-port", "0", cwd=tmp_path)
    assert (code, "topic orders: differs: cleanup.policy=compact" in output) == (1, True), output
    code, output = failure("topics", "create", "--take-over", "orders", *at, cwd=tmp_path)
    assert (code, "add --yes" in output) == (2, True)
    doctor = salepulse("doctor", *at, "--redis-url", redis_url, cwd=tmp_path)
    assert doctor.returncode == 1
    assert "error   topic orders: cleanup.policy=compact, should be delete" in doctor.stdout
    up = Running("up", cwd=tmp_path, env=beside(orders, redis_url))
    with started(up):
        up.until("ready http")
    assert asyncio.run(snapshot(orders.bootstrap)) == before


@pytest.mark.kafka
def test_a_topic_is_taken_over_after_confirmation(apache_kafka: Server, tmp_path: Path) -> None:
    asyncio.run(fill(apache_kafka.bootstrap))
    before = asyncio.run(snapshot(apache_kafka.bootstrap))
    command = ("topics", "create", "--take-over", "orders", "--bootstrap", apache_kafka.bootstrap)
    code, text = on_terminal(*command, cwd=tmp_path, answer="n")
    assert (code, "records older than 7 days are deleted" in text) == (1, True), text
    assert asyncio.run(snapshot(apache_kafka.bootstrap)) == before
    assert asyncio.run(names(apache_kafka.bootstrap)) == {"orders"}, "no missing topic was created either"
    code, text = on_terminal(*command, cwd=tmp_path, answer="y")
    assert (code, "orders: changed: cleanup.policy compact → delete" in text) == (0, True), text
    settings = asyncio.run(settings_of(apache_kafka.bootstrap))
    assert (settings["cleanup.policy"], settings["segment.ms"]) == ("delete", "12345678")


@pytest.mark.kafka
def test_a_script_confirms_with_a_flag(apache_kafka: Server, tmp_path: Path) -> None:
    asyncio.run(fill(apache_kafka.bootstrap))
    flags = ("--take-over", "orders", "--yes", "--bootstrap", apache_kafka.bootstrap)
    done = salepulse("topics", "create", *flags, cwd=tmp_path)
    assert (done.returncode, "orders: changed: " in done.stdout) == (0, True), done.stderr
    assert asyncio.run(settings_of(apache_kafka.bootstrap))["cleanup.policy"] == "delete"


def test_take_over_requires_the_name_on_the_broker(tmp_path: Path) -> None:
    flags = ("topics", "create", "--bootstrap", "127.0.0.1:1", "--take-over")
    code, output = failure(*flags, "orders", cwd=tmp_path, env={"SALEPULSE_TOPIC_PREFIX": "eu."})
    assert (code, "orders is called eu.orders there" in output) == (2, True), output
    code, output = failure(*flags, "payments", cwd=tmp_path)
    assert (code, "name one of clicks, orders" in output) == (2, True), output


def beside(broker: Server, redis_url: str) -> dict[str, str]:
    """Settings of a shop with its own topic names."""
    chosen = {"bootstrap": broker.bootstrap, "redis_url": redis_url, "http_port": "0", "topic_prefix": "eu."}
    return {f"SALEPULSE_{name.upper()}": text for name, text in chosen.items()}


def on_terminal(*arguments: str, cwd: Path, answer: str) -> tuple[int, str]:
    """Exit code and terminal output of a command whose prompt is answered."""
    ours, theirs = pty.openpty()
    try:
        argv = [*COMMAND, *arguments]
        running = subprocess.Popen(
            argv, cwd=cwd, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        os.write(ours, f"{answer}\n".encode())
        text, _ = running.communicate(timeout=60)
        return running.returncode, text
    finally:
        os.close(ours)
        os.close(theirs)


async def fill(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("orders", 1, 1, topic_configs=THEIRS)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        long_ago_ms = now_ms() - 30 * DAY_MS
        for i in range(RECORDS):
            await producer.send("orders", b"state %d" % i, b"%d" % i, timestamp_ms=long_ago_ms, headers=[("v", b"1")])
        await producer.flush()
    finally:
        await producer.stop()


async def snapshot(bootstrap: str) -> dict[str, Any]:
    """The visible state of the topic: settings, partitions, records and consumer groups."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        at, records = TopicPartition("orders", 0), []
        consumer.assign([at])
        while len(records) < RECORDS:
            for batch in (await asyncio.wait_for(consumer.getmany(timeout_ms=500), 30)).values():
                records += [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in batch]
            if records and records[-1][0] == RECORDS - 1:
                break
        first = (await consumer.beginning_offsets([at]))[at]
    finally:
        await consumer.stop()
    return {"first": first, "settings": await settings_of(bootstrap), "records": records}


async def settings_of(bootstrap: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "orders")])
    await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def names(bootstrap: str) -> set[str]:
    """All topics except Kafka's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    found = set(await admin.list_topics())
    await admin.close()
    return {name for name in found if not name.startswith("__")}
