"""The same KPIs as in a Faust tutorial: an agent per topic, one event at a time, a timer that flushes.

    python -m tests.bench.plain_faust BOOTSTRAP REDIS_URL GROUP

Its counters, scopes, panes, distinct counts and de-duplication are those of salepulse; it decodes with msgspec, which
is faster than `faust.Record`. It does without the rest: no fence, no exactness after a crash, nothing ever expires.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import faust
import msgspec
import redis

BOOTSTRAP, REDIS_URL, GROUP = sys.argv[1:4] if len(sys.argv) > 3 else ("127.0.0.1:9092", "", "plain")
COUNTED = "plain:counted"
SCOPES = ("promotion_id", "channel", "region", "campaign", "live_room", "variant", "member")
CLICK_COUNTERS = {
    "page_view": "page_views",
    "product_view": "product_views",
    "search": "searches",
    "add_to_cart": "cart_adds",
    "favorite": "favorites",
    "checkout_start": "checkouts",
    "ad_impression": "ad_impressions",
    "ad_click": "ad_clicks",
    "live_enter": "live_enters",
    "live_comment": "live_comments",
}
COUNTERS = {
    **CLICK_COUNTERS,
    "order_created": "orders_created",
    "order_paid": "orders_paid",
    "payment_failed": "payments_failed",
    "order_cancelled": "orders_cancelled",
    "order_refunded": "orders_refunded",
}


class Item(msgspec.Struct):
    sku: str
    qty: int
    unit_price: int
    category: str | None = None


class Event(msgspec.Struct):
    event_id: str
    type: str
    ts: int
    user_id: str
    session_id: str = ""
    sku: str | None = None
    category: str | None = None
    channel: str | None = None
    region: str | None = None
    promotion_id: str | None = None
    campaign: str | None = None
    live_room: str | None = None
    variant: str | None = None
    member: bool | None = None
    dwell_ms: int | None = None
    cost: int = 0
    items: list[Item] = []
    discount: int = 0
    shipping_fee: int = 0
    refund_amount: int = 0
    first_order: bool = False


Cell = tuple[int, str, str, str]
"""Pane, scope, value, name."""


class Totals:
    """What has changed since the last flush, and the sets that are kept for good."""

    def __init__(self) -> None:
        self.counted = 0
        self._redis = redis.Redis.from_url(REDIS_URL)
        self._seen: set[str] = set()
        self._cells: dict[Cell, int] = defaultdict(int)
        self._sets: dict[Cell, set[str]] = defaultdict(set)
        self._fresh: dict[Cell, list[str]] = defaultdict(list)

    def click(self, event: Event) -> None:
        self.counted += 1
        if event.event_id in self._seen:
            return
        self._seen.add(event.event_id)
        for scope, value in (*_scopes(event), ("category", event.category), ("sku", event.sku)):
            if value is None:
                continue
            self._add(event.ts, scope, value, COUNTERS[event.type], 1)
            if event.dwell_ms is not None:
                self._add(event.ts, scope, value, "dwell_ms", event.dwell_ms)
                self._add(event.ts, scope, value, "dwell_events", 1)
            if event.type == "ad_click":
                self._add(event.ts, scope, value, "ad_cost", event.cost)
            self._distinct(event.ts, scope, value, "visitors", event.user_id)
            self._distinct(event.ts, scope, value, "sessions", event.session_id)

    def order(self, event: Event) -> None:
        self.counted += 1
        if event.event_id in self._seen:
            return
        self._seen.add(event.event_id)
        amount = sum(item.qty * item.unit_price for item in event.items) - event.discount + event.shipping_fee
        units = sum(item.qty for item in event.items)
        for scope, value in _scopes(event):
            if value is None:
                continue
            self._add(event.ts, scope, value, COUNTERS[event.type], 1)
            if event.type == "order_refunded":
                self._add(event.ts, scope, value, "refunds", event.refund_amount)
            if event.type == "order_paid":
                self._add(event.ts, scope, value, "units", units)
                self._add(event.ts, scope, value, "gmv", amount)
                self._add(event.ts, scope, value, "discounts", event.discount)
                self._add(event.ts, scope, value, "first_orders", event.first_order)
                self._add(event.ts, scope, value, "member_gmv", amount if event.member else 0)
                self._add(event.ts, scope, value, "campaign_gmv", amount if event.campaign else 0)
                self._distinct(event.ts, scope, value, "buyers", event.user_id)
        for scope in ("category", "sku"):
            for value in {getattr(item, scope) for item in event.items} - {None}:
                self._add(event.ts, scope, value, COUNTERS[event.type], 1)
                if event.type == "order_paid":
                    self._distinct(event.ts, scope, value, "buyers", event.user_id)
        if event.type == "order_paid":
            for item in event.items:
                for scope, value in (("category", item.category), ("sku", item.sku)):
                    if value is not None:
                        self._add(event.ts, scope, value, "units", item.qty)
                        self._add(event.ts, scope, value, "gmv", item.qty * item.unit_price)

    def _add(self, ts: int, scope: str, value: str, name: str, amount: int) -> None:
        if amount:
            self._cells[ts // 1000, scope, value, name] += amount

    def _distinct(self, ts: int, scope: str, value: str, name: str, member: str) -> None:
        pane = ts // 600_000 * 600 if scope == "sku" else ts // 10_000 * 10
        key = (pane, scope, value, name)
        known = self._sets[key]
        if member not in known:
            known.add(member)
            self._fresh[key].append(member)

    def flush(self) -> None:
        """Write what has changed."""
        pipe = self._redis.pipeline(transaction=False)
        for (pane, scope, value, name), amount in self._cells.items():
            pipe.hincrby(f"plain:{pane}", f"{scope}|{value}|{name}", amount)
        for (pane, scope, value, name), members in self._fresh.items():
            pipe.pfadd(f"plain:{pane}:{scope}|{value}|{name}", *members)
        pipe.set(COUNTED, self.counted)
        pipe.execute()
        self._cells.clear()
        self._fresh.clear()


def _scopes(event: Event) -> Iterator[tuple[str, str | None]]:
    yield "all", ""
    for scope in SCOPES:
        value = getattr(event, scope)
        yield scope, str(value).lower() if isinstance(value, bool) else value


def create_app() -> Any:
    """The app: two agents and a timer."""
    app = faust.App(
        GROUP,
        broker=f"kafka://{BOOTSTRAP}",
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        web_enabled=False,
    )
    clicks, orders = (app.topic(name, value_serializer="raw", value_type=bytes) for name in ("clicks", "orders"))
    decode = msgspec.json.Decoder(Event).decode
    totals = Totals()

    async def on_click(stream: AsyncIterator[bytes]) -> None:
        async for value in stream:
            totals.click(decode(value))

    async def on_order(stream: AsyncIterator[bytes]) -> None:
        async for value in stream:
            totals.order(decode(value))

    async def flush() -> None:
        totals.flush()

    app.agent(clicks)(on_click)
    app.agent(orders)(on_order)
    app.timer(1.0)(flush)
    return app


if __name__ == "__main__":
    faust.Worker(create_app(), loglevel="WARNING").execute_from_commandline()
