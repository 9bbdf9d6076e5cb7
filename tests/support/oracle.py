"""The expected answers, computed simply and slowly: every query scans all events.

Written from the metric dictionary alone; shares no code with the product. Distinct counts are exact here, so compare
with `assert_agree`, which allows only the dictionary's tolerance for these.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.oracle_labels import without_bad_labels
from tests.support.shipping_oracle import NAMES as SHIPPING_NAMES
from tests.support.shipping_oracle import SCOPES as SHIPPING_SCOPES
from tests.support.shipping_oracle import ShippingOracle
from tests.support.stock_oracle import SHOP_NAMES, SKU_NAMES, StockOracle

Event = Mapping[str, Any]
Number = int | float | None

WINDOWS = ("1m", "5m", "15m", "1h", "24h", "day", "promotion")
SCOPE_FIELDS = {
    "promotion": "promotion_id",
    "channel": "channel",
    "region": "region",
    "category": "category",
    "campaign": "campaign",
    "live_room": "live_room",
    "variant": "variant",
    "member": "member",
    "sku": "sku",
}
SCOPES = ("all", *SCOPE_FIELDS)
DISTINCTS = ("visitors", "sessions", "buyers")

_LENGTH_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000}
_MINUTE_MS = 60_000
_CLICKS = {
    "page_views": "page_view",
    "product_views": "product_view",
    "searches": "search",
    "cart_adds": "add_to_cart",
    "favorites": "favorite",
    "checkouts": "checkout_start",
    "ad_impressions": "ad_impression",
    "ad_clicks": "ad_click",
    "live_enters": "live_enter",
    "live_comments": "live_comment",
}
_ORDERS = {
    "orders_created": "order_created",
    "orders_paid": "order_paid",
    "payments_failed": "payment_failed",
    "orders_cancelled": "order_cancelled",
    "orders_refunded": "order_refunded",
}
_SHIPMENTS = {"dispatched": "shipment_dispatched", "delivered": "shipment_delivered", "delayed": "shipment_delayed"}


@dataclass(frozen=True)
class PromotionPeriod:
    """Start and end of a promotion, epoch ms."""

    starts_at: int
    ends_at: int
    targets: Mapping[str, int] = field(default_factory=dict)
    skus: Sequence[str] = ()


@dataclass
class Oracle:
    """All events, each once."""

    clicks: Sequence[Event] = ()
    orders: Sequence[Event] = ()
    logistics: Sequence[Event] = ()
    promotions: Mapping[str, PromotionPeriod] = field(default_factory=dict)
    timezone: str = "UTC"
    keep_stock_ms: int | None = None
    overdue_ms: int = 48 * 3_600_000
    _shipping_oracle: ShippingOracle | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.clicks, self.orders, self.logistics = (
            [without_bad_labels(event) for event in events] for events in (self.clicks, self.orders, self.logistics)
        )

    @cached_property
    def _repeated(self) -> set[str]:
        """Ids of creations and payments that are not their order's first."""
        ordered: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for event in self.orders:
            if event["type"] in ("order_created", "order_paid"):
                ordered[event["order_id"], event["type"]].append((event["ts"], event["event_id"]))
        return {event_id for held in ordered.values() for _, event_id in sorted(held)[1:]}

    def ask(
        self, window: str, as_of_ms: int, scope: str = "all", value: str = "", *, promotion: str | None = None
    ) -> dict[str, Number]:
        """Every counter, distinct count and ratio of one value of a scope."""
        start, end = self._span(window, as_of_ms, scope, value, promotion)
        numbers = self._counters(start, end, scope, value)
        numbers.update(self._distincts(window, start, end, scope, value))
        running = self.promotions.get(value) if (window, scope) == ("promotion", "promotion") else None
        stock = self._stock(as_of_ms, scope, value, promotion)
        return (
            _with_ratios(numbers, scope)
            | _attainment(numbers, running)
            | stock
            | self._shipping(start, end, as_of_ms, scope, value)
        )

    def values(self, window: str, as_of_ms: int, scope: str, *, promotion: str | None = None) -> dict[str, int]:
        """The values in a list without `value`, each with its GMV."""
        events = (*self.clicks, *self.orders, *self.logistics)
        named = {value for event in events for value in _values_of(event, scope)}
        held = {}
        for value in named:
            numbers = self._counters(*self._span(window, as_of_ms, scope, value, promotion), scope, value)
            if any(numbers.values()):
                held[value] = numbers["gmv"]
        return held

    def _shipping(self, start: int, end: int, as_of_ms: int, scope: str, value: str) -> dict[str, Number]:
        if scope not in SHIPPING_SCOPES:
            return dict.fromkeys(SHIPPING_NAMES)
        if self._shipping_oracle is None:
            self._shipping_oracle = ShippingOracle((*self.orders, *self.logistics), limit_ms=self.overdue_ms)
        return self._shipping_oracle.ask(start, end, as_of_ms, scope, value)

    def _stock(self, as_of_ms: int, scope: str, value: str, promotion: str | None) -> dict[str, Number]:
        """The stock KPIs, which are equal in every window."""
        oracle = StockOracle(self.orders, self.logistics, self.keep_stock_ms)
        numbers: dict[str, Number] = dict.fromkeys((*SKU_NAMES, *SHOP_NAMES))
        if scope == "all":
            return numbers | oracle.of_shop(as_of_ms)
        if scope == "promotion":
            skus = self.promotions[value].skus if value in self.promotions else ()
            return numbers | oracle.of_shop(as_of_ms, skus)
        if scope == "sku":
            current = self._promotion(as_of_ms, None)
            named = [name for name, running in sorted(self.promotions.items()) if running is current]
            return numbers | oracle.of_sku(value, as_of_ms, promotion or (named or [None])[0])
        return numbers

    # Windows ---------------------------------------------------------------------------------------------------------

    def _span(self, window: str, as_of_ms: int, scope: str, value: str, promotion: str | None) -> tuple[int, int]:
        """[start, end) of the counters, epoch ms."""
        if window == "promotion":
            running = self._promotion(as_of_ms, value if scope == "promotion" else promotion)
            if running is None or as_of_ms <= running.starts_at:
                return as_of_ms, as_of_ms
            return _down(running.starts_at, _MINUTE_MS), min(as_of_ms, running.ends_at)
        if window == "day":
            return midnight(as_of_ms, self.timezone), as_of_ms
        start = as_of_ms - _LENGTH_MS[window]
        return (_down(start, _MINUTE_MS) if window in ("1h", "24h") else start), as_of_ms

    def _promotion(self, as_of_ms: int, name: str | None) -> PromotionPeriod | None:
        if name is not None:
            return self.promotions.get(name)
        ordered = sorted(self.promotions.values(), key=lambda running: running.starts_at)
        started = [running for running in ordered if running.starts_at <= as_of_ms]
        return (started[-1:] or ordered[:1] or [None])[0]

    # Sums ------------------------------------------------------------------------------------------------------------

    def _counters(self, start: int, end: int, scope: str, value: str) -> dict[str, int]:
        def within(events: Sequence[Event]) -> list[Event]:
            return [event for event in events if start <= event["ts"] < end and _is_in(event, scope, value)]

        clicks, orders, shipments = within(self.clicks), within(self.orders), within(self.logistics)
        paid = _of(orders, "order_paid")
        refunded = [event for event in orders if event["type"] == "order_refunded"]
        returned = [event for event in shipments if event["type"] == "return_received"]
        dwells = [event["dwell_ms"] for event in clicks if event.get("dwell_ms") is not None]

        def gmv_of(chosen: Sequence[Event]) -> int:
            return sum(_amount(event, scope, value) for event in chosen)

        def repeats(chosen: Sequence[Event]) -> int:
            return 0 if scope in ("category", "sku") else sum(event["event_id"] in self._repeated for event in chosen)

        return {
            **{name: _count(clicks, kind) for name, kind in _CLICKS.items()},
            **{name: _count(orders, kind) for name, kind in _ORDERS.items()},
            **{name: _count(shipments, kind) for name, kind in _SHIPMENTS.items()},
            "ad_cost": sum(event.get("cost") or 0 for event in clicks if event["type"] == "ad_click"),
            "units": sum(item["qty"] for event in paid for item in _items(event, scope, value)),
            "gmv": gmv_of(paid),
            "refunds": sum(_refund(event, scope, value) for event in refunded),
            "discounts": sum(event.get("discount") or 0 for event in paid if scope not in ("category", "sku")),
            "returned_units": sum(event["qty"] for event in returned),
            "repeat_creations": repeats(_of(orders, "order_created")),
            "repeat_payments": repeats(paid),
            "_dwell_ms": sum(dwells),
            "_dwell_events": len(dwells),
            "_first_orders": sum(bool(event.get("first_order")) for event in paid),
            "_member_gmv": gmv_of([event for event in paid if event.get("member")]),
            "_campaign_gmv": gmv_of([event for event in paid if event.get("campaign") is not None]),
        }

    def _distincts(self, window: str, start: int, end: int, scope: str, value: str) -> dict[str, int | None]:
        if scope == "sku" and window in ("1m", "5m", "15m"):
            return dict.fromkeys(DISTINCTS)
        if start == end:
            return dict.fromkeys(DISTINCTS, 0)
        if scope == "sku":
            begin_step = end_step = 600_000
        else:
            begin_step = {"1m": 10_000, "5m": 10_000, "15m": 10_000, "1h": 60_000}.get(window, 600_000)
            end_step = 10_000
        begin, until = _down(start, begin_step), _down(end, end_step)

        def ids(events: Sequence[Event], name: str) -> int:
            return len(
                {event[name] for event in events if begin <= event["ts"] < until and _is_in(event, scope, value)}
            )

        paid = _of(self.orders, "order_paid")
        visits = [event for event in self.clicks if event["type"] != "ad_impression"]
        return {
            "visitors": ids(visits, "user_id"),
            "sessions": ids(visits, "session_id"),
            "buyers": ids(paid, "user_id"),
        }


