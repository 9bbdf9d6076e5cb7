"""The shipping KPIs of the metric dictionary, from sums of `Leg` counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.scopes import Scope
from streams.shipping.counters import Leg

HOUR_MS = 3_600_000
SHIPPING_SCOPES = (Scope.ALL, Scope.PROMOTION, Scope.CHANNEL, Scope.REGION)


@dataclass(frozen=True, slots=True)
class ShippingKpi:
    """A number made of the counters of one row: sums over the window, `UNSHIPPED` and `OVERDUE` as they stand."""

    name: str
    formula: str
    compute: Callable[[Sequence[int]], int | float | None]


def _ratio(name: str, formula: str, above: Leg, below: Leg, unit: int = 1) -> ShippingKpi:
    def compute(sums: Sequence[int]) -> float | None:
        return sums[above] / (sums[below] * unit) if sums[below] else None

    return ShippingKpi(name, formula, compute)


SHIPPING_KPIS = (
    ShippingKpi(
        "unshipped_orders",
        "orders paid and neither dispatched, cancelled nor refunded at the as-of; counted for the horizon (180 days)",
        lambda sums: sums[Leg.UNSHIPPED],
    ),
    ShippingKpi(
        "overdue_shipments",
        "of the unshipped orders, those paid more than the limit (48 h) before the as-of",
        lambda sums: sums[Leg.OVERDUE],
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
    _ratio(
        "ship_hours",
        "mean hours from payment to dispatch, of those dispatched in the window",
        Leg.SHIP_MS,
        Leg.SHIP_LEGS,
        HOUR_MS,
    ),
    _ratio(
        "delivery_hours",
        "mean hours from dispatch to delivery, of those delivered in the window",
        Leg.DELIVERY_MS,
        Leg.DELIVERY_LEGS,
        HOUR_MS,
    ),
    _ratio(
        "return_rate",
        "orders that returned something for the first time in the window / orders delivered in it",
        Leg.RETURNED,
        Leg.DELIVERED,
    ),
)


def shipping_values(sums: Sequence[int]) -> dict[str, int | float | None]:
    """Every shipping KPI of one row."""
    return {kpi.name: kpi.compute(sums) for kpi in SHIPPING_KPIS}
