"""A recorded shop behind a schema registry: three topics in three formats, whose schemas change midway.

| topic | messages |
| --- | --- |
| `shop.clicks` | Avro: timestamps in microseconds, decimals; the second schema renames, reorders and retypes fields |
| `shop.orders` | Protobuf, a nested message with Google's `Money` and `Timestamp`; the second schema renames a field |
| `wms` | JSON after the frame of JSON Schema |

`sources` maps them. The messages are made of the original events by this file alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import fastavro
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from consumers.ndjson import find_recordings, read_merged
from consumers.sources.protoc import describe
from consumers.sources.schemas import RegisteredSchema, SchemaKind
from consumers.topics import SourceTopic, Topic
from tests.support.own_formats import OwnMessage
from tests.support.schema_registry import Registry, framed

CLICKS, ORDERS, WMS = map(SourceTopic, ("shop.clicks", "shop.orders", "wms"))
REGISTRY_TOPICS = (CLICKS, ORDERS, WMS)

_LABELS = ("channel", "region", "promotion_id", "variant", "campaign", "live_room", "source")
_SAME_LABELS = "\n          ".join(f"{name}: {{path: labels.{name}}}" for name in _LABELS)
_WMS_FIELDS = (
    *("type", "event_id", "ts", "order_id", "sku", "warehouse", "on_hand", "qty", "delta", "carrier", "region"),
    *("promised_ts", "category", "reason", "source"),
)


def sources(url: str) -> str:
    """The file of sources with the registry at this URL."""
    same = "\n          ".join(f"{name}: {{path: {name}}}" for name in _WMS_FIELDS)
    return f"""
version: 1
registry: {{url: "{url}"}}
sources:
  - topic: {CLICKS}
    format: avro
    events:
      - to: clicks
        fields:
          type: {{path: kind}}
          event_id: {{path: id}}
          ts: {{path: at}}
          user_id: {{path: visitor}}
          session_id: {{path: visit, or: [session]}}
          sku: {{path: sku}}
          category: {{path: category}}
          member: {{path: member}}
          device: {{path: device}}
          dwell_ms: {{path: dwell}}
          keyword: {{path: keyword}}
          ad_unit: {{path: ad_unit}}
          cost: {{path: cost, money: major}}
          {_SAME_LABELS}
  - topic: {ORDERS}
    format: protobuf
    events:
      - to: orders
        fields:
          type: {{path: state}}
          event_id: {{path: id}}
          ts: {{path: at}}
          order_id: {{path: number}}
          user_id: {{path: buyer}}
          member: {{path: member}}
          first_order: {{path: first_order}}
          discount: {{path: discount.amount, money: major}}
          shipping_fee: {{path: postage, money: major, or: [shipping]}}
          refund_amount: {{path: back.amount, money: major}}
          reason: {{path: reason}}
          {_SAME_LABELS}
          items:
            each: lines
            fields:
              sku: {{path: sku}}
              category: {{path: category}}
              qty: {{path: count}}
              unit_price: {{path: price.amount, money: major}}
              cost: {{path: cost.amount, money: major}}
  - topic: {WMS}
    format: json-schema
    events:
      - to: logistics
        fields:
          {same}
"""


def _optional(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None}


_MICROS = {"type": "long", "logicalType": "timestamp-micros"}
_MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
_CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
_COMMON = [
    *(_optional(name, "string") for name in ("sku", "category", "device", "keyword", "ad_unit")),
    _optional("member", "boolean"),
    {"name": "labels", "type": {"type": "map", "values": "string"}},
]
AVRO_SCHEMAS: tuple[dict[str, Any], ...] = (
    {
        "type": "record",
        "name": "shop.Click",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "at", "type": _MICROS},
            {"name": "kind", "type": "string"},
            {"name": "visitor", "type": "string"},
            {"name": "visit", "type": "string"},
            _optional("dwell", "long"),
            _optional("cost", _CENTS),
            *_COMMON,
        ],
    },
    {
        "type": "record",
        "name": "shop.Click",
        "fields": [
            *reversed(_COMMON),
            _optional("cost", {**_CENTS, "type": "fixed", "name": "Cost", "size": 9, "scale": 4}),
            _optional("dwell", "string"),
            {"name": "session", "type": ["int", "string"]},
            {"name": "visitor", "type": "string"},
            {"name": "kind", "type": "string"},
            {"name": "at", "type": _MILLIS},
            {"name": "id", "type": "string"},
        ],
    },
)
_FIRST_PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/type/money.proto";
import "shop/decimal.proto";
message Ping { string text = 1; }
message Shop {
  enum State {
    UNKNOWN = 0; order_created = 1; order_paid = 2; payment_failed = 3; order_cancelled = 4; order_refunded = 5;
  }
  message Line {
    string sku = 1; optional string category = 2; int32 count = 3;
    google.type.Money price = 4; google.type.Money cost = 5;
  }
  message Order {
    string id = 1; google.protobuf.Timestamp at = 2; string number = 3; State state = 4; string buyer = 5;
    optional bool member = 6; optional bool first_order = 7; google.type.Money discount = 8; Exact postage = 9;
    google.type.Money back = 10; optional string reason = 11; map<string, string> labels = 12; repeated Line lines = 13;
  }
}
"""
PROTO_SCHEMAS = (_FIRST_PROTO.replace("Exact", "string"), _FIRST_PROTO.replace("Exact postage", "string shipping"))
PROTO_REFERENCE = 'syntax = "proto3"; package shop; message Decimal { string text = 1; }'
_JSON_SCHEMA = '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}'
ORDER_INDEXES = b"\x04\x02\x02"
"""`Shop.Order`: two indexes, 1 and 1."""


