"""Calls of Segment's e-commerce specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import CURRENCY, SKUS, Json, Original, cents, iso, lines, moment, ms, region

CALLS = SourceTopic("segment")
_CLICKS = {
    "Product Viewed": "product_view",
    "Product Clicked": "product_view",
    "Products Searched": "search",
    "Product Added": "add_to_cart",
    "Product Added to Wishlist": "favorite",
    "Checkout Started": "checkout_start",
}
_ORDERS = {"Order Completed": "order_paid", "Order Cancelled": "order_cancelled", "Order Refunded": "order_refunded"}


def segment_messages(rng: Random, number: int) -> Iterator[Original]:
    """The calls of a visitor."""
    at_ms, who = moment(rng), f"an-{number % 400}"
    context: Json = {
        "library": {"name": "analytics.js"}, "device": rng.choice(({"type": "ios"}, None)),
        "campaign": rng.choice(({"name": "d11", "medium": "email"}, {"name": "d11"}, None)),
        "location": rng.choice(({"country": "DE"}, {"country": "DE", "region": region(rng)})),
    }  # fmt: skip
    context |= rng.choice(({}, {"sessionId": 1_700_000_000 + number}))
    calls = rng.choices(("page", "screen", "identify", *_CLICKS, "Coupon Applied"), k=rng.randint(1, 5))
    calls += ["Order Completed"] if rng.random() < 0.6 else []
    calls += [rng.choice(("Order Cancelled", "Order Refunded", "whole"))] if rng.random() < 0.2 else []
    properties = _order(rng, number)
    for step, name in enumerate(calls):
        at = {rng.choice(("timestamp", "originalTimestamp")): iso(at_ms + 61_003 * step, digits="milliseconds")}
        content: Json = {
            "anonymousId": who, "userId": rng.choice((None, f"u-{number % 250}")), "messageId": f"m-{number}-{step}",
            "channel": "client", "context": context, "type": name, "event": None, **at,
        }  # fmt: skip
        if name not in ("page", "screen", "identify"):
            content |= {"type": "track", "event": name, "properties": _product(rng)}
        if name in _ORDERS:
            content["properties"] = properties
        if name == "whole":
            whole = {"order_id": properties["order_id"], "revenue": 27.5, "currency": CURRENCY}
            content |= {"event": "Order Refunded", "properties": whole}
        yield Original(CALLS, who, content)


def _product(rng: Random) -> Json:
    sku, category, _ = rng.choice(SKUS)
    return {rng.choice(("sku", "product_id")): sku, "category": category, "query": rng.choice((None, "green tea"))}


def _order(rng: Random, number: int) -> Json:
    products = [
        {rng.choice(("sku", "product_id")): sku, "category": category, "price": price / 100, "quantity": quantity}
        for sku, category, quantity, price in lines(rng)
    ]
    return {
        "order_id": f"S-{number}", "total": products[0]["price"],
        "shipping": rng.choice((0, 3, 4.9)), "tax": 2, "discount": rng.choice((None, 1.5)), "currency": CURRENCY,
        "products": products,
    }  # fmt: skip


def _device(context: Json) -> Json:
    return {"device": (context["device"] or {}).get("type")}


def call_events(call: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a call."""
    context, properties = call["context"], call.get("properties", {})
    campaign, place = context["campaign"] or {}, context["location"]
    labels = {
        "channel": campaign.get("medium") or call["channel"],
        "campaign": campaign.get("name"),
        "region": place.get("region") or place["country"],
    }
    about = {
        "event_id": call["messageId"],
        "ts": ms(call.get("timestamp") or call["originalTimestamp"]),
        "user_id": call["userId"] or call["anonymousId"],
    }
    visit = {"session_id": str(context.get("sessionId") or call["anonymousId"]), **labels, **_device(context)}
    sku = properties.get("sku") or properties.get("product_id")
    if call["type"] in ("page", "screen"):
        yield "clicks", {**about, **visit, "type": "page_view"}
    elif call["event"] in _CLICKS:
        shown = {"sku": sku, "category": properties["category"], "keyword": properties["query"]}
        yield "clicks", {**about, **visit, **shown, "type": _CLICKS[call["event"]]}
    elif call["event"] in _ORDERS:
        kind = _ORDERS[call["event"]]
        items = [
            {"sku": item.get("sku") or item["product_id"], "category": item["category"], "qty": item["quantity"],
             "unit_price": cents(item["price"])}
            for item in properties.get("products", ())
        ]  # fmt: skip
        order = {"type": kind, "order_id": properties["order_id"], "items": items}
        if kind == "order_refunded":
            back = cents(properties.get("total") or properties["revenue"])
            items = items or [{"sku": "unknown", "qty": 1, "unit_price": 0}]
            yield "orders", {**about, **order, "items": items, "refund_amount": back}
        else:
            money = {"discount": cents(properties["discount"]), "shipping_fee": cents(properties["shipping"])}
            yield "orders", {**about, **labels, **order, **money}
