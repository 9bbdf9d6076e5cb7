"""Two generated shops in the form of the recorded ones: events by topic, and `expected.json` beside them.

They replace absent recorded shops and cover what these lack: channels, campaigns, stock, carriers, returns. The events
are from a seeded generator that shares no code with the product, the answers from `tests.support.oracle`.
"""

from __future__ import annotations

import gzip
import json
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from tests.support.oracle import WINDOWS, Oracle, PromotionPeriod

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1000, 60_000, 3_600_000, 86_400_000
START_MS = 1_699_977_600_000
"""2023-11-14T16:00Z: midnight in Shanghai."""
TIMEZONE = "Asia/Shanghai"
PROMOTION = "generated-sale"
NAMES = ("browsed", "shipped")
DAYS = {"browsed": 9, "shipped": 525}
"""Days from the first event to the last, as in the recorded shop that each replaces."""
GENERATED_SUBSTITUTES = {"taobao": "browsed", "olist": "shipped"}

APPROXIMATE = {
    "names": ["visitors", "sessions", "buyers"],
    "relative_error": 0.02,
    "or_absolute_error": 1,
    "derived": {"conversion_rate": 0.04},
}
"""The estimates and their tolerances, as `expected.json` has them."""
FEW = 60
"""Minimum visitors or buyers to query a ratio."""

CATEGORIES = tuple(f"category-{number}" for number in range(8))
SKUS = tuple((f"sku-{number}", CATEGORIES[number % len(CATEGORIES)], 500 + 370 * number) for number in range(90))
REGIONS = ("east", "south", "north", "west")
CHANNELS = ("app", "web", "mini", "live")

Event = dict[str, Any]


@dataclass
class Shop:
    """Collects events."""

    rng: Random
    start_ms: int
    end_ms: int
    events: dict[str, list[Event]] = field(default_factory=lambda: {"clicks": [], "orders": [], "logistics": []})
    _ids: Iterator[int] = field(default_factory=count)

    def add(self, topic: str, kind: str, ts: float, /, **fields: object) -> None:
        """Add an event unless it is after the end. Fields that are None are omitted."""
        if ts < self.end_ms:
            given = {name: value for name, value in fields.items() if value is not None}
            named = {"event_id": f"{topic}-{next(self._ids)}", "type": kind, "ts": int(ts)}
            insort(self.events[topic], named | given, key=lambda event: event["ts"])

    def maybe(self, chance: float, value: Any) -> Any:
        """The value, with this probability."""
        return value if self.rng.random() < chance else None

    def after(self, ts: float, mean_ms: float) -> float:
        """A later time, by an exponential delay."""
        return ts + 1 + self.rng.expovariate(1 / mean_ms)


def write_generated_shop(name: str, folder: Path) -> Path:
    """Write one of `NAMES` into a new folder below `folder`."""
    shop = Shop(Random(f"generated shop {name}"), START_MS, START_MS + DAYS[name] * DAY_MS)
    sale = _sale(shop)
    if name == "browsed":
        _browse(shop, sale, visits=7000)
    else:
        _ship(shop, sale, orders=2000)
    out = folder / name
    out.mkdir()
    for topic, events in shop.events.items():
        if events:
            _write(out / f"{topic}.ndjson.gz", events)
    named = {"promotion_id": PROMOTION, "name": "A generated sale", "timezone": TIMEZONE}
    times = {"starts_at": sale.starts_at, "ends_at": sale.ends_at}
    _write(out / "promotions.ndjson.gz", [named | times | {"targets": sale.targets, "skus": list(sale.skus)}])
    (out / "expected.json").write_text(json.dumps(_expected(shop, sale)))
    return out


def _sale(shop: Shop) -> PromotionPeriod:
    starts = shop.start_ms + (shop.end_ms - shop.start_ms) * 2 // 3 // DAY_MS * DAY_MS
    skus = [sku for sku, _, _ in SKUS[:20]]
    return PromotionPeriod(
        starts, starts + 36 * HOUR_MS, {"base": 2_000_000, "sprint": 4_000_000, "challenge": 9_000_000}, skus
    )


