"""Topic ids on both brokers: constant for the life of a topic, new when it is re-created."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, NodeNotReadyError

from consumers.kafka.metadata import TopicMetadata, fetch_topic_metadata
from consumers.topic_admin import create_topics, default_plans
from streams.local.embedded.broker import is_embedded_topic
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


async def known(broker: Server) -> Mapping[str, TopicMetadata]:
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap)
    try:
        await client.bootstrap()
        return await fetch_topic_metadata(client, ["clicks", "orders", "not-there"])
    finally:
        await client.close()


async def ids(broker: Server) -> dict[str, str]:
    return {name: held.topic_id for name, held in (await known(broker)).items() if held.partitions}


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


async def test_a_topic_keeps_its_id_until_it_is_re_created(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    before = await ids(broker)
    assert set(before) == {"clicks", "orders"}
    assert await ids(broker) == before
    await delete(broker, "clicks")
    await create_topics(broker.bootstrap, default_plans(2))
    after = await ids(broker)
    assert after["orders"] == before["orders"]
    assert after["clicks"] != before["clicks"]


async def test_topic_ids_identify_the_embedded_broker(broker: Server, request: pytest.FixtureRequest) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    embedded = request.node.callspec.params["broker"] == "embedded"
    assert {is_embedded_topic(topic_id) for topic_id in (await ids(broker)).values()} == {embedded}


async def test_metadata_has_the_partition_count_and_0_for_missing_topics(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    found = await known(broker)
    assert {name: held.partitions for name, held in found.items()} == {"clicks": 2, "orders": 2, "not-there": 0}


async def test_an_old_broker_returns_partition_counts_without_ids() -> None:
    class Cluster:
        unauthorized_topics = frozenset({"secret"})

        def brokers(self) -> list[object]:
            return []

        def partitions_for_topic(self, topic: str) -> set[int] | None:
            return {0, 1} if topic == "clicks" else None

    class Old:
        cluster = Cluster()

        def get_random_node(self) -> int:
            return 1

        async def send(self, _node: int, request: object) -> object:
            return request.prepare({3: (0, 9)})  # type: ignore[attr-defined]

        async def fetch_all_metadata(self) -> Cluster:
            return self.cluster

    class Silent(Old):
        async def send(self, _node: int, _request: object) -> object:
            raise IncompatibleBrokerVersion

    for client in (Old(), Silent()):
        found = await fetch_topic_metadata(client, ["clicks", "orders", "secret"])
        assert found == {"clicks": TopicMetadata("", 2), "orders": TopicMetadata("", 0)}


async def test_an_unresponsive_broker_is_skipped() -> None:
    class Cluster:
        def __init__(self, *nodes: int) -> None:
            self.nodes = nodes

        def brokers(self) -> list[object]:
            return [SimpleNamespace(nodeId=node) for node in self.nodes]

    class Client:
        def __init__(self, *nodes: int) -> None:
            self.cluster = Cluster(*nodes)

        async def send(self, node: int, _request: object) -> object:
            if node != 3:
                raise NodeNotReadyError
            return SimpleNamespace(topics=[(0, "clicks", bytes(15) + b"a", False, [1, 2])])

    found = await fetch_topic_metadata(Client(1, 2, 3), ["clicks"])
    assert found["clicks"].partitions == 2
    with pytest.raises(NodeNotReadyError):
        await fetch_topic_metadata(Client(1, 2), ["clicks"])
