"""Enriched events of Snowplow with the e-commerce plugin's entities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import CURRENCY, Json, Original, cents, iso, lines, moment, ms, region

ENRICHED = SourceTopic("snowplow.enriched")
_ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
_ENTITY = "contexts_com_snowplowanalytics_snowplow_ecommerce_"
_CLICKS = {"product_view": "product_view", "add_to_cart": "add_to_cart", "checkout_step": "checkout_start"}


def snowplow_messages(rng: Random, number: int) -> Iterator[Original]:
    """The events of a session."""
    at_ms, visitor = moment(rng), f"d-{number % 350}"
    common: Json = {
        "app_id": "shop", "platform": "web", "user_id": rng.choice((None, f"u-{number % 200}")),
        "domain_userid": visitor, "domain_sessionid": rng.choice((None, f"s-{number}")), "network_userid": "n",
        "mkt_medium": rng.choice((None, "cpc")), "mkt_campaign": rng.choice((None, "d11")), "geo_country": "DE",
        "geo_region_name": rng.choice((None, region(rng))), "dvce_type": "Mobile",
    }  # fmt: skip
    names = rng.choices(("page_view", "page_ping", *_CLICKS, "list_click"), k=rng.randint(1, 5))
    names += ["transaction"] if rng.random() < 0.6 else []
    names += ["refund"] if names[-1] == "transaction" and rng.random() < 0.2 else []
    products = [
        {"id": sku, "name": "Tea", "category": category, "price": price / 100, "currency": CURRENCY, **quantity}
        for sku, category, count, price in lines(rng)
        for quantity in (rng.choice(({"quantity": count}, {})),)
    ]
    for step, name in enumerate(names):
        stamp_ms = at_ms + 47_011 * step
        fine = iso(stamp_ms, digits="milliseconds")[:23].replace("T", " ")
        content = {**common, "event_id": f"{number}-{step}", "collector_tstamp": iso(stamp_ms), "event": name,
                   "derived_tstamp": rng.choice((None, fine))}  # fmt: skip
        if name not in ("page_view", "page_ping"):
            content |= {"event": "unstruct", _ACTION: {"type": name}, f"{_ENTITY}product_1": products}
        entity: Json = {"transaction_id": f"P-{number}", "currency": CURRENCY}
        if name == "transaction":
            costs = {"shipping": rng.choice((None, 3, 4.9)), "discount_amount": rng.choice((None, 1.25))}
            content[f"{_ENTITY}transaction_1"] = [{**entity, **costs, "revenue": 27.5, "payment_method": "card"}]
        if name == "refund":
            content[f"{_ENTITY}refund_1"] = [
                {**entity, "refund_amount": products[0]["price"], "refund_reason": "broken"}
            ]
        yield Original(ENRICHED, visitor, content)


def enriched_events(event: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a message."""
    action = event.get(_ACTION, {}).get("type", event["event"])
    products = event.get(f"{_ENTITY}product_1", ())
    about = {
        "event_id": event["event_id"],
        "ts": ms(event["derived_tstamp"] or event["collector_tstamp"]),
        "user_id": event["user_id"] or event["domain_userid"],
    }
    labels = {
        "channel": event["mkt_medium"],
        "campaign": event["mkt_campaign"],
        "region": event["geo_region_name"] or event["geo_country"],
    }
    items = [
        {"sku": product["id"], "category": product["category"], "qty": product.get("quantity", 1),
         "unit_price": cents(product["price"])}
        for product in products
    ]  # fmt: skip
    if action == "page_view" or action in _CLICKS:
        shown = {"sku": products[0]["id"], "category": products[0]["category"]} if products else {}
        session = event["domain_sessionid"] or event["domain_userid"]
        visit = {"session_id": session, "device": event["dvce_type"], "type": _CLICKS.get(action, action)}
        yield "clicks", {**about, **labels, **visit, **shown}
    elif action == "transaction":
        order = event[f"{_ENTITY}transaction_1"][0]
        money = {"shipping_fee": cents(order["shipping"]), "discount": cents(order["discount_amount"])}
        named = {"type": "order_paid", "order_id": order["transaction_id"]}
        yield "orders", {**about, **labels, **named, **money, "items": items}
    elif action == "refund":
        refund = event[f"{_ENTITY}refund_1"][0]
        named = {"type": "order_refunded", "order_id": refund["transaction_id"], "reason": "broken"}
        yield "orders", {**about, **named, "refund_amount": cents(refund["refund_amount"]), "items": items}
