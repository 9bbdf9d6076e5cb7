"""A recorded shop in formats of its own: three topics, none of which holds events of the contract.

| topic | messages |
| --- | --- |
| `shop.orders.v3` | changes of rows by Debezium, money as text in major units, times in ISO 8601 |
| `tracking` | CloudEvents, some in structured and some in binary mode |
| `wms` | plain JSON of stock and parcels, times in seconds, and of cancelled orders |

`SOURCES` maps them. The messages are made of the original events by this file alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from consumers.ndjson import find_recordings, read_merged
from consumers.topics import SourceTopic, Topic

ORDERS, TRACKING, WMS = map(SourceTopic, ("shop.orders.v3", "tracking", "wms"))
OWN_TOPICS = (ORDERS, TRACKING, WMS)

_LABELS = ("channel", "region", "promotion_id", "variant", "campaign", "live_room", "source")
_SAME_LABELS = "\n          ".join(f"{name}: {{path: labels.{name}}}" for name in _LABELS)
_ITEMS = """
          items:
            each: lines
            fields:
              sku: {path: article.no}
              category: {path: article.group}
              qty: {path: count}
              unit_price: {path: price, money: major}
              cost: {path: cost, money: major}
"""
_ORDER_FIELDS = f"""
          event_id: {{path: change}}
          ts: {{path: at, time: iso, or: [{{path: since, time: us}}]}}
          order_id: {{path: number}}
          user_id: {{path: customer.no, or: [customer.mail]}}
          member: {{path: customer.member}}
          first_order: {{path: customer.orders, map: {{"1": "true"}}, else: "false"}}
          discount: {{path: rebate, money: major}}
          shipping_fee: {{path: postage, money: major}}
          reason: {{path: reason}}
          {_SAME_LABELS}
{_ITEMS}"""
SOURCES = f"""
version: 1
sources:
  - topic: {ORDERS}
    envelope: debezium
    events:
      - to: orders
        when: {{state: {{none_of: [refunded]}}}}
        fields:
          type: {{path: state, map: {{new: order_created, paid: order_paid, declined: payment_failed}}}}
{_ORDER_FIELDS}
      - to: orders
        when: {{state: refunded}}
        fields:
          type: {{value: order_refunded}}
          refund_amount: {{path: back, money: major}}
{_ORDER_FIELDS}
  - topic: {TRACKING}
    events:
      - to: clicks
        fields:
          type: {{path: name}}
          event_id: {{header: ce_id}}
          ts: {{header: ce_time, time: iso}}
          user_id: {{path: visitor}}
          session_id: {{path: visit}}
          sku: {{path: product.id}}
          category: {{path: product.group}}
          member: {{path: member}}
          device: {{path: device}}
          dwell_ms: {{path: dwell}}
          keyword: {{path: query}}
          ad_unit: {{path: 'params[key=ad_unit].value'}}
          cost: {{path: 'params[key=cost].value', money: major}}
          {_SAME_LABELS}
  - topic: {WMS}
    none_is_fine: true
    events:
      - to: logistics
        when: {{kind: {{none_of: [order_cancelled, ping]}}}}
        fields:
          type: {{path: kind}}
          event_id: {{join: [part, serial], with: "-"}}
          ts: {{path: at, time: s}}
          order_id: {{path: order}}
          sku: {{path: sku}}
          warehouse: {{path: house}}
          on_hand: {{path: level}}
          qty: {{path: count}}
          delta: {{path: change}}
          carrier: {{path: carrier}}
          region: {{path: region}}
          promised_ts: {{path: promised, time: s}}
          category: {{path: category}}
          reason: {{path: reason}}
          source: {{path: source}}
      - to: orders
        when: {{kind: order_cancelled}}
        fields:
          type: {{path: kind}}
{_ORDER_FIELDS}
"""


class OwnMessage(NamedTuple):
    """A message in the shop's own format."""

    topic: SourceTopic
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def own_messages(folder: Path, rng: Random) -> Iterator[OwnMessage]:
    """The events of a recording in its own formats, in order."""
    for line in read_merged(find_recordings([folder])):
        if line.topic is Topic.PROMOTIONS:
            continue
        event = json.loads(line.value)
        match line.topic:
            case Topic.CLICKS:
                yield _tracked(event, line.key, rng)
            case Topic.ORDERS if event["type"] == "order_cancelled":
                yield OwnMessage(WMS, line.key, _encode({"kind": "order_cancelled", **_row(event, rng)}))
            case Topic.ORDERS:
                yield OwnMessage(ORDERS, line.key, _encode(_change(_row(event, rng), rng)))
            case _:
                yield OwnMessage(WMS, line.key, _encode(_parcel(event, rng)))


