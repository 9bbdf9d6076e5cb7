"""The additive counters and distinct counts of the metric dictionary, and the resolutions of their panes.

The index in `COUNTERS` or `DISTINCTS` is the id in stored panes: append, never reorder.
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
    """Description."""
    unit: Unit = Unit.COUNT
    public: bool = True
    """Whether answers show it; else it is only part of a KPI's formula."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """An estimate of the number of distinct ids: error <= 2 %, or 1 if that is more."""

    name: str
    counts: str


CLICK_TYPES = (
    "page_view",
    "product_view",
    "search",
    "add_to_cart",
    "favorite",
    "checkout_start",
    "ad_impression",
    "ad_click",
    "live_enter",
    "live_comment",
)
ORDER_TYPES = ("order_created", "order_paid", "payment_failed", "order_cancelled", "order_refunded")

COUNTERS = (
    Counter("page_views", "page_view events"),
    Counter("product_views", "product_view events"),
    Counter("searches", "search events"),
    Counter("cart_adds", "add_to_cart events"),
    Counter("favorites", "favorite events"),
    Counter("checkouts", "checkout_start events"),
    Counter("ad_impressions", "ad_impression events"),
    Counter("ad_clicks", "ad_click events"),
    Counter("live_enters", "live_enter events"),
    Counter("live_comments", "live_comment events"),
    Counter("ad_cost", "sum of cost of ad_click", Unit.MONEY),
    Counter("orders_created", "order_created events"),
    Counter("orders_paid", "order_paid events"),
    Counter("payments_failed", "payment_failed events"),
    Counter("orders_cancelled", "order_cancelled events"),
    Counter("orders_refunded", "order_refunded events"),
    Counter("units", "sum of qty of order_paid"),
    Counter("gmv", "sum of the amount of order_paid", Unit.MONEY),
    Counter("refunds", "sum of refund_amount", Unit.MONEY),
    Counter("discounts", "sum of discount of order_paid", Unit.MONEY),
    Counter("dispatched", "shipment_dispatched events"),
    Counter("delivered", "shipment_delivered events"),
    Counter("delayed", "shipment_delayed events"),
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

TYPE_COUNTERS = {
    **{name: i for i, name in enumerate(CLICK_TYPES)},
    **{name: COUNTER_IDS["orders_created"] + i for i, name in enumerate(ORDER_TYPES)},
    "shipment_dispatched": COUNTER_IDS["dispatched"],
    "shipment_delivered": COUNTER_IDS["delivered"],
    "shipment_delayed": COUNTER_IDS["delayed"],
}
"""# <event type: counter that each event increments>"""


MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
HOUR_MS = 1000 * HOUR_S

COUNTERS_STEP_S = MappingProxyType({"s": 1, "m": MINUTE_S, "h": HOUR_S})
"""Finest first."""
DISTINCTS_STEP_S = MappingProxyType({"s": 10, "m": 10 * MINUTE_S, "h": HOUR_S})
SKU_DISTINCTS_STEP_S = DISTINCTS_STEP_S["m"]
"""Finest resolution of distinct counts per SKU: there are many SKUs."""
