"""Detector of stock rules: one incident for each SKU, from "soon sold out" over "sold out" to "oversold".

The stage of an incident only rises. It ends once the stock lasts long enough for long enough, so that units of
cancelled orders do not end it. The loss is the SKU's own GMV per minute before it was sold out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from alerts.detection.detector import Breach, Observation, RevenueRate, SeriesCounts
from alerts.detection.inputs import Table
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import SeriesIndex, to_label, to_labels
from alerts.findings import FindingReason, Series, Severity
from alerts.rules.detect import AnyDetector, StockDetector
from alerts.rules.rule import Rule, RuleScope
from alerts.statistics.arrays import Bools, Floats, Ints, ratio, resized
from streams.model.windows import LENGTH_S, Window

evaluated_first = False
MIN_UNITS_OF_MINUTE = 20
"""Minimum number of units sold in the last minute for its rate to replace that of the window: 22 % standard error."""


class StockStage(IntEnum):
    """Stage of a SKU's incident; it only rises."""

    NONE = 0
    SOON = 1
    """The stock lasts for less than `soon`. Nothing is lost yet."""
    OUT = 2
    """No unit is available."""
    OVERSOLD = 3
    """More units are ordered than there are, worth at least `warning_from` of the shop's GMV over the window."""


_TITLES = {StockStage.SOON: "A SKU will soon be sold out", StockStage.OVERSOLD: "A SKU is oversold"}
"""The title of a sold-out SKU is the rule's."""
_BACK = "A SKU is in stock again"


@dataclass(slots=True)
class StockMemory:
    """Memory of one stock rule. Arrays are by SKU; times are epoch ms, 0: none."""

    places: SeriesIndex = field(default_factory=SeriesIndex)
    stage: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    since_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Start of the stage."""
    soon_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Since when the stock lasts for less than `soon`."""
    clear_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Since when the stock is sufficient again."""
    units: Floats = field(default_factory=lambda: np.zeros(0))
    """Units sold per minute before the SKU was sold out; NaN: unknown, and so is the loss."""
    gmv: Floats = field(default_factory=lambda: np.zeros(0))
    """The same of GMV, minor units."""
    loss: Floats = field(default_factory=lambda: np.zeros(0))
    """GMV per minute that is lost while the SKU is sold out: `gmv`, or that of the last minute if it sold faster."""
    available: Floats = field(default_factory=lambda: np.zeros(0))
    """The latest stock; NaN: never counted."""
    seen: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the last table had the SKU, and the rule watches it."""

    def fit(self, size: int) -> None:
        """Resize the arrays."""
        self.stage, self.since_ms = resized(self.stage, size), resized(self.since_ms, size)
        self.soon_ms, self.clear_ms = resized(self.soon_ms, size), resized(self.clear_ms, size)
        self.units, self.gmv = resized(self.units, size, np.nan), resized(self.gmv, size, np.nan)
        self.loss = resized(self.loss, size)
        self.available, self.seen = resized(self.available, size, np.nan), resized(self.seen, size)

    def minutes_left(self, at: Ints) -> Floats:
        """For how long the stock lasts at the last known rate; infinite if nothing sells."""
        left = ratio(np.maximum(self.available[at], 0.0), np.nan_to_num(self.units[at]))
        return np.where(np.isnan(left), np.inf, left)


def signature(rule: Rule) -> str:
    """Identify the window."""
    return f"stock {_config(rule.detect).window}"


def new_memory(rule: Rule) -> StockMemory:
    """Create an empty memory."""
    return StockMemory()


def observe(memory: StockMemory, effective: EffectiveRule, observation: Observation) -> None:
    """Update the incidents from the table of SKUs; without one, nothing changes."""
    detect = _config(effective.detect)
    table = observation.inputs.tables.get((detect.window, RuleScope.SKU))
    if table is None:
        return
    rows, at, watched = _select(memory, effective.rule, table, observation.skus)
    memory.seen[:] = False
    memory.seen[at] = True
    left_out = ~memory.seen
    memory.stage[left_out] = memory.soon_ms[left_out] = memory.clear_ms[left_out] = 0
    minutes = LENGTH_S[detect.window] / 60
    available = table.column("stock_available")[rows]
    sold, gmv = (np.nan_to_num(table.column(name)[rows]) / minutes for name in ("units", "gmv"))
    memory.available[at] = available
    if not observation.is_frozen(effective.rule):
        learns = (memory.stage[at] < StockStage.OUT) | np.isnan(memory.units[at])
        loss = np.maximum(gmv, _gmv_of_last_minute(observation, [table.values[row] for row in rows]))
        for rates, now in ((memory.units, sold), (memory.gmv, gmv), (memory.loss, loss)):
            # a SKU that has just been sold out may have sold nothing in the windows since
            known = np.where(available >= 1, now, np.fmax(np.where(sold > 0, now, np.nan), rates[at]))
            rates[at[learns]] = known[learns]
    floor = (effective.rule.warning_from or 0.0) * np.nan_to_num(observation.revenue.gmv_per_minute)
    oversold = _oversold_gmv(memory, at, observation.revenue.aov) / minutes
    _advance(memory, detect, at, watched, sold * minutes >= detect.least_units, oversold >= floor, observation)


