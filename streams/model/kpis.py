"""The KPIs of the built-in model, and the code of those that need more than panes: stock, shipping and targets.

A formula takes the sums of one row in one window and returns a number, or None if its denominator is 0. The modules
that hold the state of stock, shipping and targets provide their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeAlias

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.generated import generate_values
from streams.dictionary.types import Metric, Model, ModelMeasure
from streams.panes.counters import HOUR_MS, Unit
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

NAMES = BUILT_IN.names
"""Every name in an answer, in order."""
UNITS = BUILT_IN.units
"""# <name in an answer: unit>"""

_CODE = {name: (kpi.inputs, kpi.compute) for name, kpi in _CODED.items()}
_MOST_CHOICES = 256
"""Maximum number of functions for chosen names that are kept."""


class ModelNumbers:
    """The numbers of a model: which exist in a scope, the state that they need, and their values from sums."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.slots = {measure.name: slot for slot, measure in enumerate(model.counters)}
        """# <counter: its index in sums of windows>"""
        self.public_counters = tuple(measure.name for measure in model.counters if measure.public)
        self.distinct_names = self._names_with(measure.name for measure in model.distincts)
        """Distinct counts, and the metrics that read them."""
        self.stock_names = self._names_with(name for name, one in model.metrics.items() if one.source == "stock")
        self.shipping_names = self._names_with(name for name, one in model.metrics.items() if one.source == "shipping")
        self._values: dict[str, Callable[[Sums], dict[str, Number]]] = {}
        """# <scope: the function from sums to all numbers>, generated when it is first used"""
        self._chosen: dict[tuple[str, frozenset[str]], Callable[[Sums], dict[str, Number]]] = {}
        """The same for some metrics."""
        self._counters = {scope: self._measures_in(scope, model.counters) for scope in model.dimensions}
        self._distincts = {
            scope: self._measures_in(scope, [one for one in model.distincts if scope in one.scopes])
            for scope in model.dimensions
        }

    def values(self, sums: Sums, scope: str, only: frozenset[str] | None = None) -> dict[str, Number]:
        """Every measure and metric of one row; None if the scope lacks it or a denominator is 0.

        `only`: the metrics to compute; None: all.
        """
        if only is None:
            compute = self._values.get(scope)
            if compute is None:
                compute = self._values[scope] = generate_values(self.model, scope, _CODE)
            return compute(sums)
        chosen = self._chosen.get((scope, only))
        if chosen is None:
            if len(self._chosen) >= _MOST_CHOICES:
                self._chosen.clear()
            chosen = self._chosen[scope, only] = generate_values(self.model, scope, _CODE, only)
        return chosen(sums)

    def counters_in(self, scope: str, start_ms: int) -> Sequence[tuple[str, int]]:
        """# (name, slot) of the counters that a scope has and that count from a time on or earlier"""
        return self._counters[scope].since(start_ms)

    def distincts_in(self, scope: str, start_ms: int) -> Sequence[tuple[str, int]]:
        """# (name, slot) of the distinct counts that a scope has and that count from a time on or earlier"""
        return self._distincts[scope].since(start_ms)

    def has_distincts(self, scope: str) -> bool:
        """Whether a scope has any distinct count."""
        return bool(self._distincts[scope].all)

    def weights(self, name: str) -> Mapping[str, int] | None:
        """# <counter: integer multiple of it in a number>; None for a number that is no such sum, which no scope can be
        ranked by"""
        if name in self.slots:
            return {name: 1} if self.model.measures[name].public else None
        metric = self.model.metrics.get(name)
        terms = metric.formula.weights() if metric is not None and metric.formula is not None else None
        return None if terms is None else self._of_counters(terms)

    def _of_counters(self, terms: Mapping[str, int]) -> Mapping[str, int] | None:
        total: dict[str, int] = {}
        for name, multiple in terms.items():
            part = {name: 1} if name in self.slots else self.weights(name)
            if part is None:
                return None
            for counter, weight in part.items():
                total[counter] = total.get(counter, 0) + multiple * weight
        return total

    def formula(self, metric: str) -> str:
        """The formula of a metric, in words if code computes it."""
        coded = _CODED.get(metric)
        return self.model.metrics[metric].text if coded is None else coded.formula

    @cached_property
    def additive(self) -> tuple[str, ...]:
        """The names that scopes can be ranked by, in the order of answers."""
        return tuple(name for name in self.model.names if self.weights(name) is not None)

    def _names_with(self, sources: Iterable[str]) -> frozenset[str]:
        """These names, and the metrics that read them."""
        wanted = frozenset(sources)
        reading = (name for name, one in self.model.metrics.items() if not wanted.isdisjoint(one.inputs))
        return wanted.union(reading)

    def _measures_in(self, scope: str, measures: Sequence[ModelMeasure]) -> _CountedMeasures:
        begins = self.model.dimensions[scope].since_ms or 0
        return _CountedMeasures(
            [
                (measure.name, slot, max(measure.since_ms or 0, begins))
                for slot, measure in enumerate(measures)
                if scope in measure.scopes
            ]
        )


class _CountedMeasures:
    """Measures of a scope: # (name, slot, event time from which it counts)."""

    def __init__(self, measures: Sequence[tuple[str, int, int]]) -> None:
        self.all = [(name, slot) for name, slot, _ in measures]
        self._measures = measures
        self._last_ms = max((since_ms for _, _, since_ms in measures), default=0)

    def since(self, start_ms: int) -> Sequence[tuple[str, int]]:
        if start_ms >= self._last_ms:
            return self.all
        return [(name, slot) for name, slot, since_ms in self._measures if since_ms <= start_ms]


@lru_cache(maxsize=16)
def numbers_of(model: Model) -> ModelNumbers:
    """The numbers of a model, prepared once."""
    return ModelNumbers(model)


def values(sums: Sums, scope: str, only: frozenset[str] | None = None) -> dict[str, Number]:
    """`ModelNumbers.values` of the built-in model."""
    return numbers_of(BUILT_IN).values(sums, scope, only)
