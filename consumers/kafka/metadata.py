"""Which topics a broker has."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.topic_ids import require_describe_access
from consumers.topics import WORKER_TOPICS, Topic

_TRIES = 5
_PAUSE_S = 0.2


async def partition_count(client: Any, topic: str, kafka: KafkaTarget) -> int:
    """How many partitions the topic of this name on the broker has, asked of a started `AIOKafkaClient`. Never creates
    it.

    Raises SalepulseError if there is no such topic, TopicAuthorizationFailedError if we may not see it. Brokers learn
    of a new topic one after the other, so this asks again for a second before it says so.
    """
    cluster = client.cluster
    for _ in range(_TRIES):
        if partitions := cluster.partitions_for_topic(topic):
            return len(partitions)
        cluster = await client.fetch_all_metadata()
        if not cluster.partitions_for_topic(topic):
            await asyncio.sleep(_PAUSE_S)
    await require_describe_access(client, topic)
    raise SalepulseError(f"topic {topic} does not exist at {kafka}: run `salepulse topics create`", retriable=True)


async def require_topics(kafka: KafkaTarget) -> dict[Topic, int]:
    """How many partitions each topic has that a worker reads or writes. Raises SalepulseError if one is missing."""
    async with kafka_errors(kafka):
        client = AIOKafkaClient(**kafka_client_config(kafka).options())
        try:
            await client.bootstrap()
            names = kafka_client_config(kafka).topics
            return {topic: await partition_count(client, names.on_broker(topic), kafka) for topic in WORKER_TOPICS}
        finally:
            await client.close()
