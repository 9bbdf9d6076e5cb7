"""A partition is readable whatever its records contain."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer

from consumers.kafka.standalone import is_readable
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Partition, Topic
from tests.support.batches import ATTRIBUTES, Message, compressed
from tests.support.raw_batches import harm_length_on_disk, harm_on_disk, produce_raw
from tests.support.servers import Server


@pytest.mark.anyio
@pytest.mark.kafka
async def test_a_partition_whose_first_batch_is_unreadable_counts_as_readable(apache_kafka: Server) -> None:
    await create_topics(apache_kafka.bootstrap, default_plans(1))
    await produce_raw(apache_kafka.bootstrap, "clicks", compressed([Message(b"{}")] * 9, "gzip"))
    harm_on_disk(apache_kafka, "clicks", ATTRIBUTES, 7, base=0, sign=True)
    assert await is_readable(apache_kafka.bootstrap, Partition(Topic.CLICKS, 0))


@pytest.mark.anyio
async def test_an_empty_partition_is_readable_and_an_absent_broker_is_not(embedded_broker: Server) -> None:
    await create_topics(embedded_broker.bootstrap, default_plans(1))
    assert await is_readable(embedded_broker.bootstrap, Partition(Topic.ORDERS, 0))
    assert not await is_readable("127.0.0.1:1", Partition(Topic.ORDERS, 0), within_s=1)


@pytest.mark.anyio
@pytest.mark.kafka
async def test_records_after_disk_damage_are_not_readable(apache_kafka: Server) -> None:
    await create_topics(apache_kafka.bootstrap, default_plans(1))
    batches = [compressed([Message(b"{}")] * 9, "none")] * 3
    offsets = await produce_raw(apache_kafka.bootstrap, "clicks", *batches)
    harm_length_on_disk(apache_kafka, "clicks", 2**30, base=offsets[1])
    clicks = Partition(Topic.CLICKS, 0)
    assert await is_readable(apache_kafka.bootstrap, clicks, offsets[0])
    assert not await is_readable(apache_kafka.bootstrap, clicks, offsets[1], within_s=2)
    assert await is_readable(apache_kafka.bootstrap, clicks, 27), "there are no records after it"


@pytest.mark.anyio
@pytest.mark.kafka
async def test_records_of_an_open_transaction_are_not_readable(apache_kafka: Server) -> None:
    await create_topics(apache_kafka.bootstrap, default_plans(1))
    clicks = Partition(Topic.CLICKS, 0)
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka.bootstrap, transactional_id="open")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait("clicks", b"{}", partition=0)
            assert not await is_readable(apache_kafka.bootstrap, clicks, 0, within_s=3)
        assert await is_readable(apache_kafka.bootstrap, clicks, 0)
    finally:
        await producer.stop()
