"""Which key a message has, and which partition its key goes to: the same as every Kafka client's."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from consumers.contract.events import STOCK_TYPES
from consumers.topics import Topic

_MASK = 0xFFFFFFFF
_MIX = 0x5BD1E995


class RoutingFields(msgspec.Struct, frozen=True, gc=False):
    """The fields of a message that decide where and when it goes; of any JSON type, for nothing is checked here."""

    ts: Any = None
    type: Any = None
    user_id: Any = None
    order_id: Any = None
    sku: Any = None
    promotion_id: Any = None


_decoder = msgspec.json.Decoder(RoutingFields)


def parse_routing_fields(line: bytes) -> RoutingFields | None:
    """The routing fields of a JSON object; None if the line is none."""
    try:
        return _decoder.decode(line)
    except Exception:  # of any kind: too deep, not UTF-8, not JSON; what it is, decoding will tell
        return None


def key_field(topic: Topic, event_type: object) -> str:
    """The name of the field that is the message's Kafka key.

    >>> key_field(Topic.LOGISTICS, "stock_level"), key_field(Topic.LOGISTICS, "return_received")
    ('sku', 'order_id')
    """
    match topic:
        case Topic.CLICKS:
            return "user_id"
        case Topic.ORDERS:
            return "order_id"
        case Topic.LOGISTICS:
            return "sku" if event_type in STOCK_TYPES else "order_id"
        case Topic.PROMOTIONS:
            return "promotion_id"
    raise ValueError(f"messages of {topic} are keyed by whoever wrote the original")


def event_key(topic: Topic, event: Mapping[str, Any]) -> bytes | None:
    """The Kafka key of an event; None when the field that gives it is no string, or empty."""
    return _key(event.get(key_field(topic, _type_of(event.get("type")))))


def key_from_routing(topic: Topic, routing: RoutingFields | None) -> bytes | None:
    """The same, of what `parse_routing_fields` found."""
    return None if routing is None else _key(getattr(routing, key_field(topic, _type_of(routing.type))))


def _type_of(given: object) -> str | None:
    return given if isinstance(given, str) else None


def _key(given: object) -> bytes | None:
    return given.encode("utf-8", "replace") if isinstance(given, str) and given else None


@lru_cache(maxsize=2**17)
def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner (murmur2) puts the key into."""
    length = len(key)
    words = length >> 2
    mixed = 0x9747B28C ^ length
    for word in struct.unpack_from(f"<{words}I", key):
        word = word * _MIX & _MASK
        word = (word ^ word >> 24) * _MIX & _MASK
        mixed = (mixed * _MIX & _MASK) ^ word
    if rest := key[words << 2 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _MIX & _MASK
    mixed = (mixed ^ mixed >> 13) * _MIX & _MASK
    return ((mixed ^ mixed >> 15) & 0x7FFFFFFF) % partitions
