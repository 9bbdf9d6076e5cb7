"""The KPI registry: every ratio and difference of the metric dictionary, with its formula.

A formula takes the sums of one row in one window and returns a number, or None if its denominator is 0. KPIs that need
more than panes (stock, shipping, targets) get sums from the modules that hold their state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from streams.panes.counters import COUNTERS, DISTINCTS, HOUR_MS, Unit
from streams.panes.scopes import LINE_SCOPES, SCOPES, Scope
from streams.shipping.counters import ShippingCounter
from streams.stock.forecast import minutes_to_stockout

Number: TypeAlias = int | float | None
Sums: TypeAlias = Mapping[str, int]
"""Counters and distinct counts by name, and per-window values (`target_sum`); names that the scope or window lacks
are missing."""

TARGET_TIERS = ("base", "sprint", "challenge")


@dataclass(frozen=True, slots=True)
class Kpi:
    """A number computed from the sums of one row in one window."""

    name: str
    formula: str
    compute: Callable[[Sums], Number]
    """Called only with sums that have all inputs."""
    inputs: tuple[str, ...]
    """Names of the sums that `compute` reads; the KPI is None where one of them is missing."""
    unit: Unit = Unit.RATIO
    scopes: tuple[Scope, ...] = SCOPES


def _ratio(name: str, above: str, below: str, unit: Unit = Unit.RATIO, formula: str | None = None) -> Kpi:
    return Kpi(
        name, formula or f"{above} / {below}", lambda sums: divide(sums[above], sums[below]), (above, below), unit
    )


def target_sum(tier: str) -> str:
    """Name of a promotion's target among the sums of its row and window."""
    return f"target.{tier}"


def _attainment(tier: str) -> Kpi:
    return Kpi(
        f"target_attainment.{tier}",
        f"net_gmv / the promotion's target {tier}, in window promotion",
        lambda sums: divide(sums["gmv"] - sums["refunds"], sums[target_sum(tier)]),
        ("gmv", "refunds", target_sum(tier)),
        scopes=(Scope.PROMOTION,),
    )


def divide(above: float, below: float) -> float | None:
    """A ratio; None if the denominator is 0."""
    return above / below if below else None


def _sell_through(sums: Sums) -> Number:
    sold, available = sums["promotion_units"], sums["stock_available"]
    return sold / (sold + available) if sold + available > 0 else None


_STOCK_KPIS = (
    Kpi(
        "stock_available",
        "newest on_hand of each warehouse + received + adjusted after it, + units cancelled - units ordered after the "
        "newest of those; null without any count",
        lambda sums: sums["stock_available"],
        ("stock_available",),
        Unit.COUNT,
        (Scope.SKU,),
    ),
    Kpi(
        "sell_through",
        "units paid with the promotion's id, ever / (those + stock_available)",
        _sell_through,
        ("promotion_units", "stock_available"),
        scopes=(Scope.SKU,),
    ),
    Kpi(
        "minutes_to_stockout",
        "stock_available / units per minute over the last 15 m; 0 when stock <= 0, null when nothing sells",
        lambda sums: minutes_to_stockout(sums["stock_available"], sums["units_15m"]),
        ("stock_available", "units_15m"),
        Unit.MINUTES,
        (Scope.SKU,),
    ),
    Kpi(
        "oversold_units",
        "max(0, - stock_available)",
        lambda sums: max(0, -sums["stock_available"]),
        ("stock_available",),
        Unit.COUNT,
        (Scope.SKU,),
    ),
    Kpi(
        "stockout_skus",
        "SKUs of the promotion (scope all: all known) with stock_available <= 0",
        lambda sums: sums["stockout_skus"],
        ("stockout_skus",),
        Unit.COUNT,
        (Scope.ALL, Scope.PROMOTION),
    ),
    Kpi(
        "stock_fill_rate",
        "of the same SKUs, the share with stock_available > 0",
        lambda sums: divide(sums["stocked_skus"], sums["stocked_skus"] + sums["stockout_skus"]),
        ("stocked_skus", "stockout_skus"),
        scopes=(Scope.ALL, Scope.PROMOTION),
    ),
)
STOCK_NAMES = frozenset(kpi.name for kpi in _STOCK_KPIS)

SHIPPING_SCOPES = (Scope.ALL, Scope.PROMOTION, Scope.CHANNEL, Scope.REGION)


def _shipping_state(name: str, formula: str, state: ShippingCounter) -> Kpi:
    """The current value of `UNSHIPPED` or `OVERDUE`."""
    sum_name = state.sum_name
    return Kpi(name, formula, lambda sums: sums[sum_name], (sum_name,), Unit.COUNT, SHIPPING_SCOPES)


def _shipping_ratio(name: str, formula: str, above: ShippingCounter, below: ShippingCounter) -> Kpi:
    return replace(_ratio(name, above.sum_name, below.sum_name, formula=formula), scopes=SHIPPING_SCOPES)


def _mean_hours(name: str, formula: str, milliseconds: ShippingCounter, intervals: ShippingCounter) -> Kpi:
    above, below = milliseconds.sum_name, intervals.sum_name
    return Kpi(
        name,
        formula,
        lambda sums: divide(sums[above], sums[below] * HOUR_MS),
        (above, below),
        Unit.HOURS,
        SHIPPING_SCOPES,
    )


