"""Message keys and their partitions."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.events import EVENT_TYPES
from consumers.kafka.partitioning import key_from_routing, parse_routing_fields, partition_for_key
from consumers.topics import Topic
from tests.support.poison import GOOD, encode, nested, with_raw

EVENT = {"user_id": "u", "order_id": "o", "sku": "s", "promotion_id": "p"}


@pytest.mark.parametrize(
    ("topic", "event_type", "key"),
    [
        (Topic.CLICKS, "page_view", b"u"),
        (Topic.ORDERS, "order_paid", b"o"),
        (Topic.LOGISTICS, "stock_level", b"s"),
        (Topic.LOGISTICS, "stock_received", b"s"),
        (Topic.LOGISTICS, "stock_adjusted", b"s"),
        (Topic.LOGISTICS, "shipment_dispatched", b"o"),
        (Topic.LOGISTICS, "return_received", b"o"),
        (Topic.PROMOTIONS, None, b"p"),
    ],
)
def test_keys_follow_the_contract(topic: Topic, event_type: str | None, key: bytes) -> None:
    event = {**EVENT, "type": event_type}
    assert key_from_routing(topic, parse_routing_fields(encode(event))) == key


def test_every_logistics_type_has_a_key() -> None:
    assert {
        key_from_routing(Topic.LOGISTICS, parse_routing_fields(encode({**EVENT, "type": name})))
        for name in EVENT_TYPES[Topic.LOGISTICS]
    } == {
        b"s",
        b"o",
    }


@pytest.mark.parametrize(
    "line", [b"", b"no json", b"[]", b"\xff", nested(200_000), b'{"user_id":5}', b'{"user_id":null}', b'{"user_id":""}']
)
def test_a_line_without_a_key_field_has_no_key(line: bytes) -> None:
    assert key_from_routing(Topic.CLICKS, parse_routing_fields(line)) is None


def test_a_type_that_is_not_a_string_does_not_prevent_a_key() -> None:
    line = with_raw(Topic.LOGISTICS, "type", b'["x"]')
    assert key_from_routing(Topic.LOGISTICS, parse_routing_fields(line)) is None
    keyed = encode({**GOOD[Topic.LOGISTICS], "type": ["x"], "order_id": "o-1"})
    assert key_from_routing(Topic.LOGISTICS, parse_routing_fields(keyed)) == b"o-1"


@given(key=st.binary(max_size=40), partitions=st.integers(1, 64))
def test_partitions_equal_those_of_other_kafka_clients(key: bytes, partitions: int) -> None:
    assert partition_for_key(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions
