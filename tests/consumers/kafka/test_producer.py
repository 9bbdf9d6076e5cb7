"""The producer writes every message to the partition of its key, in order within a key."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.errors import SalepulseError, UsageError
from consumers.kafka.producer import KeyedProducer, OutgoingMessage, partition_for_key, send_all
from consumers.replay import ReplayProgress, replay_files
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


async def written(bootstrap: str, ends: dict[tuple[str, int], int]) -> dict[tuple[str, int], list[Any]]:
    """The records of each partition up to its end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    found: dict[tuple[str, int], list[Any]] = {at: [] for at in ends}
    try:
        consumer.assign([TopicPartition(*at) for at in ends])
        while sum(map(len, found.values())) < sum(ends.values()):
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                found[partition.topic, partition.partition] += records
    finally:
        await consumer.stop()
    return found


async def test_all_messages_arrive_in_order_within_a_key(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(3))
    keys = [f"o-{n}".encode() for n in range(50)]
    messages = [OutgoingMessage(Topic.ORDERS, keys[n * 7 % 50], b"%d" % n + b" " * 500) for n in range(6_000)]
    ends = await send_all(broker.bootstrap, messages)
    found = await written(broker.bootstrap, ends)
    assert sum(ends.values()) == 6_000
    for key in keys:
        at = ("orders", partition_for_key(key, 3))
        values = [record.value for record in found[at] if record.key == key]
        assert values == [message.value for message in messages if message.key == key]


async def test_messages_without_a_key_or_without_a_value_arrive_too(embedded_broker: Server) -> None:
    await create_topics(embedded_broker.bootstrap, default_plans(2))
    messages = [
        OutgoingMessage(Topic.CLICKS, None, b"1"),
        OutgoingMessage(Topic.CLICKS, None, b"2"),
        OutgoingMessage(Topic.PROMOTIONS, b"d", None),
    ]
    ends = await send_all(embedded_broker.bootstrap, messages)
    found = await written(embedded_broker.bootstrap, ends)
    assert ends == {("clicks", 0): 1, ("clicks", 1): 1, ("promotions", 0): 1}
    assert [(record.key, record.value) for record in found["promotions", 0]] == [(b"d", None)]


async def test_sending_no_messages_succeeds(embedded_broker: Server) -> None:
    assert await send_all(embedded_broker.bootstrap, []) == {}


async def test_a_missing_topic_raises_an_error(embedded_broker: Server) -> None:
    with pytest.raises(SalepulseError, match=r"topic orders does not exist at .*: run `salepulse topics create`"):
        await send_all(embedded_broker.bootstrap, [OutgoingMessage(Topic.ORDERS, b"k", b"v")])


async def test_an_absent_broker_raises_an_error() -> None:
    with pytest.raises(SalepulseError, match=r"no Kafka broker answers at 127\.0\.0\.1:1: start it"):
        await send_all("127.0.0.1:1", [])


@pytest.mark.parametrize("bootstrap", ["", "localhost", "localhost:kafka", "a:1,b", "a:99999"])
async def test_an_invalid_address_raises_an_error(bootstrap: str) -> None:
    with pytest.raises(UsageError, match="is not a Kafka address"):
        await send_all(bootstrap, [])


@pytest.mark.kafka
async def test_a_message_too_large_for_its_topic_raises_an_error(apache_kafka: Server) -> None:
    await create_topics(apache_kafka.bootstrap, default_plans(1))
    with pytest.raises(SalepulseError, match=r"a message exceeds max\.message\.bytes of its topic"):
        await send_all(apache_kafka.bootstrap, [OutgoingMessage(Topic.ORDERS, b"k", b"x" * 3_000_000)])


# ---- replays ----


def recording(folder: Path, topic: Topic, times: list[int]) -> None:
    lines = [json.dumps({"ts": ts, "user_id": f"u-{ts % 5}", "order_id": f"o-{ts % 5}"}) for ts in times]
    (folder / f"{topic}.ndjson").write_text("\n".join(lines))


async def test_a_replay_sends_every_line_with_its_key(broker: Server, tmp_path: Path) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    recording(tmp_path, Topic.CLICKS, list(range(0, 9_000, 3)))
    recording(tmp_path, Topic.ORDERS, list(range(0, 9_000, 30)))
    progress: list[ReplayProgress] = []

    replayed = await replay_files([tmp_path], kafka=broker.bootstrap, on_progress=progress.append)

    assert replayed.messages == {Topic.CLICKS: 3_000, Topic.ORDERS: 300}
    assert sum(replayed.ends.values()) == 3_300
    assert (progress[-1].sent, progress[-1].at_ms) == (3_300, 8_997)
    for (_, partition), records in (await written(broker.bootstrap, replayed.ends)).items():
        assert {partition_for_key(record.key, 2) for record in records} == {partition}


async def test_a_replay_keeps_the_recorded_pace(embedded_broker: Server, tmp_path: Path) -> None:
    await create_topics(embedded_broker.bootstrap, default_plans(1))
    recording(tmp_path, Topic.CLICKS, list(range(0, 60_001, 100)))
    began = time.monotonic()
    replay = asyncio.create_task(replay_files([tmp_path], kafka=embedded_broker.bootstrap, speed=60))
    replayed = await replay
    assert 0.95 < time.monotonic() - began < 5
    assert replayed.ends == {("clicks", 0): 601}


async def test_a_replay_without_its_topic_sends_nothing(embedded_broker: Server, tmp_path: Path) -> None:
    recording(tmp_path, Topic.CLICKS, [1])
    recording(tmp_path, Topic.ORDERS, [1])
    plans = [plan for plan in default_plans(1) if plan.name == "clicks"]
    await create_topics(embedded_broker.bootstrap, plans)
    with pytest.raises(SalepulseError, match="topic orders does not exist"):
        await replay_files([tmp_path], kafka=embedded_broker.bootstrap)
    async with KeyedProducer(embedded_broker.bootstrap) as producer:
        await producer.put([OutgoingMessage(Topic.CLICKS, b"k", b"first")])
    assert producer.ends == {("clicks", 0): 1}
