"""Checks that topics exist."""

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
    """The number of partitions of a topic, by its name on the broker. Never creates the topic.

    `client` is a started `AIOKafkaClient`. Raises SalepulseError if the topic is missing, TopicAuthorizationFailedError
    without permission. New topics reach brokers one after the other, so this retries for a second.
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
    """The number of partitions of each topic that workers use. Raises SalepulseError if one is missing."""
    async with kafka_errors(kafka):
        client = AIOKafkaClient(**kafka_client_config(kafka).options())
        try:
            await client.bootstrap()
            names = kafka_client_config(kafka).topics
            return {topic: await partition_count(client, names.on_broker(topic), kafka) for topic in WORKER_TOPICS}
        finally:
            await client.close()
