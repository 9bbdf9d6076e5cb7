"""Rows of GA4's export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from consumers.topics import SourceTopic
from tests.support.ready_formats.parts import CURRENCY, Json, Original, cents, lines, moment, region

ROWS = SourceTopic("ga4.events")
_CLICKS = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "view_item": "product_view",
    "search": "search",
    "view_search_results": "search",
    "add_to_cart": "add_to_cart",
    "add_to_wishlist": "favorite",
    "begin_checkout": "checkout_start",
}


def ga4_messages(rng: Random, number: int) -> Iterator[Original]:
    """The rows of a visit."""
    at_us, user = moment(rng) * 1000, f"11.{number % 300}"
    session = _param("ga_session_id", "int_value", str(at_us // 1_000_000))
    traffic = rng.choice((None, {"manual_campaign_name": rng.choice(("d11", None)), "manual_medium": "cpc"}))
    common: Json = {
        "user_id": rng.choice((None, f"u-{number % 100}")), "user_pseudo_id": rng.choice((user, user, None)),
        "event_bundle_sequence_id": str(number), "platform": "WEB", "device": {"category": "mobile"},
        "geo": {"country": "Germany", "region": rng.choice(("", region(rng)))}, "collected_traffic_source": traffic,
        "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "(direct)"},
    }  # fmt: skip
    for step, name in enumerate(rng.choices((*_CLICKS, "scroll", "session_start"), k=rng.randint(1, 6))):
        items = [_item(rng, line) for line in lines(rng)] if name in ("view_item", "add_to_cart") else []
        word = [_param("search_term", "string_value", "green tea")] if _CLICKS.get(name) == "search" else []
        row = {"event_name": name, "event_timestamp": str(at_us + 1_000_123 * step), "items": items, "ecommerce": None}
        yield Original(ROWS, user, {**common, **row, "event_params": [*word, session]})
    if rng.random() < 0.5:
        yield from _purchase(rng, common, user, f"G-{number}", at_us + 60_000_000)


def _purchase(rng: Random, common: Json, user: str, order: str, at_us: int) -> Iterator[Original]:
    named = {"transaction_id": order, "shipping_value": rng.choice((None, 4.9, 0))}
    row = {**common, "event_params": [_param("currency", "string_value", CURRENCY)],
           "items": [_item(rng, line) for line in lines(rng)], "ecommerce": named}  # fmt: skip
    yield Original(ROWS, user, {**row, "event_name": "purchase", "event_timestamp": str(at_us)})
    if rng.random() < 0.2:
        refund = {"event_name": "refund", "event_timestamp": at_us + 3_600_000_000}
        yield Original(ROWS, user, {**row, **refund, "ecommerce": {**named, "refund_value": row["items"][0]["price"]}})
    if rng.random() < 0.1:
        bare = {"event_name": "purchase", "event_timestamp": str(at_us + 1), "items": []}
        yield Original(ROWS, user, {**row, **bare})


def _param(key: str, kind: str, value: str) -> Json:
    return {"key": key, "value": {"string_value": None, "int_value": None, kind: value}}


def _item(rng: Random, line: tuple[str, str, int, int]) -> Json:
    sku, category, quantity, price = line
    given = rng.choice((str(quantity), quantity, None))
    return {"item_id": rng.choice((sku, None)), "item_name": f"{sku} tea", "item_category": category, "quantity": given,
            "price": rng.choice((price / 100, price / 100 + 0.004))}  # fmt: skip


def row_events(row: Json, _headers: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The events of a row."""
    name, stamp = row["event_name"], row["event_timestamp"]
    visitor, traffic = row["user_pseudo_id"], row["collected_traffic_source"] or {}
    params: dict[str, Any] = {param["key"]: param["value"] for param in row["event_params"]}
    about = {
        "ts": int(stamp) // 1000,
        "user_id": row["user_id"] or visitor or "unknown",
        "channel": traffic.get("manual_medium") or row["traffic_source"]["medium"],
        "campaign": traffic.get("manual_campaign_name") or row["traffic_source"]["name"],
        "region": row["geo"]["region"] or row["geo"]["country"],
    }
    if name in _CLICKS:
        first = row["items"][0] if row["items"] else {}
        yield (
            "clicks",
            {
                **about,
                "event_id": f"{name}/{visitor or '-'}/{stamp}/{row['event_bundle_sequence_id']}/-",
                "type": _CLICKS[name],
                "session_id": f"{visitor or 'unknown'}/{params['ga_session_id']['int_value']}",
                "sku": first.get("item_id"),
                "category": first.get("item_category"),
                "device": row["device"]["category"],
                "keyword": params.get("search_term", {}).get("string_value"),
            },
        )
    elif name in ("purchase", "refund") and row["items"]:
        order = row["ecommerce"]
        yield "orders", {
            **about,
            "event_id": f"{name}/{order['transaction_id']}",
            "type": "order_paid" if name == "purchase" else "order_refunded",
            "order_id": order["transaction_id"],
            "shipping_fee": cents(order["shipping_value"]),
            "refund_amount": cents(order.get("refund_value")),
            "items": [
                {"sku": item["item_id"] or item["item_name"], "category": item["item_category"],
                 "qty": int(item["quantity"] or 1), "unit_price": cents(item["price"])}
                for item in row["items"]
            ],
        }  # fmt: skip