def breaches(memory: StockMemory, effective: EffectiveRule, observation: Observation) -> Iterator[Breach]:
    """Yield the incidents."""
    detect, revenue = _config(effective.detect), observation.revenue
    at = np.flatnonzero(memory.stage > StockStage.NONE)
    oversold = _oversold_gmv(memory, at, revenue.aov) / (LENGTH_S[detect.window] / 60)
    for index, minutes_left, oversold_gmv in zip(
        at.tolist(), memory.minutes_left(at).tolist(), oversold.tolist(), strict=True
    ):
        stage, available = StockStage(int(memory.stage[index])), float(memory.available[index])
        is_known = not np.isnan(memory.units[index])  # else it was sold out when first seen, or in a data fault
        money = float(memory.loss[index]) if is_known else None
        stake = max(money or 0.0, oversold_gmv) if stage is StockStage.OVERSOLD else money
        severity = effective.severity_of_loss(stake, revenue.gmv_per_minute)
        label = memory.places.labels[index]
        if not _is_watched(effective.rule, label[1], observation.skus) and available > -detect.clear_units:
            severity = Severity.INFO
        if stage is StockStage.SOON and severity is Severity.CRITICAL:
            severity = Severity.WARNING
        is_back = stage is not StockStage.SOON and available >= detect.clear_units
        if is_back:
            severity = Severity.INFO  # an incident that was notified keeps its severity
        yield Breach(
            rule=effective.rule.name,
            label=label,
            labels=to_labels(label),
            reason=FindingReason.BEYOND,
            value=None if np.isnan(available) else available,
            since_ms=int(memory.since_ms[index]),
            money_per_minute=0.0 if is_back else money,
            is_forecast=stage is StockStage.SOON,
            weight=0.0 if is_back else share_of_orders(float(memory.units[index]), revenue),
            severity=severity,
            stage=stage.value,
            title=_BACK if is_back else _TITLES.get(stage, effective.rule.title),
            numbers=_numbers(available, minutes_left, float(memory.units[index])),
        )


def status(memory: StockMemory, effective: EffectiveRule, series: Series) -> tuple[FindingReason, float | None]:
    """Return why a SKU has no incident, and its stock."""
    index = memory.places.of.get(to_label(series.labels))
    if index is None or index >= len(memory.seen) or not memory.seen[index]:
        return FindingReason.GONE, None
    available = float(memory.available[index])
    return (FindingReason.NO_DATA, None) if np.isnan(available) else (FindingReason.WITHIN, available)


def counts(memory: StockMemory, effective: EffectiveRule) -> SeriesCounts:
    """Count the SKUs; those whose stock was never counted are NO_DATA."""
    known = memory.seen & ~np.isnan(memory.available)
    unknown = int((memory.seen & ~known).sum())
    return SeriesCounts(
        int(known.sum()), {FindingReason.NO_DATA: unknown}, "stock that was never counted" if unknown else ""
    )


def _config(detect: AnyDetector) -> StockDetector:
    assert isinstance(detect, StockDetector)
    return detect


def _select(memory: StockMemory, rule: Rule, table: Table, skus: frozenset[str]) -> tuple[Ints, Ints, Bools]:
    """Return (rows of the table, series, whether the SKU is on promotion or all are watched) of each SKU that is
    watched or oversold."""
    oversold = np.nan_to_num(table.column("stock_available")) < 0
    selected = [
        (row, index, is_watched)
        for row, value in enumerate(table.values)
        if ((is_watched := _is_watched(rule, value, skus)) or oversold[row] or _has_incident(memory, value))
        and (not rule.values or value in rule.values)
        and (index := memory.places.add((RuleScope.SKU.value, value))) >= 0
    ]
    memory.fit(len(memory.places))
    rows, at = (np.array([one[i] for one in selected], np.int64) for i in (0, 1))
    return rows, at, np.array([one[2] for one in selected], np.bool_)


