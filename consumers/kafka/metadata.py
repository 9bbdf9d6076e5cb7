"""What brokers report: partitions and ids of topics, their settings, and the clock.

aiokafka lacks two of the requests. Metadata version 10 (Kafka 2.8 and newer, and the embedded broker) has topic ids,
which change when a topic is deleted and created again. DescribeQuorum version 1 (Kafka 3.3 and newer) has the time at
which the leader of the KRaft quorum responded. Older brokers report neither.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import shuffle
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
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
    Int64,
    Schema,
    TaggedFields,
)

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.topics import WORKER_TOPICS, InputTopic

T = TypeVar("T")

_NO_ID = bytes(16)
_POLL_EVERY_S = 0.2


class _Uuid(AbstractType):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        return bytes(data.read(16))


_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


def _array(*fields: tuple[str, Any]) -> CompactArray:
    return CompactArray(*fields, _TAGS)


class _MetadataResponse(Response):
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            _array(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    _array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        *((name, CompactArray(Int32)) for name in ("replicas", "isr", "offline_replicas")),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class _MetadataRequestV10(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 3, 10, True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", _array(("topic_id", _Uuid), ("name", _TEXT))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _MetadataRequest(Request[_MetadataRequestV10]):
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        return request_struct_class([(_NO_ID, topic, {}) for topic in self._topics], False, False, False, {})


_REPLICAS = _array(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_timestamp", Int64),
    ("last_caught_up_timestamp", Int64),
)


class _QuorumResponse(Response):
    API_KEY, API_VERSION = 55, 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            _array(
                ("name", _TEXT),
                (
                    "partitions",
                    _array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                    ),
                ),
            ),
        ),
        _TAGS,
    )


class _QuorumRequestV1(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 55, 1, True
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(("topics", _array(("name", _TEXT), ("partitions", _array(("partition", Int32))))), _TAGS)


class _QuorumRequest(Request[_QuorumRequestV1]):
    API_KEY = 55

    def build(self, request_struct_class: type[_QuorumRequestV1]) -> _QuorumRequestV1:
        return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})


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
    for remaining in reversed(range(len(nodes))):
        try:
            response = await client.send(nodes[remaining], _MetadataRequest(topics))
        except (IncompatibleBrokerVersion, NotImplementedError):
            return await _without_ids(client, topics)
        except KafkaError:
            if not remaining:
                raise
        else:
            break
    return {
        name: TopicMetadata("", 0)
        if error
        else TopicMetadata("" if topic_id == _NO_ID else str(UUID(bytes=topic_id)), len(partitions))
        for error, name, topic_id, _, partitions, *_ in response.topics
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
        response = await client.send(client.get_random_node(), _MetadataRequest([topic]))
        if any(error == TopicAuthorizationFailedError.errno for error, *_ in response.topics):
            raise TopicAuthorizationFailedError(f"topic {topic}")


async def fetch_topic_settings(admin: Any, topic: str) -> dict[str, tuple[str, int]] | None:
    """A topic's settings: name -> (value, source). None if the broker does not report them."""
    with suppress(KafkaError):
        for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
            for code, _message, _kind, _name, entries in response.resources:
                if not code and entries:
                    return {name: (value or "", int(source)) for name, value, _read_only, source, *_ in entries}
    return None


async def broker_clock_offset_s(client: Any) -> float | None:
    """Seconds by which the quorum leader's clock is ahead of this machine's; negative if behind, None if unknown.

    `client` is a started `AIOKafkaClient`. The result is None for an old broker and for a missing permission.
    """
    before_s = time.time()
    try:
        response = await client.send(client.get_random_node(), _QuorumRequest())
    except (IncompatibleBrokerVersion, NotImplementedError, KafkaError, OSError):
        return None
    after_s = time.time()
    if response.error_code or not response.topics:
        return None
    _, partitions, *_ = response.topics[0]
    _, _, leader, _, _, voters, *_ = partitions[0]
    leader_time_ms = next((fetched_ms for replica, _, fetched_ms, *_ in voters if replica == leader), 0)
    return leader_time_ms / 1000 - (before_s + after_s) / 2 if leader_time_ms > 0 else None


async def wait_until(probe: Callable[[], Awaitable[T]], *, within_s: float) -> T:
    """The first true result of `probe`, or its last result after `within_s` seconds."""
    deadline = monotonic() + within_s
    while not (result := await probe()) and monotonic() < deadline:
        await asyncio.sleep(_POLL_EVERY_S)
    return result


async def partition_count(client: Any, topic: str, kafka: KafkaTarget) -> int:
    """The number of partitions of a topic, by its name on the broker. Never creates the topic.

    `client` is a started `AIOKafkaClient`. Raises SalepulseError if the topic is missing, TopicAuthorizationFailedError
    without permission. New topics reach brokers one after the other, so this retries for a second.
    """

    async def count() -> int:
        return len((await client.fetch_all_metadata()).partitions_for_topic(topic) or ())

    if known := client.cluster.partitions_for_topic(topic):
        return len(known)
    if partitions := await wait_until(count, within_s=1):
        return partitions
    await require_describe_access(client, topic)
    raise SalepulseError(
        f"topic {topic} does not exist at {kafka}: run `salepulse topics create`, or create the topic of a source",
        retriable=True,
    )


async def require_topics(kafka: KafkaTarget, topics: Collection[InputTopic] = WORKER_TOPICS) -> dict[InputTopic, int]:
    """The number of partitions of each topic, by default of those that workers use. Raises SalepulseError if one is
    missing."""
    async with kafka_errors(kafka):
        client = AIOKafkaClient(**kafka_client_config(kafka).options())
        try:
            await client.bootstrap()
            names = kafka_client_config(kafka).topics
            return {topic: await partition_count(client, names.on_broker(topic), kafka) for topic in topics}
        finally:
            await client.close()
