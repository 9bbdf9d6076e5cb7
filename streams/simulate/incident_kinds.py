"""The kinds of incident: what each changes, what may be said of it, and what it should do to the KPIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.simulate.columns import SimulatedEventType

SESSION = ("channel", "region", "variant", "campaign", "live_room", "member")
"""Dimensions that a session and its orders have."""
SOURCES = {"clicks": "collector", "orders": "oms", "logistics": "wms"}
"""# topic: the name of its producers, before `-0`, `-1`, …"""
CLICK_TYPES = tuple(kind.type for kind in SimulatedEventType if kind.topic == "clicks")


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """A kind of incident: what may be said of it and what it should do to the KPIs."""

    changes: str
    expect: tuple[tuple[str, str], ...]
    """(KPI, how it moves), where `{left}` and `{size}` stand for 1 − size and size."""
    size: float | None = None
    """Default of `size`; None: the kind has none."""
    size_max: float = 1.0
    dimensions: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names, with their possible values (the first is the default; empty: any)."""
    alert: bool = True
    """False: a true change of demand, which nobody should be woken for."""


KINDS: dict[str, IncidentKind] = {
    "conversion_drop": IncidentKind(
        "the share {size} of what would pass the stage in it is lost",
        size=0.5,
        size_max=1.0,
        dimensions=(*SESSION, "category", "sku"),
        options={"stage": ("order", "cart", "checkout")},
        expect=(("conversion_rate", "x {left}"), ("orders_created", "x {left}"), ("gmv", "x {left}")),
    ),
    "payment_failures": IncidentKind(
        "the share {size} of the payments that would succeed fails",
        size=0.5,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("payment_failure_rate", "up"), ("payment_rate", "down"), ("gmv", "down")),
    ),
    "order_stop": IncidentKind(
        "no event on `orders`: new orders are lost; payments, cancellations and refunds wait until its end",
        dimensions=SESSION,
        expect=(("orders_created", "0"), ("orders_paid", "0"), ("gmv", "0")),
    ),
    "click_stop": IncidentKind(
        "the share {size} of click events is never recorded; orders go on",
        size=1.0,
        size_max=1.0,
        dimensions=SESSION,
        options={"type": ()},
        expect=(("visitors", "x {left}"), ("page_views", "x {left}"), ("conversion_rate", "up")),
    ),
    "stockout": IncidentKind(
        "the stock is written off at the start (stock_adjusted); what was written off is received again at the end",
        dimensions=("sku",),
        options={"top": ()},
        expect=(("stock_available", "<= 0"), ("stockout_skus", "up"), ("oversold_units", "up")),
    ),
    "producer_silent": IncidentKind(
        "events are not sent: dropped, or with mode=delay sent in its last moment",
        options={"topic": ("orders", "clicks", "logistics"), "source": (), "mode": ("drop", "delay")},
        expect=(("events_total", "0 for what is silent"),),
    ),
    "refund_surge": IncidentKind(
        "the share {size} of orders paid in it is called off and refunded about a minute later",
        size=0.2,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("refund_rate", "+ {size}"), ("cancellation_rate", "up"), ("net_gmv", "down")),
    ),
    "ship_delay": IncidentKind(
        "the share {size} of dispatches due in it waits until its end, and is announced as delayed",
        size=1.0,
        size_max=1.0,
        dimensions=("region", "warehouse"),
        expect=(("dispatched", "x {left}"), ("delayed", "up"), ("unshipped_orders", "up"), ("ship_hours", "up later")),
    ),
    "price_error": IncidentKind(
        "orders have {size} times the right unit price",
        size=0.1,
        size_max=100.0,
        dimensions=("sku", "category"),
        expect=(("aov", "x {size} of the lines concerned"), ("gmv", "x {size} of the lines concerned")),
    ),
    "traffic_surge": IncidentKind(
        "{size} times as many sessions begin",
        size=3.0,
        size_max=50.0,
        expect=(("visitors", "x {size}"), ("gmv", "x {size}"), ("conversion_rate", "unchanged")),
        alert=False,
    ),
    "traffic_drop": IncidentKind(
        "the share {size} of sessions does not begin",
        size=0.5,
        size_max=1.0,
        expect=(("visitors", "x {left}"), ("gmv", "x {left}"), ("conversion_rate", "unchanged")),
    ),
}
