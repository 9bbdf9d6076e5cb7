"""The shipping KPIs of the metric dictionary, from sums of `Leg` counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from streams.panes.counters import Unit
from streams.panes.scopes import Scope
from streams.shipping.counters import Leg, leg_name

Sums: TypeAlias = Mapping[str, int]
"""Counters by `leg_name`."""
HOUR_MS = 3_600_000
SHIPPING_SCOPES = (Scope.ALL, Scope.PROMOTION, Scope.CHANNEL, Scope.REGION)


@dataclass(frozen=True, slots=True)
class ShippingKpi:
    """A number made of the counters of one row: sums over the window, `UNSHIPPED` and `OVERDUE` as they stand."""

    name: str
    formula: str
    compute: Callable[[Sums], int | float | None]
    """Raises KeyError where a scope has no such counters."""
    unit: Unit


def _state(name: str, formula: str, state: Leg) -> ShippingKpi:
    return ShippingKpi(name, formula, lambda sums: sums[leg_name(state)], Unit.COUNT)


def _ratio(name: str, formula: str, above: Leg, below: Leg) -> ShippingKpi:
    def compute(sums: Sums) -> float | None:
        whole = sums[leg_name(below)]
        return sums[leg_name(above)] / whole if whole else None

    return ShippingKpi(name, formula, compute, Unit.RATIO)


def _mean(name: str, formula: str, milliseconds: Leg, legs: Leg) -> ShippingKpi:
    def compute(sums: Sums) -> float | None:
        count = sums[leg_name(legs)]
        return sums[leg_name(milliseconds)] / (count * HOUR_MS) if count else None

    return ShippingKpi(name, formula, compute, Unit.HOURS)


SHIPPING_KPIS = (
    _state(
        "unshipped_orders",
        "orders paid and neither dispatched, cancelled nor refunded at the as-of, for 180 days from payment",
        Leg.UNSHIPPED,
    ),
    _state(
        "overdue_shipments",
        "of the unshipped orders, those paid more than 48 h before the as-of",
        Leg.OVERDUE,
    ),
    _ratio(
        "ship_within_48h_rate",
        "of the orders that fell due in the window and are not called off, the share dispatched within 48 h of payment",
        Leg.DUE_IN_TIME,
        Leg.DUE,
    ),
    _ratio(
        "on_time_delivery_rate",
        "delivered in the window not after the promise / delivered with a promise",
        Leg.ON_TIME,
        Leg.PROMISED,
    ),
    _mean(
        "ship_hours",
        "mean hours from payment to dispatch, of those dispatched in the window",
        Leg.SHIP_MS,
        Leg.SHIP_LEGS,
    ),
    _mean(
        "delivery_hours",
        "mean hours from dispatch to delivery, of those delivered in the window",
        Leg.DELIVERY_MS,
        Leg.DELIVERY_LEGS,
    ),
    _ratio(
        "return_rate",
        "orders that returned something for the first time in the window / orders delivered in it",
        Leg.RETURNED,
        Leg.DELIVERED,
    ),
)


SHIPPING_NAMES = frozenset(kpi.name for kpi in SHIPPING_KPIS)
