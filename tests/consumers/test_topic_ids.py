"""Ids of topics, on both brokers: the same for as long as the topic is, another when it is made anew."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion

from consumers.topic_admin import create_topics, default_plans
from consumers.topic_ids import topic_ids
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


async def ids(broker: Server) -> dict[str, str]:
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap)
    try:
        await client.bootstrap()
        return dict(await topic_ids(client, ["clicks", "orders", "not-there"]) or {})
    finally:
        await client.close()


async def delete(broker: Server, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(10):
            while topic in await ids(broker):
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_a_topic_keeps_its_id_until_it_is_made_anew(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    before = await ids(broker)
    assert set(before) == {"clicks", "orders"}
    assert await ids(broker) == before
    await delete(broker, "clicks")
    await create_topics(broker.bootstrap, default_plans(2))
    after = await ids(broker)
    assert after["orders"] == before["orders"]
    assert after["clicks"] != before["clicks"]


async def test_a_broker_that_is_too_old_tells_none() -> None:
    class Old:
        def get_random_node(self) -> int:
            return 1

        async def send(self, _node: int, request: object) -> object:
            return request.prepare({3: (0, 9)})  # type: ignore[attr-defined]

    assert await topic_ids(Old(), ["clicks"]) is None

    class Silent(Old):
        async def send(self, _node: int, _request: object) -> object:
            raise IncompatibleBrokerVersion

    assert await topic_ids(Silent(), ["clicks"]) is None