def _encode(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def _major(minor: int | None, rng: Random) -> Any:
    """Money in major units: text or a number."""
    if minor is None:
        return None
    return f"{minor // 100}.{minor % 100:02d}" if rng.random() < 0.5 else minor / 100


def _iso(ts: int, rng: Random) -> str:
    text = datetime.fromtimestamp(ts // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ts % 1000:03d}"
    return text + rng.choice(["Z", "+00:00", "000Z"])


def _labels(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in _LABELS if name in event}


def _row(event: Mapping[str, Any], rng: Random) -> dict[str, Any]:
    """The row of an order."""
    states = {"order_created": "new", "order_paid": "paid", "payment_failed": "declined", "order_refunded": "refunded"}
    when = {"at": _iso(event["ts"], rng)} if rng.random() < 0.5 else {"since": event["ts"] * 1000 + rng.randrange(1000)}
    customer = {rng.choice(["no", "mail"]): event["user_id"], "member": event.get("member")}
    if "first_order" in event:
        customer["orders"] = 1 if event["first_order"] else 5
    else:
        customer["orders"] = 5
    return {
        "change": event["event_id"],
        **when,
        "number": event["order_id"],
        "state": states.get(event["type"]),
        "customer": customer,
        "labels": _labels(event),
        "rebate": _major(event.get("discount"), rng),
        "postage": _major(event.get("shipping_fee"), rng),
        "back": _major(event.get("refund_amount"), rng),
        "reason": event.get("reason"),
        "lines": [
            {
                "article": {"no": item["sku"], "group": item.get("category")},
                "count": rng.choice([item["qty"], str(item["qty"])]),
                "price": _major(item["unit_price"], rng),
                "cost": _major(item.get("cost"), rng),
            }
            for item in event["items"]
        ],
    }


def _change(row: Mapping[str, Any], rng: Random) -> dict[str, Any]:
    """A change event of Debezium, with or without schema."""
    change = {"before": None, "after": row, "op": rng.choice("cur"), "ts_ms": 1, "source": {"table": "orders"}}
    return change if rng.random() < 0.5 else {"schema": {"type": "struct", "fields": []}, "payload": change}


def _tracked(event: Mapping[str, Any], key: bytes | None, rng: Random) -> OwnMessage:
    """A CloudEvent."""
    params = {"ad_unit": event.get("ad_unit"), "cost": _major(event.get("cost"), rng)}
    data = {
        "name": event["type"],
        "visitor": event["user_id"],
        "visit": event["session_id"],
        "product": {"id": event.get("sku"), "group": event.get("category")},
        "member": event.get("member"),
        "device": event.get("device"),
        "dwell": event.get("dwell_ms"),
        "query": event.get("keyword"),
        "params": [{"key": name, "value": value} for name, value in params.items()],
        "labels": _labels(event),
    }
    about = {
        "specversion": "1.0",
        "id": event["event_id"],
        "source": "/web",
        "type": "click",
        "time": _iso(event["ts"], rng),
    }
    if rng.random() < 0.5:
        return OwnMessage(TRACKING, key, _encode({**about, "data": data}))
    headers = tuple((f"ce_{name}", text.encode()) for name, text in about.items())
    return OwnMessage(TRACKING, key, _encode(data), headers)


def _parcel(event: Mapping[str, Any], rng: Random) -> dict[str, Any]:
    """Stock and parcels."""
    part, _, serial = event["event_id"].partition("-")
    names = {"order_id": "order", "warehouse": "house", "delta": "change"}
    same = ("sku", "carrier", "region", "category", "reason", "source")
    message = {names.get(name, name): event[name] for name in (*names, *same) if name in event}
    message |= {
        "kind": event["type"],
        "part": part,
        "serial": serial,
        "at": rng.choice([event["ts"] / 1000, f"{event['ts'] / 1000:.3f}"]),
    }
    for name, own in (("on_hand", "level"), ("qty", "count")):
        if name in event:
            message[own] = event[name]
    if event.get("promised_ts") is not None:
        message["promised"] = event["promised_ts"] / 1000
    return message
