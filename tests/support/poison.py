"""Messages that break the contract, each with its expected reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from consumers.contract.events import EVENT_TYPES, MAX_MONEY, MAX_TS_MS
from consumers.contract.rejection import RejectionReason
from consumers.topics import Topic

Poison = tuple[bytes | None, RejectionReason]

GOOD: dict[Topic, dict[str, Any]] = {
    Topic.CLICKS: {
        "event_id": "c-1",
        "type": "product_view",
        "ts": 1_700_000_000_000,
        "user_id": "u-5",
        "session_id": "s-1",
        "sku": "s-9",
        "category": "beauty",
        "channel": "live",
        "region": "east",
        "promotion_id": "d11",
        "member": True,
        "dwell_ms": 2_310,
    },
    Topic.ORDERS: {
        "event_id": "9f1c",
        "type": "order_paid",
        "ts": 1_700_000_000_000,
        "order_id": "o-17",
        "user_id": "u-5",
        "items": [{"sku": "s-9", "category": "beauty", "qty": 2, "unit_price": 12_900}],
        "discount": 3_000,
        "channel": "live",
        "region": "east",
        "promotion_id": "d11",
        "member": True,
    },
    Topic.LOGISTICS: {
        "event_id": "l-1",
        "type": "stock_level",
        "ts": 1_700_000_000_000,
        "sku": "s-9",
        "warehouse": "w-1",
        "on_hand": 250,
    },
}
"""A valid event of each event topic."""


def encode(event: object) -> bytes:
    """The event as producers write it."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def good(topic: Topic, **changes: Any) -> bytes:
    """A valid event of the topic with these fields replaced."""
    return encode({**GOOD[topic], **changes})


def without(topic: Topic, name: str) -> bytes:
    """A valid event of the topic without one field."""
    return encode({key: value for key, value in GOOD[topic].items() if key != name})


def with_raw(topic: Topic, name: str, raw: bytes) -> bytes:
    """A valid event of the topic with the raw text of a field's value."""
    return without(topic, name)[:-1] + b',"' + name.encode() + b'":' + raw + b"}"


def nested(levels: int) -> bytes:
    """Nested arrays."""
    return b"[" * levels + b"]" * levels


def poison(rng: Random, topic: Topic, n: int) -> list[Poison]:
    """`n` invalid messages for an event topic; every kind, if `n` is large enough."""
    kinds = [*_ANY_TOPIC, *_OF_TOPIC[topic]]
    rng.shuffle(kinds)
    return [kinds[i % len(kinds)](rng, topic) for i in range(n)]


def _always(value: bytes | None, reason: RejectionReason) -> Callable[[Random, Topic], Poison]:
    return lambda _rng, _topic: (value, reason)


def _field(name: str, given: Any, reason: RejectionReason) -> Callable[[Random, Topic], Poison]:
    return lambda _rng, topic: (good(topic, **{name: given}), reason)


def _raw(name: str, raw: bytes, reason: RejectionReason) -> Callable[[Random, Topic], Poison]:
    return lambda _rng, topic: (with_raw(topic, name, raw), reason)


def _truncated(rng: Random, topic: Topic) -> Poison:
    value = good(topic)
    return value[: rng.randrange(1, len(value))], RejectionReason.BAD_JSON


def _bad_byte(rng: Random, topic: Topic) -> Poison:
    value = good(topic, note="x" * 20)
    at = rng.randrange(len(value))
    return value[:at] + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80"]) + value[at:], RejectionReason.BAD_ENCODING


def _missing(rng: Random, topic: Topic) -> Poison:
    return without(topic, rng.choice(["event_id", "type", "ts"])), RejectionReason.MISSING_FIELD


def _null(rng: Random, topic: Topic) -> Poison:
    return good(topic, **{rng.choice(["event_id", "type", "ts"]): None}), RejectionReason.MISSING_FIELD


def _other_topic(rng: Random, topic: Topic) -> Poison:
    other = rng.choice([name for home, names in EVENT_TYPES.items() if home is not topic for name in sorted(names)])
    return good(topic, type=other), RejectionReason.WRONG_TOPIC


def _deep(rng: Random, topic: Topic) -> Poison:
    return with_raw(topic, "extra", nested(rng.choice([32, 100, 900]))), RejectionReason.TOO_DEEP