SHIPPING_KPIS = (
    _shipping_state(
        "unshipped_orders",
        "orders paid and neither dispatched, cancelled nor refunded at the as-of, for 180 days from payment",
        ShippingCounter.UNSHIPPED,
    ),
    _shipping_state(
        "overdue_shipments",
        "of the unshipped orders, those paid more than 48 h before the as-of",
        ShippingCounter.OVERDUE,
    ),
    _shipping_ratio(
        "ship_within_48h_rate",
        "of the orders that fell due in the window and are not cancelled, the share dispatched within 48 h of payment",
        ShippingCounter.DUE_IN_TIME,
        ShippingCounter.DUE,
    ),
    _shipping_ratio(
        "on_time_delivery_rate",
        "delivered in the window not after the promise / delivered with a promise",
        ShippingCounter.ON_TIME,
        ShippingCounter.PROMISED,
    ),
    _mean_hours(
        "ship_hours",
        "mean hours from payment to dispatch, of those dispatched in the window",
        ShippingCounter.SHIP_MS,
        ShippingCounter.SHIP_INTERVALS,
    ),
    _mean_hours(
        "delivery_hours",
        "mean hours from dispatch to delivery, of those delivered in the window",
        ShippingCounter.DELIVERY_MS,
        ShippingCounter.DELIVERY_INTERVALS,
    ),
    _shipping_ratio(
        "return_rate",
        "orders that returned something for the first time in the window / orders delivered in it",
        ShippingCounter.RETURNED,
        ShippingCounter.DELIVERED,
    ),
)
SHIPPING_NAMES = frozenset(kpi.name for kpi in SHIPPING_KPIS)

KPIS = (
    Kpi("net_gmv", "gmv - refunds", lambda sums: sums["gmv"] - sums["refunds"], ("gmv", "refunds"), Unit.MONEY),
    _ratio("aov", "gmv", "orders_paid", Unit.MONEY),
    _ratio("conversion_rate", "buyers", "visitors"),
    _ratio("cart_rate", "cart_adds", "product_views"),
    _ratio("checkout_rate", "checkouts", "cart_adds"),
    _ratio("order_rate", "orders_created", "checkouts"),
    _ratio("payment_rate", "orders_paid", "orders_created"),
    Kpi(
        "payment_failure_rate",
        "payments_failed / (payments_failed + orders_paid)",
        lambda sums: divide(sums["payments_failed"], sums["payments_failed"] + sums["orders_paid"]),
        ("payments_failed", "orders_paid"),
    ),
    _ratio("cancellation_rate", "orders_cancelled", "orders_created"),
    _ratio("refund_rate", "orders_refunded", "orders_paid"),
    _ratio("units_per_order", "units", "orders_paid"),
    Kpi(
        "discount_rate",
        "discounts / (gmv + discounts)",
        lambda sums: divide(sums["discounts"], sums["gmv"] + sums["discounts"]),
        ("discounts", "gmv"),
        scopes=tuple(scope for scope in SCOPES if scope not in LINE_SCOPES),
    ),
    _ratio("new_buyer_rate", "first_orders", "orders_paid", formula="paid orders with first_order / orders_paid"),
    _ratio("member_gmv_share", "member_gmv", "gmv", formula="gmv of members / gmv"),
    _ratio("ctr", "ad_clicks", "ad_impressions"),
    _ratio("cpc", "ad_cost", "ad_clicks", Unit.MONEY),
    _ratio("roas", "campaign_gmv", "ad_cost", formula="gmv of orders with a campaign / ad_cost"),
    Kpi(
        "avg_dwell_seconds",
        "mean dwell_ms of the events that carry it / 1000",
        lambda sums: divide(sums["dwell_ms"], sums["dwell_events"] * 1000),
        ("dwell_ms", "dwell_events"),
        Unit.SECONDS,
    ),
    *map(_attainment, TARGET_TIERS),
    *_STOCK_KPIS,
    *SHIPPING_KPIS,
)

PUBLIC_COUNTERS = tuple(counter for counter in COUNTERS if counter.public)
NAMES = (*(c.name for c in PUBLIC_COUNTERS), *(d.name for d in DISTINCTS), *(k.name for k in KPIS))
"""Every name in an answer, in order."""
UNITS: Mapping[str, Unit] = {
    **{counter.name: counter.unit for counter in PUBLIC_COUNTERS},
    **{distinct.name: Unit.COUNT for distinct in DISTINCTS},
    **{kpi.name: kpi.unit for kpi in KPIS},
}
MONEY_NAMES = frozenset(name for name, unit in UNITS.items() if unit is Unit.MONEY)

_OF_WHOLE_ORDERS = frozenset({"discounts", "repeat_creations", "repeat_payments"})
"""Counters without values per order line."""


def absent_counters(scope: Scope) -> frozenset[str]:
    """Counters that a scope lacks: they are null there."""
    return _OF_WHOLE_ORDERS if scope in LINE_SCOPES else frozenset()


def values(sums: Sums, scope: Scope, only: frozenset[str] | None = None) -> dict[str, Number]:
    """Every counter and KPI of one row; None if the scope lacks it or a denominator is 0.

    `only`: the KPIs to compute; None: all.
    """
    answer: dict[str, Number] = {counter.name: sums.get(counter.name) for counter in PUBLIC_COUNTERS}
    answer.update({distinct.name: sums.get(distinct.name) for distinct in DISTINCTS})
    has = sums.__contains__
    for kpi in KPIS if only is None else [kpi for kpi in KPIS if kpi.name in only]:
        answer[kpi.name] = kpi.compute(sums) if scope in kpi.scopes and all(map(has, kpi.inputs)) else None
    return answer
