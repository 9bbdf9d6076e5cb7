"""The additive counters and distinct counts of the metric dictionary, and the resolutions of their panes.

The index in `COUNTERS` or `DISTINCTS` is the id in stored panes: append, never reorder. A new one is a new pane
format, which older processes cannot read: increase `streams.fold.codec.VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Unit(StrEnum):
    """Unit of a counter or KPI. Money is in minor units in JSON, in major units in Prometheus."""

    COUNT = "count"
    MONEY = "money"
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Counter:
    """A sum of integers over events, independent of their order."""

    name: str
    counts: str
    """Description of what it counts."""
    unit: Unit = Unit.COUNT
    public: bool = True
    """Whether answers show it; else it is only part of a KPI's formula."""
    event_type: str = ""
    """The type of events that it counts; empty: it counts something else."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """An estimate of the number of distinct ids: error <= 2 %, or 1 if that is more."""

    name: str
    counts: str


def _events(name: str, event_type: str) -> Counter:
    return Counter(name, f"{event_type} events", event_type=event_type)


COUNTERS = (
    _events("page_views", "page_view"),
    _events("product_views", "product_view"),
    _events("searches", "search"),
    _events("cart_adds", "add_to_cart"),
    _events("favorites", "favorite"),
    _events("checkouts", "checkout_start"),
    _events("ad_impressions", "ad_impression"),
    _events("ad_clicks", "ad_click"),
    _events("live_enters", "live_enter"),
    _events("live_comments", "live_comment"),
    Counter("ad_cost", "sum of cost of ad_click", Unit.MONEY),
    _events("orders_created", "order_created"),
    _events("orders_paid", "order_paid"),
    _events("payments_failed", "payment_failed"),
    _events("orders_cancelled", "order_cancelled"),
    _events("orders_refunded", "order_refunded"),
    Counter("units", "sum of qty of order_paid"),
    Counter("gmv", "sum of the amount of order_paid", Unit.MONEY),
    Counter("refunds", "sum of refund_amount", Unit.MONEY),
    Counter("discounts", "sum of discount of order_paid", Unit.MONEY),
    _events("dispatched", "shipment_dispatched"),
    _events("delivered", "shipment_delivered"),
    _events("delayed", "shipment_delayed"),
    Counter("returned_units", "sum of qty of return_received"),
    Counter("dwell_ms", "sum of dwell_ms", Unit.MILLISECONDS, public=False),
    Counter("dwell_events", "events that carry dwell_ms", public=False),
    Counter("first_orders", "order_paid events with first_order", public=False),
    Counter("member_gmv", "gmv of members", Unit.MONEY, public=False),
    Counter("campaign_gmv", "gmv of orders with a campaign", Unit.MONEY, public=False),
    Counter("repeat_creations", "order_created events of an order other than its first"),
    Counter("repeat_payments", "order_paid events of an order other than its first"),
)
DISTINCTS = (
    Distinct("visitors", "distinct user_id over click events other than ad_impression"),
    Distinct("sessions", "distinct session_id over click events other than ad_impression"),
    Distinct("buyers", "distinct user_id over order_paid"),
)

COUNTER_IDS = {counter.name: i for i, counter in enumerate(COUNTERS)}
DISTINCT_IDS = {distinct.name: i for i, distinct in enumerate(DISTINCTS)}
N_COUNTERS = len(COUNTERS)

TYPE_COUNTERS = {counter.event_type: i for i, counter in enumerate(COUNTERS) if counter.event_type}
"""# <event type: counter that each event increments>"""


MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
HOUR_MS = 1000 * HOUR_S

COUNTERS_STEP_S = MappingProxyType({"s": 1, "m": MINUTE_S, "h": HOUR_S})
"""# <level: length of counters' panes, seconds>, finest first"""
DISTINCTS_STEP_S = MappingProxyType({"s": 10, "m": 10 * MINUTE_S, "h": HOUR_S})
SKU_DISTINCTS_STEP_S = DISTINCTS_STEP_S["m"]
"""Finest resolution of distinct counts per SKU: there are many SKUs."""