def _browse(shop: Shop, sale: PromotionPeriod, *, visits: int) -> None:
    """Visits with their clicks and resulting orders, without parcels."""
    rng = shop.rng
    for visit in range(visits):
        ts = _busy_time(shop, sale)
        labels = _labels(shop, ts, sale)
        user, session = f"user-{rng.randrange(900)}", f"session-{visit}"
        if shop.maybe(0.2, True):
            campaign, unit = f"campaign-{rng.randrange(4)}", f"unit-{rng.randrange(6)}"
            ad = {"user_id": user, "session_id": session, "campaign": campaign, "ad_unit": unit, **labels}
            shop.add("clicks", "ad_impression", ts - 2000, **ad)
            shop.add("clicks", "ad_click", ts - 1000, cost=rng.randrange(10, 300), **ad)
        for _ in range(rng.randrange(1, 5)):
            sku, category, price = _sku(rng)
            seen = {"user_id": user, "session_id": session, "sku": sku, "category": category, **labels}
            seen["dwell_ms"] = shop.maybe(0.5, rng.randrange(100, 60_000))
            ts = shop.after(ts, 20 * SECOND_MS)
            kind = rng.choice(("product_view", "product_view", "product_view", "page_view", "search", "favorite"))
            shop.add("clicks", kind, ts, **seen)
            if shop.maybe(0.3, True):
                shop.add("clicks", "add_to_cart", shop.after(ts, 10 * SECOND_MS), **seen)
                if shop.maybe(0.5, True):
                    shop.add("clicks", "checkout_start", shop.after(ts, 30 * SECOND_MS), **seen)
                    _order(shop, shop.after(ts, MINUTE_MS), user, [(sku, category, price)], labels)
    for events in shop.events.values():
        del events[len(events) // 2 * 2 :]  # an even number, for tests that send half of them


def _ship(shop: Shop, sale: PromotionPeriod, *, orders: int) -> None:
    """Orders with their parcels and returns, stock counts and receipts."""
    rng = shop.rng
    for sku, _, _ in SKUS:
        for warehouse in ("wh-east", "wh-west"):
            shop.add("logistics", "stock_level", shop.start_ms, sku=sku, warehouse=warehouse, on_hand=40)
            for _ in range(12):
                ts = rng.randrange(shop.start_ms, shop.end_ms)
                kind, given = rng.choice(
                    (
                        ("stock_received", {"qty": rng.randrange(1, 30)}),
                        ("stock_adjusted", {"delta": rng.randrange(-9, 9)}),
                        ("stock_level", {"on_hand": rng.randrange(60)}),
                    )
                )
                shop.add("logistics", kind, ts, sku=sku, warehouse=warehouse, **given)
    for number in range(orders):
        ts = _busy_time(shop, sale)
        lines = [_sku(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        order = _order(shop, ts, f"user-{number % 3000}", list(dict.fromkeys(lines)), _labels(shop, ts, sale))
        if order is not None:
            _parcel(shop, order)


def _order(
    shop: Shop, ts: float, user: str, lines: Iterable[tuple[str, str, int]], labels: Mapping[str, Any]
) -> Event | None:
    """An order, perhaps paid. Returns it with its payment time if it is to be shipped."""
    rng = shop.rng
    order_id = f"order-{len(shop.events['orders'])}-{int(ts)}"
    items: list[Event] = [
        {"sku": sku, "category": category, "qty": rng.randrange(1, 4), "unit_price": price}
        for sku, category, price in lines
    ]
    worth = sum(item["qty"] * item["unit_price"] for item in items)
    money = {"discount": shop.maybe(0.4, worth // 10), "shipping_fee": shop.maybe(0.5, 600)}
    common = {"order_id": order_id, "user_id": user, "items": items, **labels, **money}
    common["campaign"] = shop.maybe(0.3, f"campaign-{rng.randrange(4)}")
    common["first_order"] = shop.maybe(0.3, True)
    amount = worth - (money["discount"] or 0) + (money["shipping_fee"] or 0)
    _perhaps_twice(shop, "order_created", ts, common)
    if shop.maybe(0.1, True):
        shop.add("orders", "payment_failed", shop.after(ts, MINUTE_MS), **common)
    if shop.maybe(0.15, True):
        shop.add("orders", "order_cancelled", shop.after(ts, HOUR_MS), **common)
        return None
    paid = shop.after(ts, 2 * MINUTE_MS)
    _perhaps_twice(shop, "order_paid", paid, common)
    whole = False
    if shop.maybe(0.15, True):
        parts = rng.choice(((amount,), (amount // 3,), (amount // 2, amount - amount // 2), (0, amount // 4)))
        for part in parts:
            shop.add("orders", "order_refunded", shop.after(paid, DAY_MS), refund_amount=part, **common)
        whole = sum(parts) == amount
    if len(items) > 1 and shop.maybe(0.4, True):
        lost = items if shop.maybe(0.3, True) else items[1:]
        for item in lost:
            fewer = {**common, "items": [item], "discount": None}
            shop.add("orders", "order_cancelled", shop.after(paid, 20 * HOUR_MS), **fewer)
        whole = whole or lost is items
    if whole and shop.maybe(0.8, True):
        return None
    return {**common, "ts": paid}


def _perhaps_twice(shop: Shop, kind: str, ts: float, common: Mapping[str, Any]) -> None:
    """An event of an order, sometimes with duplicates under other ids and labels."""
    shop.add("orders", kind, ts, **common)
    while shop.maybe(0.06, True):
        again = shop.rng.choice((ts, ts + 20 * SECOND_MS, shop.after(ts, 6 * HOUR_MS)))
        labels = {"channel": shop.rng.choice(CHANNELS), "region": shop.maybe(0.8, shop.rng.choice(REGIONS))}
        shop.add("orders", kind, again, **{**common, **labels})


def _parcel(shop: Shop, order: Event) -> None:
    rng, paid, order_id = shop.rng, order["ts"], order["order_id"]
    parcel = {"order_id": order_id, "warehouse": rng.choice(("wh-east", "wh-west")), "region": order["region"]}
    parcel["carrier"] = shop.maybe(0.9, rng.choice(("fast", "cheap")))
    parcel["promised_ts"] = shop.maybe(0.8, int(paid + 4 * DAY_MS))
    sent = shop.after(paid - rng.choice((0, 0, 0, HOUR_MS)), 30 * HOUR_MS)
    shop.add("logistics", "shipment_dispatched", sent, **parcel)
    if shop.maybe(0.1, True):
        shop.add("logistics", "shipment_delayed", shop.after(sent, DAY_MS), **parcel)
    arrived = shop.after(sent, 2 * DAY_MS)
    shop.add("logistics", "shipment_delivered", arrived, **parcel)
    if shop.maybe(0.07, True):
        item = order["items"][0]
        back = {"order_id": order_id, "sku": item["sku"], "category": shop.maybe(0.7, item["category"]), "qty": 1}
        shop.add("logistics", "return_received", shop.after(arrived, 3 * DAY_MS), **back)


def _busy_time(shop: Shop, sale: PromotionPeriod) -> float:
    """Three in ten visits are during the sale, half of these in its first hour."""
    rng = shop.rng
    if rng.random() < 0.3:
        return sale.starts_at + rng.random() * (HOUR_MS if rng.random() < 0.5 else sale.ends_at - sale.starts_at)
    return shop.start_ms + 5000 + rng.random() * (shop.end_ms - shop.start_ms - HOUR_MS)


def _labels(shop: Shop, ts: float, sale: PromotionPeriod) -> dict[str, Any]:
    rng = shop.rng
    channel = shop.maybe(0.9, rng.choice(CHANNELS))
    return {
        "channel": channel,
        "region": shop.maybe(0.95, rng.choice(REGIONS)),
        "member": shop.maybe(0.4, True),
        "variant": shop.maybe(0.5, rng.choice(("control", "treatment"))),
        "live_room": f"room-{rng.randrange(3)}" if channel == "live" else None,
        "promotion_id": PROMOTION if sale.starts_at <= ts < sale.ends_at else None,
    }


def _sku(rng: Random) -> tuple[str, str, int]:
    """A SKU; some sell much better than others."""
    return SKUS[min(int(rng.paretovariate(0.9)) - 1, len(SKUS) - 1)]


def _expected(shop: Shop, sale: PromotionPeriod) -> dict[str, Any]:
    oracle = Oracle(**shop.events, promotions={PROMOTION: sale}, timezone=TIMEZONE)
    last_ms = max(event["ts"] for events in shop.events.values() for event in events)
    moments = {
        "opening": sale.starts_at + 40 * MINUTE_MS,
        "in_promotion": sale.starts_at + 20 * HOUR_MS + 17 * MINUTE_MS,
        "after_promotion": sale.ends_at + 3 * HOUR_MS,
        "before_promotion": sale.starts_at - 3 * MINUTE_MS,
        "quiet": shop.start_ms + (sale.starts_at - shop.start_ms) // 2 + 43 * MINUTE_MS,
        "end": last_ms // MINUTE_MS * MINUTE_MS,
    }
    asked = [(moment, window, "all", None) for moment in moments for window in WINDOWS]
    for scope in ("channel", "region", "member", "variant", "live_room", "campaign", "category", "promotion"):
        asked += [
            ("in_promotion", "24h", scope, None),
            ("end", "promotion", scope, None),
            ("opening", "1h", scope, None),
        ]
    asked += [("opening", "15m", "channel", "app"), ("in_promotion", "1m", "region", "no-such-value")]
    asked += [("in_promotion", "promotion", "promotion", PROMOTION), ("end", "promotion", "promotion", PROMOTION)]
    for sku in ("sku-0", "sku-1", "sku-7", "no-such-value"):
        asked += [("in_promotion", "24h", "sku", sku), ("end", "promotion", "sku", sku), ("opening", "1h", "sku", sku)]
    return {
        "contract": 1,
        "as_of": moments,
        "approximate": APPROXIMATE,
        "queries": [
            answered(oracle, moment, moments[moment], *question, promotion=PROMOTION) for moment, *question in asked
        ],
    }


def answered(
    oracle: Oracle,
    moment: str,
    as_of: int,
    window: str,
    scope: str,
    value: str | None = None,
    *,
    promotion: str | None = None,
) -> Event:
    """A query with the oracle's answers, as `expected.json` has it; value None: of every value of the scope.

    `promotion`: that of the window `promotion`.
    """
    promotion = promotion if window == "promotion" else None
    query = {"moment": moment, "as_of": as_of, "window": window, "scope": scope, "value": value}
    query |= {"timezone": oracle.timezone} | ({"promotion": promotion} if promotion else {})

    def values(one: str) -> dict[str, Any]:
        exact = oracle.ask(window, as_of, scope, one, promotion=promotion)
        if any(0 < (exact[name] or 0) < FEW for name in ("visitors", "buyers")):
            del exact["conversion_rate"]  # estimates may be off by 1, which would be more than 4 %
        return exact

    if scope == "all" or value is not None:
        return query | {"values": values(value or "")}
    listed = oracle.values(window, as_of, scope, promotion=promotion)
    return query | {"items": [{"value": one, "values": values(one)} for one in listed]}


def _write(path: Path, events: Iterable[Mapping[str, Any]]) -> None:
    with gzip.GzipFile(path, "wb", 1, mtime=0) as out:
        for event in events:
            out.write(json.dumps(event).encode() + b"\n")
