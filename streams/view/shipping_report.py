"""The shipping report: by region, carrier and warehouse, with durations, and the orders soon overdue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.dictionary.names import ALL, REGION
from streams.model.kpis import SHIPPING_KPIS, Number
from streams.model.windows import Window
from streams.panes.arrays import Ints
from streams.panes.counters import HOUR_MS
from streams.panes.rows import RowIndex
from streams.panes.scopes import Dimension, ShipmentDimension
from streams.shipping.counters import (
    COUNTERS_PER_ROW,
    DELIVERY,
    ROWS_PER_HISTOGRAM,
    SHIP,
    SHIPPING_SUM_NAMES,
    ShippingCounter,
    quantile_ms,
)
from streams.shipping.delta import histogram_row
from streams.shipping.forecast import ExpectedBreaches, breaches, hazard
from streams.view.query import KpiQuery
from streams.view.rolling import RollingView
from streams.view.shipping import ResolvedShippingQuery

Label = tuple[Dimension, str]
LOOK_BACK_H = 24
"""The hazard is a mean over a whole day, since most warehouses do not ship at night."""
BY: Mapping[str, Dimension] = {
    "region": REGION,
    "carrier": ShipmentDimension.CARRIER,
    "warehouse": ShipmentDimension.WAREHOUSE,
}
_OF_PAYMENT = ("unshipped_orders", "overdue_shipments", "ship_within_48h_rate")
"""Unknown by carrier or warehouse: an order has none before its dispatch."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long intervals of one kind took, hours; None without any. Quantiles are within 2 %."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class ShippingGroup:
    """The whole shop (empty value), or one region, carrier or warehouse."""

    value: str
    values: Mapping[str, Number]
    """The shipping KPIs by name."""
    shipped_in_time: int
    """Of `ship.count`, orders dispatched within the limit after payment."""
    ship: Durations
    delivery: Durations


@dataclass(frozen=True, slots=True)
class ShippingReport:
    """The report at one as-of."""

    as_of_ms: int
    whole: ShippingGroup
    items: Sequence[ShippingGroup]
    hazard_per_hour: float
    """Probability that a waiting order is dispatched within an hour."""
    forecast: Sequence[ExpectedBreaches]


async def shipping_report(view: RollingView, window: Window, by: str, hours: int, now_ms: int) -> ShippingReport:
    """The report at the newest as-of. Raises NotReadyError, NotAnswerableError."""
    resolved, day = (view.shipping_at(KpiQuery(over), now_ms) for over in (window, Window.H24))
    rows, dimension = resolved.rows, BY[by]
    labels: list[Label] = [(ALL, ""), *(rows.labels[row] for row in rows.of(dimension))]
    histograms = [label for label_of_group in labels for label in _histograms(label_of_group)]
    sums = await resolved.sums(_numbers(rows, labels))
    spread = (await resolved.windowed(_numbers(rows, histograms))).reshape(len(labels), -1, COUNTERS_PER_ROW)
    groups = [_group(*parts, by) for parts in zip((value for _, value in labels), sums, spread, strict=True)]
    hazard_h, forecast = await _ahead(day, hours)
    return ShippingReport(
        resolved.at.as_of_s * 1000,
        replace(groups[0], value=""),
        sorted(filter(_has_values, groups[1:]), key=_most_overdue),
        hazard_h,
        forecast,
    )


async def expected_breaches(view: RollingView, hours: int, now_ms: int) -> float:
    """Orders waiting now that are expected to be overdue within some hours. Raises like `shipping_report`."""
    _, forecast = await _ahead(view.shipping_at(KpiQuery(Window.H24), now_ms), hours)
    return sum(span.expected for span in forecast)


async def orders_due(view: RollingView, query: KpiQuery, values: Sequence[str], now_ms: int) -> list[int]:
    """Orders that fell due in a query's window, by value of its scope. Raises like `shipping_report`."""
    resolved = view.shipping_at(query, now_ms)
    sums = await resolved.windowed(_numbers(resolved.rows, [(query.scope, value) for value in values]))
    counted: list[int] = sums[:, ShippingCounter.DUE].tolist()
    return counted


async def _ahead(day: ResolvedShippingQuery, hours: int) -> tuple[float, list[ExpectedBreaches]]:
    """The hazard per hour over the last 24 h, and the breaches that it leads to."""
    whole = day.rows.row(ALL, "")
    sums = await day.sums(np.array([whole], np.int64))
    before = await day.unshipped(LOOK_BACK_H, whole)
    hazard_h = hazard(
        int(sums[0, ShippingCounter.SHIP_INTERVALS]), before, int(sums[0, ShippingCounter.UNSHIPPED]), LOOK_BACK_H
    )
    due = await day.falling_due(hours, whole)
    return hazard_h, breaches(due, as_of_s=day.at.as_of_s, hazard_h=hazard_h, hours=hours)


def _histograms(label: Label) -> list[Label]:
    return [histogram_row(label, kind, share) for kind in (SHIP, DELIVERY) for share in range(ROWS_PER_HISTOGRAM)]


def _numbers(rows: RowIndex, labels: Sequence[Label]) -> Ints:
    """Rows by label; -1 for unknown ones."""
    found_rows = (rows.find(*label) for label in labels)
    return np.array([-1 if row is None else row for row in found_rows], np.int64)


def _group(value: str, row_counters: Ints, histograms: Ints, by: str) -> ShippingGroup:
    """`row_counters`: [counter]; `histograms`: counters of its histogram rows, [row, counter]."""
    counters = row_counters.tolist()
    sums = dict(zip(SHIPPING_SUM_NAMES, counters, strict=False))
    values: dict[str, Number] = {kpi.name: kpi.compute(sums) for kpi in SHIPPING_KPIS}
    if value and by != "region":
        values |= dict.fromkeys(_OF_PAYMENT)
    return ShippingGroup(
        value,
        values,
        counters[ShippingCounter.SHIPPED_IN_TIME],
        _times(
            counters[ShippingCounter.SHIP_INTERVALS], counters[ShippingCounter.SHIP_MS], histograms[:ROWS_PER_HISTOGRAM]
        ),
        _times(
            counters[ShippingCounter.DELIVERY_INTERVALS],
            counters[ShippingCounter.DELIVERY_MS],
            histograms[ROWS_PER_HISTOGRAM:],
        ),
    )


def _times(count: int, total_ms: int, histogram: Ints) -> Durations:
    counts = histogram.ravel().tolist()
    p50, p90 = (quantile_ms(counts, share) for share in (0.5, 0.9))
    mean = total_ms / (count * HOUR_MS) if count else None
    return Durations(count, mean, None if p50 is None else p50 / HOUR_MS, None if p90 is None else p90 / HOUR_MS)


def _has_values(group: ShippingGroup) -> bool:
    return any(group.values.values()) or bool(group.ship.count or group.delivery.count)


def _most_overdue(group: ShippingGroup) -> tuple[int, int, str]:
    return -int(group.values["overdue_shipments"] or 0), -group.ship.count, group.value