@lru_cache(maxsize=1000)
def midnight(as_of_ms: int, timezone: str) -> int:
    """The first minute of the local day of a time, found by walking back minute by minute."""
    zone = ZoneInfo(timezone)

    def date_at(at: int) -> str:
        return datetime.fromtimestamp(at / 1000, zone).date().isoformat()

    start = _down(as_of_ms, _MINUTE_MS)
    while date_at(start - _MINUTE_MS) == date_at(as_of_ms):
        start -= _MINUTE_MS
    return start


def local_days_before(at_ms: int, days: int, timezone: str) -> int:
    """The first time with the same local time this many dates before; clocks change by whole hours."""
    zone = ZoneInfo(timezone)
    wanted = datetime.fromtimestamp(at_ms / 1000, zone).replace(tzinfo=None) - timedelta(days=days)
    for hours in range(24 * days + 2, 24 * days - 3, -1):
        then = at_ms - hours * 3_600_000
        if datetime.fromtimestamp(then / 1000, zone).replace(tzinfo=None, fold=0) == wanted.replace(fold=0):
            return then
    raise ValueError(f"{wanted} did not exist in {timezone}")


def assert_agree(got: Mapping[str, Number], expected: Mapping[str, Number], *context: object) -> None:
    """Assert that every number of the oracle is equal; distinct counts within 2 %, or 1 if that is more."""
    wrong = {}
    for name, number in expected.items():
        slack = 0.0
        if name in DISTINCTS and number is not None:
            slack = max(1.0, 0.02 * number)
        if name == "conversion_rate" and number is not None:
            slack = max(0.04, 2 / expected["visitors"]) * max(1.0, number)  # type: ignore[operator]
        if (got[name] is None) != (number is None) or (
            number is not None and not math.isclose(got[name], number, rel_tol=1e-12, abs_tol=slack)  # type: ignore[arg-type]
        ):
            wrong[name] = {"got": got[name], "expected": number}
    assert not wrong, (*context, wrong)