def _is_watched(rule: Rule, sku: str, skus: frozenset[str]) -> bool:
    """Whether the SKU is on promotion, or the rule watches all."""
    return not rule.promoted or sku in skus


def _has_incident(memory: StockMemory, sku: str) -> bool:
    """Whether the SKU is oversold since an earlier evaluation; a stock-out ends with the promotion."""
    index = memory.places.of.get((RuleScope.SKU.value, sku))
    return index is not None and index < len(memory.stage) and memory.stage[index] == StockStage.OVERSOLD


def _gmv_of_last_minute(observation: Observation, skus: Sequence[str]) -> Floats:
    """GMV of the last minute by SKU, where enough units were sold to trust it; else 0."""
    table = observation.inputs.tables.get((Window.M1, RuleScope.SKU))
    if table is None:
        return np.zeros(len(skus))
    trusted = np.nan_to_num(table.column("units")) >= MIN_UNITS_OF_MINUTE
    gmv = np.append(np.where(trusted, np.nan_to_num(table.column("gmv")), 0.0), 0.0)
    row_of = {value: row for row, value in enumerate(table.values)}
    result: Floats = gmv[[row_of.get(sku, -1) for sku in skus]]
    return result


def _oversold_gmv(memory: StockMemory, at: Ints, aov: float) -> Floats:
    """GMV of the oversold units, minor units; of unknown price: one order each."""
    price = ratio(memory.gmv[at], np.nan_to_num(memory.units[at]))
    price = np.where(np.isnan(price), np.nan_to_num(aov), price)
    result: Floats = np.maximum(0.0, -np.nan_to_num(memory.available[at])) * price
    return result


def _advance(
    memory: StockMemory,
    detect: StockDetector,
    at: Ints,
    watched: Bools,
    sells: Bools,
    oversold_matters: Bools,
    observation: Observation,
) -> None:
    """Raise the stages, and end the incidents whose stock has been sufficient for `clear_for`."""
    now_ms, available, stage = observation.inputs.as_of_ms, memory.available[at], memory.stage[at]
    seconds_left = 60 * memory.minutes_left(at)
    is_short = watched & sells & (available >= 1) & (seconds_left < detect.soon)
    soon_ms = np.where(is_short, np.where(memory.soon_ms[at] == 0, now_ms, memory.soon_ms[at]), 0)
    is_soon = is_short & (now_ms - soon_ms >= 1000 * detect.soon_for)
    reached = np.select(
        [(available < 0) & (oversold_matters | ~watched), watched & (available < 1), is_soon],
        [StockStage.OVERSOLD, StockStage.OUT, StockStage.SOON],
        StockStage.NONE,
    )
    is_sufficient = np.where(watched, seconds_left >= detect.clear, available >= 0)
    is_sufficient &= (stage < StockStage.OUT) | ~watched | (available >= detect.clear_units)
    is_sufficient &= reached == StockStage.NONE
    clear_ms = np.where(is_sufficient, np.where(memory.clear_ms[at] == 0, now_ms, memory.clear_ms[at]), 0)
    ended = is_sufficient & (now_ms - clear_ms >= 1000 * detect.clear_for)
    raised = np.where(ended, StockStage.NONE, np.maximum(stage, reached))
    memory.since_ms[at] = np.where(raised > stage, now_ms, memory.since_ms[at])
    memory.stage[at], memory.soon_ms[at], memory.clear_ms[at] = raised, soon_ms, clear_ms


def share_of_orders(units: float, revenue: RevenueRate) -> float | None:
    """The share of the shop's orders that a SKU had that sold `units` a minute, one an order; None: unknown."""
    share = units * revenue.seconds / 60 / revenue.paid if revenue.paid else math.nan
    return min(share, 1.0) if math.isfinite(share) else None


def _numbers(available: float, minutes_left: float, sold: float) -> str:
    if available >= 1:
        lasts = f", for about {minutes_left:,.0f} min" if np.isfinite(minutes_left) else ""
        return f"{_units(available)} left{lasts}"
    if available < 0:
        return f"{_units(-available)} more {'is' if available == -1 else 'are'} ordered than there are"
    return f"no units left, {sold:,.1f} a minute were sold" if sold > 0 else "no units left"


def _units(number: float) -> str:
    return f"{number:,.0f} unit{'' if number == 1 else 's'}"
