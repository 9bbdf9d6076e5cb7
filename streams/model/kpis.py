"""The KPIs of the built-in model, and the code of those that need more than panes: stock, shipping and targets.

A formula takes the sums of one row in one window and returns a number, or None if its denominator is 0. The modules
that hold the state of stock, shipping and targets provide their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.generated import generate_values
from streams.dictionary.types import Metric
from streams.panes.counters import COUNTERS, DISTINCTS, HOUR_MS, Unit
from streams.panes.scopes import SCOPES
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
    scopes: tuple[str, ...] = SCOPES


def target_sum(tier: str) -> str:
    """Name of a promotion's target among the sums of its row and window."""
    return f"target.{tier}"


def _attainment(tier: str) -> Kpi:
    return Kpi(
        f"target_attainment.{tier}",
        f"net_gmv / the promotion's target {tier}, in window promotion",
        lambda sums: divide(sums["gmv"] - sums["refunds"], sums[target_sum(tier)]),
        ("gmv", "refunds", target_sum(tier)),
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
    ),
    Kpi(
        "sell_through",
        "units paid with the promotion's id, ever / (those + stock_available)",
        _sell_through,
        ("promotion_units", "stock_available"),
    ),
    Kpi(
        "minutes_to_stockout",
        "stock_available / units per minute over the last 15 m; 0 when stock <= 0, null when nothing sells",
        lambda sums: minutes_to_stockout(sums["stock_available"], sums["units_15m"]),
        ("stock_available", "units_15m"),
    ),
    Kpi(
        "oversold_units",
        "max(0, - stock_available)",
        lambda sums: max(0, -sums["stock_available"]),
        ("stock_available",),
    ),
    Kpi(
        "stockout_skus",
        "SKUs of the promotion (scope all: all known) with stock_available <= 0",
        lambda sums: sums["stockout_skus"],
        ("stockout_skus",),
    ),
    Kpi(
        "stock_fill_rate",
        "of the same SKUs, the share with stock_available > 0",
        lambda sums: divide(sums["stocked_skus"], sums["stocked_skus"] + sums["stockout_skus"]),
        ("stocked_skus", "stockout_skus"),
    ),
)


def _shipping_state(name: str, formula: str, state: ShippingCounter) -> Kpi:
    """The current value of `UNSHIPPED` or `OVERDUE`."""
    sum_name = state.sum_name
    return Kpi(name, formula, lambda sums: sums[sum_name], (sum_name,))


def _shipping_ratio(name: str, formula: str, above: ShippingCounter, below: ShippingCounter) -> Kpi:
    inputs = (above.sum_name, below.sum_name)
    return Kpi(name, formula, lambda sums: divide(sums[inputs[0]], sums[inputs[1]]), inputs)


def _mean_hours(name: str, formula: str, milliseconds: ShippingCounter, intervals: ShippingCounter) -> Kpi:
    above, below = milliseconds.sum_name, intervals.sum_name
    return Kpi(
        name,
        formula,
        lambda sums: divide(sums[above], sums[below] * HOUR_MS),
        (above, below),
    )


_SHIPPING_KPIS = (
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

_CODED = {kpi.name: kpi for kpi in (*map(_attainment, TARGET_TIERS), *_STOCK_KPIS, *_SHIPPING_KPIS)}


def _kpi(metric: Metric) -> Kpi:
    """A metric of the built-in model."""
    scopes = tuple(scope for scope in SCOPES if scope in metric.scopes)
    if metric.formula is None:
        return replace(_CODED[metric.name], unit=metric.unit, scopes=scopes)
    return Kpi(metric.name, metric.text, metric.formula.compiled(), metric.formula.names, metric.unit, scopes)


def _names_from(source: str) -> frozenset[str]:
    """The metrics that this code computes."""
    return frozenset(metric.name for metric in BUILT_IN.metrics.values() if metric.source == source)


KPIS = tuple(map(_kpi, BUILT_IN.metrics.values()))
STOCK_NAMES, SHIPPING_NAMES = _names_from("stock"), _names_from("shipping")
SHIPPING_KPIS = tuple(kpi for kpi in KPIS if kpi.name in SHIPPING_NAMES)
SHIPPING_SCOPES = SHIPPING_KPIS[0].scopes

PUBLIC_COUNTERS = tuple(counter for counter in COUNTERS if counter.public)
NAMES = BUILT_IN.names
"""Every name in an answer, in order."""
UNITS = BUILT_IN.units
"""# <name in an answer: unit>"""
MONEY_NAMES = frozenset(name for name, unit in UNITS.items() if unit is Unit.MONEY)

_ABSENT: Mapping[str, frozenset[str]] = {
    scope: frozenset(counter.name for counter in BUILT_IN.counters if scope not in counter.scopes) for scope in SCOPES
}


def absent_counters(scope: str) -> frozenset[str]:
    """Counters that a scope lacks: they are null there."""
    return _ABSENT[scope]


_CODE = {name: (kpi.inputs, kpi.compute) for name, kpi in _CODED.items()}


class _GeneratedValues(dict[str, Callable[[Sums], dict[str, Number]]]):
    """# <scope: the function from sums to all numbers>, generated when it is first used"""

    def __missing__(self, scope: str) -> Callable[[Sums], dict[str, Number]]:
        self[scope] = generate_values(BUILT_IN, scope, _CODE)
        return self[scope]


_VALUES = _GeneratedValues()


def values(sums: Sums, scope: str, only: frozenset[str] | None = None) -> dict[str, Number]:
    """Every counter and KPI of one row; None if the scope lacks it or a denominator is 0.

    `only`: the KPIs to compute; None: all.
    """
    if only is None:
        return _VALUES[scope](sums)
    answer: dict[str, Number] = {counter.name: sums.get(counter.name) for counter in PUBLIC_COUNTERS}
    answer.update({distinct.name: sums.get(distinct.name) for distinct in DISTINCTS})
    has = sums.__contains__
    for kpi in [kpi for kpi in KPIS if kpi.name in only]:
        answer[kpi.name] = kpi.compute(sums) if scope in kpi.scopes and all(map(has, kpi.inputs)) else None
    return answer
