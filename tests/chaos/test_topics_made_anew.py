"""An embedded broker keeps nothing over a restart: topics begin again at offset 0. What was counted stays counted."""

from __future__ import annotations

import asyncio

import pytest

from consumers.ndjson import find_recordings, read_merged
from consumers.producing import Outgoing
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import Topic
from tests.chaos.conftest import Opening, Recording
from tests.support.servers import Server
from tests.support.stack import Shop
from tests.support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("redis_url")]


def halves(recording: Recording) -> tuple[list[Outgoing], list[Outgoing]]:
    """Every other event of each topic; promotions in the first half. Both cover the same time and end at one offset."""
    messages = [Outgoing(*line[1:]) for line in read_merged(find_recordings([recording.folder]))]
    by_topic = [[message for message in messages if message.topic is topic] for topic in (Topic.CLICKS, Topic.ORDERS)]
    promotions = [message for message in messages if message.topic is Topic.PROMOTIONS]
    first = [message for held in by_topic for message in held[0::2]]
    return promotions + first, [message for held in by_topic for message in held[1::2]]


def begin_anew(shop: Shop) -> None:
    """Restart the broker, which is empty then, and make the topics."""
    shop.broker.restart()
    asyncio.run(create_topics(shop.settings.bootstrap, default_plans(shop.settings.partitions)))
    shop.ends.clear()


@pytest.mark.parametrize("worker", ["the same worker", "another worker"])
def test_topics_made_anew(
    embedded_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, worker: str
) -> None:
    first, second = halves(recording)
    with open_shop(embedded_broker, redis_server, partitions=1) as shop:
        shop.send(first)
        shop.until_counted()
        counted = shop.counted()
        if worker == "another worker":
            shop.stop_worker()
        begin_anew(shop)
        if worker == "another worker":
            shop.start_worker()
        eventually(
            lambda: {"clicks/0", "orders/0"} <= set(shop.incomplete()), within_s=30, what="it is noticed and said"
        )
        shop.send(second)
        eventually(lambda: shop.counted() == 2 * counted, within_s=60, what="the second half is counted too")
        recording.check(shop)
