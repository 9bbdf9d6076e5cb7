"""The clock of a Kafka broker, read without writing to it.

aiokafka has no request for it. This module sends DescribeQuorum version 1 (Kafka 3.3 and newer), whose response has the
time at which the leader of the KRaft quorum sent it. Older brokers do not report their time.
"""

from __future__ import annotations

import time
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_Text = CompactString("utf-8")
_REPLICAS = CompactArray(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_timestamp", Int64),
    ("last_caught_up_timestamp", Int64),
    ("tags", TaggedFields),
)


class _QuorumResponse(Response):
    API_KEY, API_VERSION = 55, 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", _Text),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumRequestV1(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 55, 1, True
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", _Text),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumRequest(Request[_QuorumRequestV1]):
    API_KEY = 55

    def build(self, request_struct_class: type[_QuorumRequestV1]) -> _QuorumRequestV1:
        return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})


async def broker_clock_offset_s(client: Any) -> float | None:
    """Seconds by which the quorum leader's clock is ahead of this machine's; negative if behind, None if unknown.

    `client` is a started `AIOKafkaClient`. The result is None for an old broker and for a missing permission.
    """
    before_s = time.time()
    try:
        answer = await client.send(client.get_random_node(), _QuorumRequest())
    except (IncompatibleBrokerVersion, NotImplementedError, KafkaError, OSError):
        return None
    after_s = time.time()
    if answer.error_code or not answer.topics:
        return None
    _, partitions, *_ = answer.topics[0]
    _, _, leader, _, _, voters, *_ = partitions[0]
    leader_time_ms = next((fetched_ms for replica, _, fetched_ms, *_ in voters if replica == leader), 0)
    return leader_time_ms / 1000 - (before_s + after_s) / 2 if leader_time_ms > 0 else None