def _item(**changes: Any) -> Callable[[Random, Topic], Poison]:
    reason = changes.pop("reason")
    return _field("items", [{**GOOD[Topic.ORDERS]["items"][0], **changes}], reason)


_ANY_TOPIC: list[Callable[[Random, Topic], Poison]] = [
    _always(None, RejectionReason.EMPTY),
    _always(b"", RejectionReason.EMPTY),
    _always(b" \r\n\t", RejectionReason.EMPTY),
    _always(b'"' + b"x" * 2_000_000 + b'"', RejectionReason.TOO_LARGE),
    _field("source", "x" * 2_000_000, RejectionReason.TOO_LARGE),
    _field("extra", "x" * 2**20, RejectionReason.TOO_LARGE),
    _bad_byte,
    _raw("extra", b'"\xff"', RejectionReason.BAD_ENCODING),
    _raw("source", b'"\xff"', RejectionReason.BAD_ENCODING),
    _raw("event_id", rb'"\ud800"', RejectionReason.BAD_ENCODING),
    _raw("source", rb'"\udc00 alone"', RejectionReason.BAD_ENCODING),
    _truncated,
    _always(b"hello", RejectionReason.BAD_JSON),
    _always(b"{} {}", RejectionReason.BAD_JSON),
    _always(b"\xef\xbb\xbf{}", RejectionReason.BAD_JSON),
    _always(b"\x00", RejectionReason.BAD_JSON),
    _always(b"NaN", RejectionReason.BAD_JSON),
    _raw("extra", b"NaN", RejectionReason.BAD_JSON),
    _raw("extra", b"-Infinity", RejectionReason.BAD_JSON),
    _raw("extra", b"01", RejectionReason.BAD_JSON),
    _raw("extra", b'"\n"', RejectionReason.BAD_JSON),
    _raw("ts", b"NaN", RejectionReason.BAD_JSON),
    _raw("ts", b"1e999", RejectionReason.BAD_JSON),
    _deep,
    _always(nested(200_000), RejectionReason.TOO_DEEP),
    _always(b"[" * 200_000, RejectionReason.TOO_DEEP),
    _always(b'{"a":' * 200_000, RejectionReason.TOO_DEEP),
    _raw("extra", nested(200_000), RejectionReason.TOO_DEEP),
    _always(b"[]", RejectionReason.NOT_AN_OBJECT),
    _always(b"null", RejectionReason.NOT_AN_OBJECT),
    _always(b"17", RejectionReason.NOT_AN_OBJECT),
    _always(b'"order_paid"', RejectionReason.NOT_AN_OBJECT),
    _always(b"1e999", RejectionReason.NOT_AN_OBJECT),
    _field("type", "view", RejectionReason.UNKNOWN_TYPE),
    _field("type", "", RejectionReason.UNKNOWN_TYPE),
    _field("type", "ORDER_PAID", RejectionReason.UNKNOWN_TYPE),
    _other_topic,
    _missing,
    _null,
    _always(b"{}", RejectionReason.MISSING_FIELD),
    _field("type", 5, RejectionReason.WRONG_TYPE),
    _field("event_id", 17, RejectionReason.WRONG_TYPE),
    _field("event_id", ["a"], RejectionReason.WRONG_TYPE),
    _field("source", {}, RejectionReason.WRONG_TYPE),
    _field("ts", "1700000000000", RejectionReason.WRONG_TYPE),
    _field("ts", True, RejectionReason.WRONG_TYPE),
    _raw("ts", b"1.0", RejectionReason.WRONG_TYPE),
    _raw("ts", b"1e3", RejectionReason.WRONG_TYPE),
    _field("event_id", "", RejectionReason.OUT_OF_RANGE),
    _field("event_id", "é" * 129, RejectionReason.OUT_OF_RANGE),
    _field("source", [], RejectionReason.WRONG_TYPE),
    _field("ts", -1, RejectionReason.OUT_OF_RANGE),
    _field("ts", MAX_TS_MS + 1, RejectionReason.OUT_OF_RANGE),
    _field("ts", 2**64, RejectionReason.OUT_OF_RANGE),
    _raw("ts", b"9" * 5_000, RejectionReason.OUT_OF_RANGE),
]

