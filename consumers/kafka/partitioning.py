"""Message keys, and the partition of a key as every Kafka client computes it."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import msgspec

from consumers.contract.events import STOCK_TYPES
from consumers.topics import Topic

_MASK = 0xFFFFFFFF
_MIX = 0x5BD1E995


class RoutingFields(msgspec.Struct, frozen=True, gc=False):
    """The fields that determine key and due time; unvalidated JSON values."""

    ts: Any = None
    type: Any = None
    user_id: Any = None
    order_id: Any = None
    sku: Any = None
    promotion_id: Any = None


_decoder = msgspec.json.Decoder(RoutingFields)


def parse_routing_fields(line: bytes) -> RoutingFields | None:
    """The routing fields of a JSON object; None for anything else."""
    try:
        return _decoder.decode(line)
    except Exception:  # too deep, not UTF-8, not JSON: decoding reports the reason
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
    raise ValueError(f"messages of {topic} are keyed like their originals")


def key_from_routing(topic: Topic, routing: RoutingFields | None) -> bytes | None:
    """The Kafka key from routing fields; None if there is none."""
    if routing is None:
        return None
    key = getattr(routing, key_field(topic, routing.type if isinstance(routing.type, str) else None))
    return key.encode("utf-8", "replace") if isinstance(key, str) and key else None


@lru_cache(maxsize=2**17)
def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner (murmur2)."""
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