def _with_ratios(n: dict[str, Any], scope: str) -> dict[str, Number]:
    def ratio(above: int | None, below: int | None) -> Number:
        return None if above is None or not below else above / below

    line_scope = scope in ("category", "sku")
    ratios = {
        "net_gmv": n["gmv"] - n["refunds"],
        "aov": ratio(n["gmv"], n["orders_paid"]),
        "conversion_rate": ratio(n["buyers"], n["visitors"]),
        "cart_rate": ratio(n["cart_adds"], n["product_views"]),
        "checkout_rate": ratio(n["checkouts"], n["cart_adds"]),
        "order_rate": ratio(n["orders_created"], n["checkouts"]),
        "payment_rate": ratio(n["orders_paid"], n["orders_created"]),
        "payment_failure_rate": ratio(n["payments_failed"], n["payments_failed"] + n["orders_paid"]),
        "cancellation_rate": ratio(n["orders_cancelled"], n["orders_created"]),
        "refund_rate": ratio(n["orders_refunded"], n["orders_paid"]),
        "units_per_order": ratio(n["units"], n["orders_paid"]),
        "discount_rate": None if line_scope else ratio(n["discounts"], n["gmv"] + n["discounts"]),
        "new_buyer_rate": ratio(n["_first_orders"], n["orders_paid"]),
        "member_gmv_share": ratio(n["_member_gmv"], n["gmv"]),
        "ctr": ratio(n["ad_clicks"], n["ad_impressions"]),
        "cpc": ratio(n["ad_cost"], n["ad_clicks"]),
        "roas": ratio(n["_campaign_gmv"], n["ad_cost"]),
        "avg_dwell_seconds": ratio(n["_dwell_ms"], 1000 * n["_dwell_events"]),
    }
    public = {name: number for name, number in n.items() if not name.startswith("_")}
    absent = dict.fromkeys(("discounts", "repeat_creations", "repeat_payments")) if line_scope else {}
    return {**public, **absent, **ratios}


