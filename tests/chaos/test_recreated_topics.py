"""Recreated topics, by an operator or an embedded broker without storage: offsets restart, nothing counts twice."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from consumers.kafka.producer import OutgoingMessage
from consumers.ndjson import find_recordings, read_merged
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from tests.chaos.conftest import Opening, Recording
from tests.support.combinations import on_alternate_brokers
from tests.support.servers import Server
from tests.support.stack import Shop
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

GAP_S = 2.5
"""Within two seconds a topic cannot have been recreated and filled unnoticed."""


def parts(recording: Recording, every: int = 2) -> tuple[list[OutgoingMessage], list[OutgoingMessage]]:
    """Every second event of each topic, or every third, ..., and the rest; promotions first. Both cover the same time.

    With every second, both end at the same offset.
    """
    messages = [OutgoingMessage(*line[1:]) for line in read_merged(find_recordings([recording.folder]))]
    by_topic = [[message for message in messages if message.topic is topic] for topic in (Topic.CLICKS, Topic.ORDERS)]
    promotions = [message for message in messages if message.topic is Topic.PROMOTIONS]
    first = [message for held in by_topic for message in held[0::every]]
    rest = [message for held in by_topic for i, message in enumerate(held) if i % every]
    return promotions + first, rest


def recreate_topics(shop: Shop) -> None:
    """Restart the broker, which is empty then, and create the topics."""
    shop.broker.restart()
    asyncio.run(create_topics(shop.settings.kafka, default_plans(shop.settings.partitions)))
    shop.ends.clear()


@pytest.mark.parametrize("worker", ["the same worker", "another worker"])
def test_recreated_topics_are_counted_from_their_first_record(
    embedded_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, worker: str
) -> None:
    first, second = parts(recording)
    with open_shop(embedded_broker, redis_server, partitions=1) as shop:
        shop.send(first)
        shop.until_counted()
        counted = shop.counted()
        if worker == "another worker":
            shop.stop_worker()
        recreate_topics(shop)
        if worker == "another worker":
            shop.start_worker()
        eventually(lambda: {"clicks/0", "orders/0"} <= set(shop.incomplete()), within_s=30, what="the loss is reported")
        shop.send(second)
        eventually(lambda: shop.counted() == 2 * counted, within_s=60, what="the second half is counted too")
        recording.check(shop)


@pytest.mark.parametrize(
    ("broker", "worker"), on_alternate_brokers(("the same worker",), ("another worker",)), indirect=["broker"]
)
def test_a_recreated_topic_that_outgrew_the_position_is_detected(
    broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, worker: str
) -> None:
    """Offsets cannot show it; the topic id does."""
    first, rest = parts(recording, every=3)
    with open_shop(broker, redis_server, partitions=1) as shop:
        shop.send(first)
        shop.until_counted()
        counted = shop.counted()
        shop.workers[0].pause() if worker == "the same worker" else shop.stop_worker()
        paused = time.monotonic()
        asyncio.run(delete_topics(shop.settings.bootstrap, Topic.CLICKS, Topic.ORDERS))
        asyncio.run(create_topics(shop.settings.kafka, default_plans(shop.settings.partitions)))
        before = dict(shop.ends)
        shop.ends.clear()
        shop.send(rest)
        assert all(end > before[place] for place, end in shop.ends.items())
        time.sleep(max(0, GAP_S - (time.monotonic() - paused)))
        shop.workers[0].resume() if worker == "the same worker" else shop.start_worker()
        eventually(lambda: {"clicks/0", "orders/0"} <= set(shop.incomplete()), within_s=30, what="the loss is reported")
        assert "topic was recreated" in shop.log()
        recording.check(shop)
        assert shop.counted() == counted + len(rest)


async def delete_topics(bootstrap: str, *topics: Topic) -> None:
    """Delete topics, and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic.value for topic in topics])
        async with asyncio.timeout(20):
            while {topic.value for topic in topics} & set(await admin.list_topics()):
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
