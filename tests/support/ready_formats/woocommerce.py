"""Webhooks of WooCommerce, each with the whole order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import CURRENCY, DAY_MS, Json, Original, as_text, cents, iso, lines, moment, ms

ORDERS = SourceTopic("woocommerce.orders")
_CHANNELS = {"checkout": "web", "store-api": "web", "rest-api": "app", "pos": "store"}


def woo_messages(rng: Random, number: int) -> Iterator[Original]:
    """The messages of an order."""
    at_ms = moment(rng)
    content: Json = {
        "id": 700 + number, "status": "pending", "currency": CURRENCY, "date_created": iso(at_ms, 1)[:19],
        "date_created_gmt": _gmt(at_ms), "date_modified_gmt": _gmt(at_ms), "date_paid_gmt": None,
        "created_via": rng.choice((*_CHANNELS, "admin")), "shipping_total": as_text(rng.choice((0, 1000))),
        "customer_id": rng.randrange(3), "total": as_text(rng.randrange(100, 9900)),
        "billing": {"email": rng.choice(("", f"b{number % 50}@example.org")), "country": "US", "state": "CA"},
        "shipping": {"country": rng.choice(("", "US")), "state": rng.choice(("", "NY"))},
        "line_items": [
            {"id": i, "product_id": 20 + i, "variation_id": rng.choice((0, 40 + i)), "sku": rng.choice(("", sku)),
             "quantity": quantity, "price": rng.choice((price / 100, price // 100, price / 300))}
            for i, (sku, _, quantity, price) in enumerate(lines(rng))
        ],
    }  # fmt: skip
    states: list[Json] = [{"status": "pending"}]
    if rng.random() < 0.8:
        paid_ms = at_ms + rng.randrange(1, 3) * 120_000
        paid = {"date_paid_gmt": _gmt(paid_ms)}
        states.append({**paid, "status": "processing", "date_modified_gmt": _gmt(paid_ms + 2000)})
        states.append({**paid, "status": "completed", "date_modified_gmt": _gmt(at_ms + DAY_MS)})
        if rng.random() < 0.2:
            states.append({**paid, "status": "refunded", "date_modified_gmt": _gmt(at_ms + DAY_MS // 2)})
    elif rng.random() < 0.8:
        changed_ms = at_ms + rng.choice((60_000, DAY_MS // 3))
        states.append({"status": rng.choice(("failed", "cancelled")), "date_modified_gmt": _gmt(changed_ms)})
    for state in states:
        yield Original(ORDERS, str(content["id"]), {**content, **state})


def order_events(order: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a message."""
    modified_ms = ms(order["date_modified_gmt"])
    shipping, billing = order["shipping"], order["billing"]
    about = {
        "order_id": str(order["id"]),
        "user_id": billing["email"] or str(order["customer_id"]),
        "channel": _CHANNELS.get(order["created_via"], "other"),
        "region": shipping["state"] or shipping["country"] or billing["state"],
        "shipping_fee": cents(order["shipping_total"]),
        "items": [
            {"sku": line["sku"] or f"{line['product_id']}-{line['variation_id']}", "qty": line["quantity"],
             "unit_price": cents(line["price"])}
            for line in order["line_items"]
        ],
    }  # fmt: skip
    for kind, name in (("created", "date_created_gmt"), ("paid", "date_paid_gmt")):
        if order[name] and modified_ms - ms(order[name]) <= 600_000:
            yield (
                "orders",
                {"event_id": f"{order['id']}/{kind}", "type": f"order_{kind}", "ts": ms(order[name]), **about},
            )
    ends = {"failed": "payment_failed", "cancelled": "order_cancelled", "refunded": "order_refunded"}
    if kind := ends.get(order["status"], ""):
        back = cents(order["total"]) if order["status"] == "refunded" else None
        event_id = f"{order['id']}/{order['status']}"
        yield "orders", {"event_id": event_id, "type": kind, "ts": modified_ms, "refund_amount": back, **about}


def _gmt(at_ms: int) -> str:
    return iso(at_ms)[:19]
