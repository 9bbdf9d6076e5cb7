"""Kinds of incidents: effect, parameters and expected change of KPIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.simulate.columns import SimulatedEventType

SESSION = ("channel", "region", "variant", "campaign", "live_room", "member")
"""Dimensions of a session and its orders."""
SOURCES = {"clicks": "collector", "orders": "oms", "logistics": "wms"}
"""<topic: name of its producers, before `-0`, `-1`, …>"""
CLICK_TYPES = tuple(kind.type for kind in SimulatedEventType if kind.topic == "clicks")


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """A kind of incident with its parameters and expected effects."""

    changes: str
    expect: tuple[tuple[str, str], ...]
    """(KPI, effect), with the placeholders `{size}` and `{left}` (1 − size)."""
    size: float | None = None
    """Default of `size`; None: no such parameter."""
    size_max: float = 1.0
    dimensions: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """<parameter: allowed values>; the first is the default, empty: any value"""
    alert: bool = True
    """False: a real change of demand, which is no reason to page."""


KINDS: dict[str, IncidentKind] = {
    "conversion_drop": IncidentKind(
        "share {size} of sessions is lost at the stage",
        size=0.5,
        size_max=1.0,
        dimensions=(*SESSION, "category", "sku"),
        options={"stage": ("order", "cart", "checkout")},
        expect=(("conversion_rate", "x {left}"), ("orders_created", "x {left}"), ("gmv", "x {left}")),
    ),
    "payment_failures": IncidentKind(
        "share {size} of successful payments fails",
        size=0.5,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("payment_failure_rate", "up"), ("payment_rate", "down"), ("gmv", "down")),
    ),
    "order_stop": IncidentKind(
        "no event on `orders`: new orders are lost; payments, cancellations and refunds follow after the end",
        dimensions=SESSION,
        expect=(("orders_created", "0"), ("orders_paid", "0"), ("gmv", "0")),
    ),
    "click_stop": IncidentKind(
        "share {size} of click events is lost; orders continue",
        size=1.0,
        size_max=1.0,
        dimensions=SESSION,
        options={"type": ()},
        expect=(("visitors", "x {left}"), ("page_views", "x {left}"), ("conversion_rate", "up")),
    ),
    "stockout": IncidentKind(
        "stock is written off at the start (stock_adjusted) and received again at the end",
        dimensions=("sku",),
        options={"top": ()},
        expect=(("stock_available", "<= 0"), ("stockout_skus", "up"), ("oversold_units", "up")),
    ),
    "producer_silent": IncidentKind(
        "events are dropped, or sent at the end with mode=delay",
        options={"topic": ("orders", "clicks", "logistics"), "source": (), "mode": ("drop", "delay")},
        expect=(("events_total", "0 for the producer"),),
    ),
    "refund_surge": IncidentKind(
        "share {size} of paid orders is cancelled and refunded about a minute later",
        size=0.2,
        size_max=1.0,
        dimensions=SESSION,
        expect=(("refund_rate", "+ {size}"), ("cancellation_rate", "up"), ("net_gmv", "down")),
    ),
    "ship_delay": IncidentKind(
        "share {size} of due dispatches is delayed until the end, with shipment_delayed",
        size=1.0,
        size_max=1.0,
        dimensions=("region", "warehouse"),
        expect=(("dispatched", "x {left}"), ("delayed", "up"), ("unshipped_orders", "up"), ("ship_hours", "up later")),
    ),
    "price_error": IncidentKind(
        "unit prices are {size} times the right price",
        size=0.1,
        size_max=100.0,
        dimensions=("sku", "category"),
        expect=(("aov", "x {size} of these lines"), ("gmv", "x {size} of these lines")),
    ),
    "traffic_surge": IncidentKind(
        "{size} times as many sessions",
        size=3.0,
        size_max=50.0,
        expect=(("visitors", "x {size}"), ("gmv", "x {size}"), ("conversion_rate", "unchanged")),
        alert=False,
    ),
    "traffic_drop": IncidentKind(
        "share {size} of sessions is missing",
        size=0.5,
        size_max=1.0,
        expect=(("visitors", "x {left}"), ("gmv", "x {left}"), ("conversion_rate", "unchanged")),
    ),
}
