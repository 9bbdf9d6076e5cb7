"""Where shipping stands: by region, carrier and warehouse, how long legs take, and what will be late soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.arrays import Ints
from streams.panes.rows import Rows
from streams.panes.scopes import Dimension, Scope, ShippedBy
from streams.shipping.counters import LEG_NAMES, Leg
from streams.shipping.delta import spread_row
from streams.shipping.forecast import Breaches, breaches, hazard
from streams.shipping.kpis import SHIPPING_KPIS
from streams.shipping.spread import DELIVERY, IN_A_ROW, SHARES, SHIP, quantile_ms
from streams.view.asking import Question
from streams.view.rolling import RollingView
from streams.view.shipping import ShippingMoment

Label = tuple[Dimension, str]
HOUR_MS = 3_600_000
LOOK_BACK_H = 24
"""The hazard is a mean over so many hours: a whole day, since nobody ships at night."""
BY: Mapping[str, Dimension] = {
    "region": Scope.REGION,
    "carrier": ShippedBy.CARRIER,
    "warehouse": ShippedBy.WAREHOUSE,
}
_OF_PAYMENT = ("unshipped_orders", "overdue_shipments", "ship_within_48h_rate")
"""Not known by carrier or warehouse: before the dispatch an order has none."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long a kind of leg took, hours; None without any. Quantiles are within 2 %."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Parcels:
    """The whole shop (value empty), or one region, carrier or warehouse."""

    value: str
    values: Mapping[str, Number]
    """The shipping KPIs by name."""
    shipped_in_time: int
    """Of `ship.count`, those within the limit after payment."""
    ship: Times
    delivery: Times


@dataclass(frozen=True, slots=True)
class ShippingReport:
    """The answer."""

    as_of_ms: int
    whole: Parcels
    items: Sequence[Parcels]
    hazard_per_hour: float
    """Chance of a waiting order to be dispatched within an hour."""
    forecast: Sequence[Breaches]


async def shipping_report(view: RollingView, window: Window, by: str, hours: int, now_ms: int) -> ShippingReport:
    """Where shipping stands at the newest as-of. Raises NotReadyError, NotAnswerableError."""
    moment, day = (view.shipping_at(Question(over), now_ms) for over in (window, Window.H24))
    rows, dimension = moment.rows, BY[by]
    labels: list[Label] = [(Scope.ALL, ""), *(rows.labels[row] for row in rows.of(dimension))]
    histograms = [label for one in labels for label in _histograms(one)]
    sums = await moment.sums(_numbers(rows, labels))
    spread = (await moment.windowed(_numbers(rows, histograms))).reshape(len(labels), -1, IN_A_ROW)
    found = [_parcels(*held, by) for held in zip((value for _, value in labels), sums, spread, strict=True)]
    hazard_h, forecast = await _ahead(day, hours)
    return ShippingReport(
        moment.at.as_of_s * 1000,
        replace(found[0], value=""),
        sorted(filter(_says_something, found[1:]), key=_most_overdue),
        hazard_h,
        forecast,
    )


async def breaches_ahead(view: RollingView, hours: int, now_ms: int) -> float:
    """Orders that wait now and are to be expected overdue within so many hours. Raises as `shipping_report` does."""
    _, forecast = await _ahead(view.shipping_at(Question(Window.H24), now_ms), hours)
    return sum(held.expected for held in forecast)


async def fell_due(view: RollingView, question: Question, values: Sequence[str], now_ms: int) -> list[int]:
    """Orders that fell due in a question's window, by values of its scope. Raises as `shipping_report` does."""
    moment = view.shipping_at(question, now_ms)
    held = await moment.windowed(_numbers(moment.rows, [(question.scope, value) for value in values]))
    counted: list[int] = held[:, Leg.DUE].tolist()
    return counted


async def _ahead(day: ShippingMoment, hours: int) -> tuple[float, list[Breaches]]:
    """Chance of a waiting order to be dispatched within an hour, by the last 24 h, and what it leaves to fall due."""
    whole = day.rows.row(Scope.ALL, "")
    sums = await day.sums(np.array([whole], np.int64))
    before = await day.unshipped(LOOK_BACK_H, whole)
    hazard_h = hazard(int(sums[0, Leg.SHIP_LEGS]), before, int(sums[0, Leg.UNSHIPPED]), LOOK_BACK_H)
    due = await day.falling_due(hours, whole)
    return hazard_h, breaches(due, as_of_s=day.at.as_of_s, hazard_h=hazard_h, hours=hours)


def _histograms(label: Label) -> list[Label]:
    return [spread_row(label, kind, share) for kind in (SHIP, DELIVERY) for share in range(SHARES)]


def _numbers(rows: Rows, labels: Sequence[Label]) -> Ints:
    """Rows by label; -1 where there is none."""
    found = (rows.find(*label) for label in labels)
    return np.array([-1 if row is None else row for row in found], np.int64)


def _parcels(value: str, held: Ints, histograms: Ints, by: str) -> Parcels:
    """`held`: the counters of a row; `histograms`: those of the rows beside it, [row, counter]."""
    counters = held.tolist()
    sums = dict(zip(LEG_NAMES, counters, strict=False))
    values: dict[str, Number] = {kpi.name: kpi.compute(sums) for kpi in SHIPPING_KPIS}
    if value and by != "region":
        values |= dict.fromkeys(_OF_PAYMENT)
    return Parcels(
        value,
        values,
        counters[Leg.SHIPPED_IN_TIME],
        _times(counters[Leg.SHIP_LEGS], counters[Leg.SHIP_MS], histograms[:SHARES]),
        _times(counters[Leg.DELIVERY_LEGS], counters[Leg.DELIVERY_MS], histograms[SHARES:]),
    )


def _times(count: int, total_ms: int, histogram: Ints) -> Times:
    counts = histogram.ravel().tolist()
    p50, p90 = (quantile_ms(counts, share) for share in (0.5, 0.9))
    mean = total_ms / (count * HOUR_MS) if count else None
    return Times(count, mean, None if p50 is None else p50 / HOUR_MS, None if p90 is None else p90 / HOUR_MS)


def _says_something(held: Parcels) -> bool:
    return any(held.values.values()) or bool(held.ship.count or held.delivery.count)


def _most_overdue(held: Parcels) -> tuple[int, int, str]:
    return -int(held.values["overdue_shipments"] or 0), -held.ship.count, held.value