def register(registry: Registry) -> dict[str, int]:
    """Register all schemas; returns their ids by name: `avro0`, `avro1`, `protobuf0`, `protobuf1`, `json`."""
    ids = {"json": registry.register(f"{WMS}-value", "JSON", _JSON_SCHEMA)}
    registry.register("decimal", "PROTOBUF", PROTO_REFERENCE)
    for version, schema in enumerate(AVRO_SCHEMAS):
        ids[f"avro{version}"] = registry.register(f"{CLICKS}-value", "AVRO", json.dumps(schema))
    for version, text in enumerate(PROTO_SCHEMAS):
        reference = [("shop/decimal.proto", "decimal")]
        ids[f"protobuf{version}"] = registry.register(f"{ORDERS}-value", "PROTOBUF", text, reference)
    return ids


def registry_messages(folder: Path, rng: Random, ids: Mapping[str, int]) -> Iterator[OwnMessage]:
    """The events of a recording in its formats, in order; the later half by the second schemas."""
    lines = [line for line in read_merged(find_recordings([folder])) if line.topic is not Topic.PROMOTIONS]
    for number, line in enumerate(lines):
        event, version = json.loads(line.value), int(number >= len(lines) // 2)
        match line.topic:
            case Topic.CLICKS:
                yield OwnMessage(CLICKS, line.key, framed(ids[f"avro{version}"], avro_click(event, version, rng)))
            case Topic.ORDERS:
                payload = protobuf_order(event, version)
                yield OwnMessage(ORDERS, line.key, framed(ids[f"protobuf{version}"], payload, ORDER_INDEXES))
            case _:
                own = {name: event[name] for name in _WMS_FIELDS if name in event}
                yield OwnMessage(WMS, line.key, framed(ids["json"], json.dumps(own).encode()))


def _labels(event: Mapping[str, Any]) -> dict[str, str]:
    return {name: event[name] for name in _LABELS if event.get(name) is not None}


def _major(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)


@cache
def _parsed(version: int) -> Any:
    return fastavro.parse_schema(AVRO_SCHEMAS[version])


def avro_click(event: Mapping[str, Any], version: int, rng: Random) -> bytes:
    """A click in Avro."""
    dwell, cost = event.get("dwell_ms"), event.get("cost")
    row = {
        **{name: event.get(name) for name in ("sku", "category", "device", "keyword", "ad_unit", "member")},
        "id": event["event_id"],
        "at": event["ts"] if version else event["ts"] * 1000 + rng.randrange(1000),
        "kind": event["type"],
        "visitor": event["user_id"],
        "session" if version else "visit": event["session_id"],
        "dwell": str(dwell) if version and dwell is not None else dwell,
        "cost": None if cost is None else _major(cost),
        "labels": _labels(event),
    }
    stream = BytesIO()
    fastavro.schemaless_writer(stream, _parsed(version), row)
    return stream.getvalue()


@cache
def order_class(version: int) -> Any:
    """The class of orders by a version of the schema; compiled once, outside of a running event loop."""
    schema = RegisteredSchema(SchemaKind.PROTOBUF, PROTO_SCHEMAS[version], {"shop/decimal.proto": PROTO_REFERENCE})
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(asyncio.run(describe(schema))).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("shop.Shop.Order"))


def protobuf_order(event: Mapping[str, Any], version: int) -> bytes:
    """An order in Protobuf."""
    order = order_class(version)(
        id=event["event_id"],
        number=event["order_id"],
        state=event["type"],
        buyer=event["user_id"],
        labels=_labels(event),
    )
    order.at.seconds, order.at.nanos = event["ts"] // 1000, event["ts"] % 1000 * 1_000_000
    for name in ("member", "first_order", "reason"):
        if event.get(name) is not None:
            setattr(order, name, event[name])
    for name, own in (("discount", "discount"), ("refund_amount", "back")):
        if event.get(name) is not None:
            _set_money(getattr(order, own), event[name])
    if (fee := event.get("shipping_fee")) is not None:
        setattr(order, "shipping" if version else "postage", str(_major(fee)))
    for item in event["items"]:
        line = order.lines.add(sku=item["sku"], count=item["qty"])
        if item.get("category") is not None:
            line.category = item["category"]
        _set_money(line.price, item["unit_price"])
        if item.get("cost") is not None:
            _set_money(line.cost, item["cost"])
    payload: bytes = order.SerializeToString()
    return payload


def _set_money(money: Any, minor: int) -> None:
    money.currency_code, money.units, money.nanos = "CNY", minor // 100, minor % 100 * 10_000_000
