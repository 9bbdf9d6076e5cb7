"""Debezium's outbox pattern: changes of the table, and messages that EventRouter has routed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import CURRENCY, DAY_MS, Json, Original, lines, moment, region

TABLE, ROUTED = map(SourceTopic, ("shop.public.outboxevent", "outbox.event.order"))
_TYPES = {
    "OrderCreated": "order_created",
    "OrderPaid": "order_paid",
    "PaymentFailed": "payment_failed",
    "OrderCancelled": "order_cancelled",
    "OrderRefunded": "order_refunded",
}


def outbox_messages(rng: Random, number: int) -> Iterator[Original]:
    """The messages of an order, in one of the forms."""
    at_ms, order, routed = moment(rng), f"D-{number}", rng.random() < 0.5
    payload: Json = {
        "order_id": order, "user_id": f"u-{number % 150}", "member": rng.choice((None, True)), "currency": CURRENCY,
        "channel": rng.choice(("app", "web")), "region": region(rng), "discount": rng.choice((None, 150)),
        "first_order": rng.choice((None, True, False)), "shipping_fee": rng.choice((0, 490)), "promotion_id": None,
        "items": [
            {"sku": sku, "category": category, "qty": quantity, "unit_price": price}
            for sku, category, quantity, price in lines(rng)
        ],
    }  # fmt: skip
    kinds = ["OrderCreated", rng.choice(("OrderPaid", "OrderPaid", "PaymentFailed", "OrderCancelled", "OrderShipped"))]
    kinds += ["OrderRefunded"] if kinds[1] == "OrderPaid" and rng.random() < 0.2 else []
    for step, kind in enumerate(kinds):
        stamp_ms = at_ms + step * DAY_MS // 7
        content = {**payload, "ts": stamp_ms}
        if kind == "OrderRefunded":
            content |= {"refund_amount": payload["items"][0]["unit_price"], "reason": "broken"}
        if routed:
            yield Original(ROUTED, order, content, {"id": f"{number}-{step}", "eventType": kind})
        elif kind != "OrderShipped":
            yield _change(rng, Original(TABLE, order, content), f"{number}-{step}", kind)
    if not routed and rng.random() < 0.2:
        row = {"id": f"c-{number}", "aggregatetype": "customer", "aggregateid": "u", "type": "Moved", "payload": "{}"}
        yield Original(
            TABLE, order, {"before": None, "op": "c", "ts_ms": at_ms, "source": {"db": "shop"}, "after": row}
        )


def _change(rng: Random, about: Original, event_id: str, kind: str) -> Original:
    """A change event of Debezium; its payload may leave its time to the event."""
    payload = dict(about.content)
    stamp_ms = payload["ts"]
    if rng.random() < 0.3:
        del payload["ts"]
    row = {"id": event_id, "aggregatetype": rng.choice(("order", "Order")), "aggregateid": about.key, "type": kind,
           "payload": json.dumps(payload)}  # fmt: skip
    change = {"before": None, "op": "c", "ts_ms": stamp_ms, "source": {"db": "shop", "lsn": 5}, "after": row}
    content = rng.choice((change, {"schema": {"type": "struct", "fields": []}, "payload": change}))
    return about._replace(content=content)


def change_events(message: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a change."""
    change = message.get("payload", message)
    row = change["after"]
    if row["aggregatetype"] in ("order", "Order"):
        payload = {"ts": change["ts_ms"], **json.loads(row["payload"])}
        yield "orders", {**payload, "event_id": row["id"], "type": _TYPES[row["type"]], "order_id": row["aggregateid"]}


def routed_events(message: Json, headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a routed message."""
    if headers["eventType"] in _TYPES:
        yield "orders", {**message, "event_id": headers["id"], "type": _TYPES[headers["eventType"]]}
