"""The shipping KPIs of the metric dictionary, from sums of `ShippingCounter` counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from streams.panes.counters import HOUR_MS, Unit
from streams.panes.scopes import Scope
from streams.shipping.counters import ShippingCounter, shipping_sum_name

Sums: TypeAlias = Mapping[str, int]
"""# <`shipping_sum_name`: sum>"""
SHIPPING_SCOPES = (Scope.ALL, Scope.PROMOTION, Scope.CHANNEL, Scope.REGION)


@dataclass(frozen=True, slots=True)
class ShippingKpi:
    """A number from the counters of one row: sums over the window, and current values of `UNSHIPPED` and `OVERDUE`."""

    name: str
    formula: str
    compute: Callable[[Sums], int | float | None]
    """Called only with sums that have all inputs."""
    inputs: tuple[str, ...]
    """Names of the sums that `compute` reads."""
    unit: Unit


def _inputs(*counters: ShippingCounter) -> tuple[str, ...]:
    return tuple(map(shipping_sum_name, counters))


def _state(name: str, formula: str, state: ShippingCounter) -> ShippingKpi:
    return ShippingKpi(name, formula, lambda sums: sums[shipping_sum_name(state)], _inputs(state), Unit.COUNT)


def _ratio(name: str, formula: str, above: ShippingCounter, below: ShippingCounter) -> ShippingKpi:
    def compute(sums: Sums) -> float | None:
        whole = sums[shipping_sum_name(below)]
        return sums[shipping_sum_name(above)] / whole if whole else None

    return ShippingKpi(name, formula, compute, _inputs(above, below), Unit.RATIO)


def _mean(name: str, formula: str, milliseconds: ShippingCounter, intervals: ShippingCounter) -> ShippingKpi:
    def compute(sums: Sums) -> float | None:
        count = sums[shipping_sum_name(intervals)]
        return sums[shipping_sum_name(milliseconds)] / (count * HOUR_MS) if count else None

    return ShippingKpi(name, formula, compute, _inputs(milliseconds, intervals), Unit.HOURS)


SHIPPING_KPIS = (
    _state(
        "unshipped_orders",
        "orders paid and neither dispatched, cancelled nor refunded at the as-of, for 180 days from payment",
        ShippingCounter.UNSHIPPED,
    ),
    _state(
        "overdue_shipments",
        "of the unshipped orders, those paid more than 48 h before the as-of",
        ShippingCounter.OVERDUE,
    ),
    _ratio(
        "ship_within_48h_rate",
        "of the orders that fell due in the window and are not called off, the share dispatched within 48 h of payment",
        ShippingCounter.DUE_IN_TIME,
        ShippingCounter.DUE,
    ),
    _ratio(
        "on_time_delivery_rate",
        "delivered in the window not after the promise / delivered with a promise",
        ShippingCounter.ON_TIME,
        ShippingCounter.PROMISED,
    ),
    _mean(
        "ship_hours",
        "mean hours from payment to dispatch, of those dispatched in the window",
        ShippingCounter.SHIP_MS,
        ShippingCounter.SHIP_INTERVALS,
    ),
    _mean(
        "delivery_hours",
        "mean hours from dispatch to delivery, of those delivered in the window",
        ShippingCounter.DELIVERY_MS,
        ShippingCounter.DELIVERY_INTERVALS,
    ),
    _ratio(
        "return_rate",
        "orders that returned something for the first time in the window / orders delivered in it",
        ShippingCounter.RETURNED,
        ShippingCounter.DELIVERED,
    ),
)


SHIPPING_NAMES = frozenset(kpi.name for kpi in SHIPPING_KPIS)