_OF_TOPIC: dict[Topic, list[Callable[[Random, Topic], Poison]]] = {
    Topic.CLICKS: [
        _field("session_id", None, RejectionReason.MISSING_FIELD),
        _field("member", 1, RejectionReason.WRONG_TYPE),
        _field("member", "true", RejectionReason.WRONG_TYPE),
        _field("sku", 9, RejectionReason.WRONG_TYPE),
        _field("cost", -1, RejectionReason.OUT_OF_RANGE),
        _field("dwell_ms", -1, RejectionReason.OUT_OF_RANGE),
        _field("user_id", "", RejectionReason.OUT_OF_RANGE),
        _field("keyword", 5, RejectionReason.WRONG_TYPE),
        _raw("campaign", b'"' + b"x" * 200 + rb'\ud800"', RejectionReason.BAD_ENCODING),
    ],
    Topic.ORDERS: [
        _field("order_id", "x" * 129, RejectionReason.OUT_OF_RANGE),
        _item(sku="", reason=RejectionReason.OUT_OF_RANGE),
        _item(category=7, reason=RejectionReason.WRONG_TYPE),
        _field("items", None, RejectionReason.MISSING_FIELD),
        _field("type", "order_refunded", RejectionReason.MISSING_FIELD),
        _item(sku=None, reason=RejectionReason.MISSING_FIELD),
        _item(qty=None, reason=RejectionReason.MISSING_FIELD),
        _field("items", {}, RejectionReason.WRONG_TYPE),
        _field("items", "s-9", RejectionReason.WRONG_TYPE),
        _field("items", [None], RejectionReason.WRONG_TYPE),
        _field("items", [[]], RejectionReason.WRONG_TYPE),
        _raw("discount", b"1.0", RejectionReason.WRONG_TYPE),
        _item(qty="2", reason=RejectionReason.WRONG_TYPE),
        _item(unit_price=0.5, reason=RejectionReason.WRONG_TYPE),
        _field("items", [], RejectionReason.OUT_OF_RANGE),
        _field("items", GOOD[Topic.ORDERS]["items"] * 1_001, RejectionReason.OUT_OF_RANGE),
        _item(qty=0, reason=RejectionReason.OUT_OF_RANGE),
        _item(qty=-2, reason=RejectionReason.OUT_OF_RANGE),
        _item(qty=10**9 + 1, reason=RejectionReason.OUT_OF_RANGE),
        _item(unit_price=-1, reason=RejectionReason.OUT_OF_RANGE),
        _item(unit_price=MAX_MONEY + 1, reason=RejectionReason.OUT_OF_RANGE),
        _item(unit_price=MAX_MONEY, reason=RejectionReason.OUT_OF_RANGE),  # two of them
        _field("discount", -1, RejectionReason.OUT_OF_RANGE),
        _field("discount", 25_801, RejectionReason.NEGATIVE_AMOUNT),
        _field("refund_amount", -1, RejectionReason.OUT_OF_RANGE),
        _field("shipping_fee", MAX_MONEY, RejectionReason.OUT_OF_RANGE),
    ],
    Topic.LOGISTICS: [
        _field("warehouse", "", RejectionReason.OUT_OF_RANGE),
        _field("sku", "s" * 129, RejectionReason.OUT_OF_RANGE),
        _always(
            b'{"event_id":"l","type":"shipment_delayed","ts":0,"order_id":"%s"}' % (b"o" * 129),
            RejectionReason.OUT_OF_RANGE,
        ),
        _always(b'{"event_id":"l","type":"shipment_delayed","ts":0,"order_id":""}', RejectionReason.OUT_OF_RANGE),
        _field("on_hand", None, RejectionReason.MISSING_FIELD),
        _field("warehouse", None, RejectionReason.MISSING_FIELD),
        _field("type", "stock_received", RejectionReason.MISSING_FIELD),
        _field("type", "stock_adjusted", RejectionReason.MISSING_FIELD),
        _field("type", "shipment_delayed", RejectionReason.MISSING_FIELD),
        _field("type", "return_received", RejectionReason.MISSING_FIELD),
        _field("on_hand", "250", RejectionReason.WRONG_TYPE),
        _field("delta", 1.5, RejectionReason.WRONG_TYPE),
        _field("on_hand", -1, RejectionReason.OUT_OF_RANGE),
        _field("qty", 0, RejectionReason.OUT_OF_RANGE),
        _field("delta", -(10**9) - 1, RejectionReason.OUT_OF_RANGE),
        _field("promised_ts", -1, RejectionReason.OUT_OF_RANGE),
    ],
}
