"""Builders of valid events; a test names only the fields it is about.

    paid(at=5, items=[line("s-1", qty=2, unit_price=900)], channel="live")

Times are given as `at`, seconds after `T0`. `some_events` generates random events, the same for the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Any

from aiokafka.structs import ConsumerRecord

from consumers.contract.events import TOPIC_BY_EVENT_TYPE, Promotion
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Topic
from streams.fold.columns import Columns, read_columns
from streams.panes.counters import TYPE_COUNTERS
from streams.panes.rows import RowIndex

Event = dict[str, Any]

T0 = 1_699_660_800
"""2023-11-11 00:00 UTC in seconds: the start of a minute, an hour and a day."""

SOME_ORDERS = 100
"""Number of orders in `some_events`."""
CLICK_TYPES, ORDER_TYPES = (
    [name for name in TYPE_COUNTERS if TOPIC_BY_EVENT_TYPE[name] is topic] for topic in (Topic.CLICKS, Topic.ORDERS)
)
SHIPMENTS = ("shipment_dispatched", "shipment_delivered", "shipment_delayed", "return_received")
_ids = count(1)


def ms(at: float) -> int:
    """Epoch milliseconds of seconds after `T0`."""
    return T0 * 1000 + round(at * 1000)


def click(type: str = "page_view", *, at: float = 0, user: str = "u-1", session: str = "v-1", **fields: Any) -> Event:  # noqa: A002
    return {"event_id": f"e-{next(_ids)}", "type": type, "ts": ms(at), "user_id": user, "session_id": session, **fields}


def line(sku: str = "s-1", *, qty: int = 1, unit_price: int = 1000, **fields: Any) -> Event:
    """One line of an order."""
    return {"sku": sku, "qty": qty, "unit_price": unit_price, **fields}


def order(type: str, *, at: float = 0, user: str = "u-1", items: Sequence[Event] = (), **fields: Any) -> Event:  # noqa: A002
    number = next(_ids)
    event = {"event_id": f"e-{number}", "type": type, "ts": ms(at), "order_id": f"o-{number}", "user_id": user}
    return {**event, "items": list(items) or [line()], **fields}


def paid(*, at: float = 0, **fields: Any) -> Event:
    return order("order_paid", at=at, **fields)


def refunded(amount: int, *, at: float = 0, **fields: Any) -> Event:
    return order("order_refunded", at=at, refund_amount=amount, **fields)


def shipment(type: str = "shipment_dispatched", *, at: float = 0, **fields: Any) -> Event:  # noqa: A002
    number = next(_ids)
    needed = {"sku": "s-1", "qty": 1} if type == "return_received" else {}
    return {"event_id": f"e-{number}", "type": type, "ts": ms(at), "order_id": f"o-{number}", **needed, **fields}


def stock_level(on_hand: int, *, at: float = 0, sku: str = "s-1", warehouse: str = "w-1") -> Event:
    event = {"event_id": f"e-{next(_ids)}", "type": "stock_level", "ts": ms(at)}
    return {**event, "sku": sku, "warehouse": warehouse, "on_hand": on_hand}


def stock_move(type: str, *, at: float = 0, sku: str = "s-1", warehouse: str = "w-1", **fields: Any) -> Event:  # noqa: A002
    """A `stock_received` or `stock_adjusted`."""
    event = {"event_id": f"e-{next(_ids)}", "type": type, "ts": ms(at)}
    return {**event, "sku": sku, "warehouse": warehouse, **fields}


def promotion(
    name: str = "d11", *, starts: float = 0, ends: float = 3600, timezone: str = "UTC", **fields: Any
) -> Promotion:
    """A definition; `starts` and `ends` are seconds after `T0`, `fields` other fields of the contract."""
    times = {"starts_at": ms(starts), "ends_at": ms(ends)}
    return Promotion.model_validate({"promotion_id": name, "name": name, "timezone": timezone, **times, **fields})


# Decoded events -----------------------------------------------------------------------------------------


def wire(event: Event) -> bytes:
    """The event as producers write it."""
    return json.dumps(event, ensure_ascii=False).encode()


def columns_of(topic: Topic, events: Sequence[Event], rows: RowIndex) -> Columns:
    """Decoded as in production; every event must be valid."""
    columns, rejected = read_columns(topic, [wire(event) for event in events], rows)
    assert not rejected, rejected
    return columns


def records(topic: Topic, number: int, start_offset: int, values: Sequence[bytes | None]) -> RecordBatch:
    """Records of the transport: these values at consecutive offsets from `start_offset` on."""
    found = [
        ConsumerRecord(topic, number, start_offset + i, 0, 0, None, value, None, 0, len(value or b""), ())
        for i, value in enumerate(values)
    ]
    return RecordBatch(topic, number, start_offset, start_offset + len(values), found)


# Random events ------------------------------------------------------------------------------------------

_LABELS: dict[str, Sequence[Any]] = {
    "promotion_id": ("d11", "d12", None),
    "channel": ("live", "app", None),
    "region": ("east", "west", None),
    "variant": ("a", "b", None),
    "campaign": ("spring", None),
    "live_room": ("r-1", None),
    "member": (True, False),
}


def some_events(
    topic: Topic, n: int, seed: int, *, start: float = 0, length: float = 900, orders: str = "o-some"
) -> list[Event]:
    """Events of all types of a topic at random times in [start, start + length), unordered.

    Orders and shipments are of a hundred orders, whose ids begin with `orders`.
    """
    chance = Random(f"{topic} {seed}")
    make = {Topic.CLICKS: _some_click, Topic.ORDERS: _some_order, Topic.LOGISTICS: _some_shipment}[topic]
    events = [make(chance, start + chance.random() * length) for _ in range(n)]
    spoils, lives = Random(f"spoils {topic} {seed}"), Random(f"lives {topic} {seed}")
    events = [_with_bad_labels(spoils, event) for event in events]
    return [_of_some_order(lives, event, orders) if "order_id" in event else event for event in events]


def _with_bad_labels(chance: Random, event: Event) -> Event:
    """The event with some optional labels empty, hence absent, or too long, hence dropped."""
    names = (
        {"promotion_id", "channel", "region", "campaign", "category"} if "user_id" in event else {"region", "carrier"}
    )
    bad = {name: chance.choice(("", "x" * 129)) for name in sorted(names) if chance.random() < 0.05}
    for item in event.get("items", ()):
        if chance.random() < 0.05:
            item["category"] = chance.choice(("", "x" * 129))
    return {**event, **bad}


def _labels(chance: Random, names: Sequence[str]) -> Event:
    return {name: value for name in names if (value := chance.choice(_LABELS[name])) is not None}


def _of_some_order(chance: Random, event: Event, orders: str) -> Event:
    event = {**event, "order_id": f"{orders}-{chance.randrange(SOME_ORDERS)}"}
    if event["type"] in SHIPMENTS:
        event["carrier"] = chance.choice(("dhl", "ups"))
        if chance.random() < 0.6:
            event["promised_ts"] = event["ts"] + chance.randrange(-300_000, 300_000)
    return event


def _some_click(chance: Random, at: float) -> Event:
    optional: Event = {
        "sku": f"s-{chance.randrange(4)}",
        "category": f"c-{chance.randrange(3)}",
        "dwell_ms": chance.choice((0, chance.randrange(60_000))),
        "cost": chance.randrange(500),
    }
    carried = {name: value for name, value in optional.items() if chance.random() < 0.6}
    user = chance.randrange(40)
    session = f"v-{user}-{chance.randrange(3)}"
    kind = chance.choice(CLICK_TYPES)
    return click(kind, at=at, user=f"u-{user}", session=session, **carried, **_labels(chance, tuple(_LABELS)))


def _some_order(chance: Random, at: float) -> Event:
    items = []
    for _ in range(chance.choice((1, 1, 2, 5))):
        category = chance.choice(({}, {"category": f"c-{chance.randrange(3)}"}))
        price = chance.choice((0, 1, 333, 12_900))
        items.append(line(f"s-{chance.randrange(4)}", qty=chance.randint(1, 4), unit_price=price, **category))
    worth = sum(item["qty"] * item["unit_price"] for item in items)
    optional = {
        "discount": chance.randint(0, worth),
        "shipping_fee": chance.randrange(900),
        "first_order": chance.random() < 0.5,
    }
    fields = {name: value for name, value in optional.items() if chance.random() < 0.6}
    kind = chance.choice(ORDER_TYPES)
    if kind == "order_refunded":
        fields["refund_amount"] = chance.randint(0, worth + 10)
    return order(
        kind, at=at, user=f"u-{chance.randrange(40)}", items=items, **fields, **_labels(chance, tuple(_LABELS))
    )


def _some_stock(chance: Random, at: float) -> Event:
    place = {"sku": f"s-{chance.randrange(4)}", "warehouse": f"w-{chance.randrange(3)}"}
    kind = chance.choice(("stock_level", "stock_received", "stock_adjusted"))
    if kind == "stock_level":
        return stock_level(chance.randrange(100), at=at, **place)
    amount = {"qty": chance.randint(1, 30)} if kind == "stock_received" else {"delta": chance.randint(-20, 20)}
    return stock_move(kind, at=at, **place, **amount)


def _some_shipment(chance: Random, at: float) -> Event:
    if chance.random() < 0.3:
        return _some_stock(chance, at)
    kind = chance.choice(SHIPMENTS)
    returned: Event = {}
    if kind == "return_received":
        returned = {"sku": f"s-{chance.randrange(4)}", "qty": chance.randint(1, 3)}
        returned |= chance.choice(({}, {"category": f"c-{chance.randrange(3)}"}))
    return shipment(kind, at=at, **returned, **_labels(chance, ("region",)))
