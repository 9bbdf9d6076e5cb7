"""Topic metadata with topic ids, which change when a topic is deleted and created again.

aiokafka has no such request. This module sends Metadata version 10 (Kafka 2.8 and newer, and the embedded broker);
older brokers return no ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import shuffle
from typing import Any
from uuid import UUID

from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_NO_ID = bytes(16)


class _Uuid(AbstractType):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        return bytes(data.read(16))


_Text = CompactString("utf-8")


class _MetadataResponse(Response):
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", _Text), ("port", Int32), ("rack", _Text), ("tags", TaggedFields)),
        ),
        ("cluster_id", _Text),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _Text),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestV10(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 3, 10, True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _Text), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV10]):
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        return request_struct_class([(_NO_ID, topic, {}) for topic in self._topics], False, False, False, {})


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """A topic's metadata on the broker."""

    topic_id: str
    """Empty if the broker has no ids or no such topic."""
    partitions: int
    """0: no such topic."""


async def fetch_topic_metadata(client: Any, topics: Collection[str]) -> Mapping[str, TopicMetadata]:
    """Current metadata of topics, from any broker that responds; omits topics whose state the broker does not know.

    `client` is a started `AIOKafkaClient`. Raises KafkaError if no broker responds.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()] or [client.get_random_node()]
    shuffle(nodes)
    for left in reversed(range(len(nodes))):
        try:
            answer = await client.send(nodes[left], _MetadataRequest(topics))
        except (IncompatibleBrokerVersion, NotImplementedError):
            return await _without_ids(client, topics)
        except KafkaError:
            if not left:
                raise
        else:
            break
    return {
        name: TopicMetadata("", 0)
        if error
        else TopicMetadata("" if topic_id == _NO_ID else str(UUID(bytes=topic_id)), len(partitions))
        for error, name, topic_id, _, partitions, *_ in answer.topics
        if error in (0, UnknownTopicOrPartitionError.errno)
    }


async def _without_ids(client: Any, topics: Collection[str]) -> Mapping[str, TopicMetadata]:
    """Metadata from a broker without topic ids."""
    cluster = await client.fetch_all_metadata()
    counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
    return {
        topic: TopicMetadata("", count)
        for topic, count in counts.items()
        if count or topic not in cluster.unauthorized_topics
    }


async def require_describe_access(client: Any, topic: str) -> None:
    """Raise TopicAuthorizationFailedError without permission to describe a topic, as brokers do not list it then."""
    with suppress(IncompatibleBrokerVersion, NotImplementedError):
        answer = await client.send(client.get_random_node(), _MetadataRequest([topic]))
        if any(error == TopicAuthorizationFailedError.errno for error, *_ in answer.topics):
            raise TopicAuthorizationFailedError(f"topic {topic}")
