"""Webhooks of Shopify: orders, refunds and fulfilments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import (
    CURRENCY,
    DAY_MS,
    Json,
    Original,
    as_text,
    cents,
    iso,
    lines,
    moment,
    ms,
    region,
)

ORDERS, REFUNDS, FULFILLMENTS = map(SourceTopic, ("shopify.orders", "shopify.refunds", "shopify.fulfillments"))


def shopify_messages(rng: Random, number: int) -> Iterator[Original]:
    order, at_ms = 5_400_000 + number, moment(rng)
    hours = rng.choice((-5, 0, 1))
    content: Json = {
        "id": order, "name": f"#{number}", "created_at": iso(at_ms, hours), "updated_at": iso(at_ms + 1000, hours),
        "processed_at": iso(at_ms, hours), "cancelled_at": None, "cancel_reason": None, "currency": CURRENCY,
        "customer": rng.choice((None, {"id": 70 + number % 40})),
        "email": rng.choice(("", f"e{number % 30}@example.org")),
        "phone": rng.choice((None, "+4930")),
        "source_name": rng.choice(("web", "pos", "shopify_draft_order", "580111")),
        "shipping_address": rng.choice((None, {"province_code": region(rng)})),
        "billing_address": {"province_code": region(rng)}, "total_discounts": as_text(rng.randrange(290)),
        "total_shipping_price_set": {"shop_money": {"amount": as_text(rng.choice((0, 490)))}},
        "line_items": [
            {"id": 10 * number + i, "variant_id": 900 + i, "sku": rng.choice((sku, "")), "quantity": quantity,
             "price": as_text(price), "vendor": category, "gift_card": False}
            for i, (sku, category, quantity, price) in enumerate(lines(rng))
        ] + [{"id": 1, "variant_id": 2, "sku": "removed", "quantity": 0, "price": "9.00", "vendor": None}],
    }  # fmt: skip
    key = str(order)
    yield Original(ORDERS, key, content, {"X-Shopify-Topic": "orders/create"})
    if rng.random() < 0.3:
        yield Original(ORDERS, key, content, {"X-Shopify-Topic": "orders/updated"})
    if rng.random() < 0.85:
        paid = {**content, "updated_at": iso(at_ms + rng.randrange(60_000), hours)}
        yield Original(ORDERS, key, paid, {"X-Shopify-Topic": "orders/paid"})
    if rng.random() < 0.1:
        cancelled = {**content, "cancelled_at": iso(at_ms + DAY_MS // 3, hours), "cancel_reason": "customer"}
        yield Original(ORDERS, key, cancelled, {"X-Shopify-Topic": "orders/cancelled"})
    if rng.random() < 0.2:
        yield Original(REFUNDS, key, _refund(rng, content, at_ms + DAY_MS // 2))
    if rng.random() < 0.6:
        yield from _fulfillments(rng, content, at_ms + DAY_MS // 4)


def _refund(rng: Random, order: Json, at_ms: int) -> Json:
    line = order["line_items"][0]
    refunded = {"id": line["id"], "line_item_id": line["id"], "location_id": 61, "line_item": line, "quantity": 1,
                "restock_type": rng.choice(("return", "no_restock"))}  # fmt: skip
    return {
        "id": order["id"] + 7, "order_id": order["id"], "created_at": iso(at_ms), "note": rng.choice((None, "broken")),
        "processed_at": rng.choice((None, iso(at_ms, 1))), "refund_line_items": rng.choice(([], [refunded])),
        "transactions": [{"kind": "refund", "status": "success", "amount": line["price"]},
                         {"kind": "refund", "status": "success", "amount": "0.50"},
                         {"kind": "refund", "status": "failure", "amount": "99.00"}],
    }  # fmt: skip


def _fulfillments(rng: Random, order: Json, at_ms: int) -> Iterator[Original]:
    content: Json = {
        "id": order["id"] + 3, "order_id": order["id"], "status": "success", "created_at": iso(at_ms),
        "updated_at": iso(at_ms), "tracking_company": rng.choice(("DHL", "UPS", None)), "shipment_status": None,
        "location_id": 61, "destination": {"province": region(rng), "country": "Germany"},
    }  # fmt: skip
    yield Original(FULFILLMENTS, str(order["id"]), content)
    for status in rng.sample(("in_transit", "delivered", "failure"), rng.randrange(3)):
        later = {**content, "shipment_status": status, "updated_at": iso(at_ms + DAY_MS // 5)}
        yield Original(FULFILLMENTS, str(order["id"]), later)
    if rng.random() < 0.2:
        yield Original(FULFILLMENTS, str(order["id"]), {**content, "status": "pending"})


def order_events(order: Json, headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    step = headers["X-Shopify-Topic"].removeprefix("orders/")
    if step == "updated":
        return
    customer, addresses = order["customer"] or {}, (order["shipping_address"] or {}, order["billing_address"])
    yield "orders", {
        "event_id": f"{order['id']}/orders/{step}",
        "type": {"create": "order_created"}.get(step, f"order_{step}"),
        "ts": ms(order["cancelled_at"] or order["updated_at"]),
        "order_id": str(order["id"]),
        "user_id": str(customer.get("id") or order["email"] or order["phone"] or "guest"),
        "channel": {"web": "web", "pos": "store", "shopify_draft_order": "sales"}.get(order["source_name"], "other"),
        "region": next(address["province_code"] for address in addresses if address),
        "discount": cents(order["total_discounts"]),
        "shipping_fee": cents(order["total_shipping_price_set"]["shop_money"]["amount"]),
        "reason": order["cancel_reason"],
        "items": [
            {"sku": line["sku"] or str(line["variant_id"]), "category": line["vendor"], "qty": line["quantity"],
             "unit_price": cents(line["price"])}
            for line in order["line_items"] if line["quantity"]
        ],
    }  # fmt: skip


def refund_events(refund: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    about = {"ts": ms(refund["processed_at"] or refund["created_at"]), "order_id": str(refund["order_id"])}
    lines = refund["refund_line_items"]
    back = [cents(paid["amount"]) or 0 for paid in refund["transactions"] if paid["status"] == "success"]
    items = [
        {"sku": line["line_item"]["sku"] or str(line["line_item"]["variant_id"]), "qty": line["quantity"],
         "unit_price": cents(line["line_item"]["price"])}
        for line in lines
    ]  # fmt: skip
    yield "orders", {
        "event_id": f"refund/{refund['id']}", "type": "order_refunded", **about, "user_id": "unknown",
        "refund_amount": sum(back), "reason": refund["note"],
        "items": items or [{"sku": "none", "qty": 1, "unit_price": 0}],
    }  # fmt: skip
    for line, item in zip(lines, items, strict=True):
        if line["restock_type"] == "return":
            yield "logistics", {
                "event_id": f"return/{line['id']}", "type": "return_received", **about, "sku": item["sku"],
                "qty": line["quantity"], "warehouse": str(line["location_id"]),
            }  # fmt: skip


def fulfillment_events(parcel: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    status = parcel["shipment_status"]
    about = {"order_id": str(parcel["order_id"]), "warehouse": "61", "carrier": parcel["tracking_company"],
             "region": parcel["destination"]["province"]}  # fmt: skip
    if status in ("delivered", "failure"):
        kind = "shipment_delivered" if status == "delivered" else "shipment_delayed"
        ts = ms(parcel["updated_at"])
        yield "logistics", {"event_id": f"{status}/{parcel['id']}", "type": kind, "ts": ts, **about}
    elif parcel["status"] == "success":
        ts = ms(parcel["created_at"])
        yield (
            "logistics",
            {"event_id": f"dispatched/{parcel['id']}", "type": "shipment_dispatched", "ts": ts, **about},
        )