def _attainment(n: Mapping[str, Any], running: PromotionPeriod | None) -> dict[str, Number]:
    targets = {} if running is None else running.targets
    net_gmv = n["gmv"] - n["refunds"]
    return {
        f"target_attainment.{tier}": net_gmv / targets[tier] if targets.get(tier) else None
        for tier in ("base", "sprint", "challenge")
    }


def _values_of(event: Event, scope: str) -> set[str]:
    """The values of a scope that an event counts in."""
    if scope == "all":
        return {""}
    name = SCOPE_FIELDS[scope]
    if scope in ("category", "sku") and "items" in event:
        return {item[name] for item in event["items"] if item.get(name) is not None}
    value = event.get(name)
    if value is None:
        return set()
    return {("true" if value else "false") if isinstance(value, bool) else value}


def _is_in(event: Event, scope: str, value: str) -> bool:
    return value in _values_of(event, scope)


def _items(event: Event, scope: str, value: str) -> list[Event]:
    """The lines of an order that count in a value of a scope."""
    return [item for item in event["items"] if scope not in ("category", "sku") or item.get(scope) == value]


def _worth(items: Sequence[Event]) -> int:
    return sum(item["qty"] * item["unit_price"] for item in items)


def _amount(event: Event, scope: str, value: str) -> int:
    if scope in ("category", "sku"):
        return _worth(_items(event, scope, value))
    return _worth(event["items"]) - (event.get("discount") or 0) + (event.get("shipping_fee") or 0)


def _refund(event: Event, scope: str, value: str) -> int:
    if scope not in ("category", "sku"):
        return event["refund_amount"]
    total = _worth(event["items"])
    if not total:
        return 0  # no line has a value to divide the amount by
    shares = (Fraction(event["refund_amount"] * _worth([item]), total) for item in _items(event, scope, value))
    return sum(math.floor(share + Fraction(1, 2)) for share in shares)


def _of(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def _count(events: Sequence[Event], kind: str) -> int:
    return sum(event["type"] == kind for event in events)


def _down(at: int, step: int) -> int:
    return at - at % step
