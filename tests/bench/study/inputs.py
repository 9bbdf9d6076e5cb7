"""What rules read of a day: counters by second and scope, tables, and health readings.

The counters are the panes that `alerts.rehearsal.play` takes, made without events. Stock is exact, by 10 s; the tables
of ads, shipping and targets (`every_table`) are noise around good values, because `tests.bench.calm_days` tests their
rules on events; readings of the pipeline's health are those of a healthy one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerts.detection.inputs import DetectionInputs, HealthReading, Table
from alerts.detection.panes import ScopeValue
from alerts.rules.detect import HealthCheck
from alerts.rules.rule import RuleScope
from consumers.contract.events import Phase, Promotion
from consumers.topics import EVENT_TOPICS
from streams.model.windows import Window
from tests.alerts.dense_panes import IDLE_AFTER_S, SETTLE_S, DensePanes
from tests.bench.study import shop
from tests.bench.study.journeys import Journeys, Seconds, StudyDay
from tests.bench.study.shop import CELLS, Floats

START_S = 1_762_704_000 + 17 * 3600
"""Epoch second in which the panes begin: 2025-11-10 17:00 in Shanghai."""
COUNTERS = (
    *("page_views", "product_views", "cart_adds", "checkouts", "orders_created", "orders_paid"),
    *("payments_failed", "orders_cancelled", "orders_refunded", "gmv", "dispatched"),
)
LABELS: tuple[ScopeValue, ...] = (
    ("all", ""),
    *(("channel", name) for name in shop.CHANNELS),
    *(("region", name) for name in shop.REGIONS),
    *(("category", name) for name in shop.CATEGORIES),
    *(("source", name) for name in shop.CLICK_SOURCES),
    *(("source", f"orders/oms-{number}") for number in range(shop.ORDER_SOURCES)),
    *(("source", name) for name in shop.WAREHOUSES),
)
_FIRST_CLICK_SOURCE = LABELS.index(("source", shop.CLICK_SOURCES[0]))
_FIRST_ORDER_SOURCE = _FIRST_CLICK_SOURCE + len(shop.CLICK_SOURCES)
_FIRST_WAREHOUSE = _FIRST_ORDER_SOURCE + shop.ORDER_SOURCES
_CAMPAIGNS = ("search-ads", "social-video")
_NO_REPEATS = Table(("",), {"repeat_payments": np.zeros(1), "gmv": np.zeros(1)})
STEP_S = 10
"""Step of the tables."""


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """Events of one producer that do not come: for clicks a share, for orders all."""

    source: str
    from_s: int
    to_s: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class StudyCounters:
    """Counters of a day from the panes' beginning on."""

    panes: DensePanes
    """What has come by the time it is evaluated."""
    late: DensePanes | None
    """What comes only `Course.late[2]` seconds after its time; live counters have it then, evaluations do not."""


def counters(day: StudyDay, journeys: Journeys, losses: Sequence[SourceLoss] = ()) -> StudyCounters:
    """Add up the events of a day."""
    adder = _Adder(day, losses)
    views, pages = _seen(journeys, losses)
    adder.clicks("page_views", pages[shop.PRE_S :, :, :, None])
    adder.clicks("product_views", views[shop.PRE_S :].reshape(-1, *shop.SHAPE_OF_CELLS))
    adder.click_events("cart_adds", journeys.cart_at, journeys.cart_cell)
    adder.click_events("checkouts", journeys.checkout_at, journeys.checkout_cell)
    cell, source = journeys.order_cell, journeys.order_source
    adder.order_events("orders_created", journeys.order_at, cell, source)
    adder.order_events("orders_paid", journeys.paid_at, cell, source)
    adder.order_events("gmv", journeys.paid_at, cell, source, journeys.amount)
    failed = journeys.failed_order
    adder.order_events("payments_failed", journeys.failed_at, cell[failed], source[failed])
    adder.order_events("orders_cancelled", journeys.cancel_at, cell, source)
    adder.order_events("orders_refunded", journeys.refund_at, cell, source)
    adder.dispatches(journeys.dispatched[shop.PRE_S :])
    panes = DensePanes(START_S, LABELS, COUNTERS, adder.table)
    late = None if adder.late is None else DensePanes(START_S, LABELS, COUNTERS, adder.late)
    return StudyCounters(panes, late)


def _seen(journeys: Journeys, losses: Sequence[SourceLoss]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """(views, page views) without those that were lost."""
    views, pages = journeys.views, journeys.pages
    for loss in losses:
        if loss.source in shop.CLICK_SOURCES:
            rng = np.random.default_rng([loss.from_s, 3])
            channel, at = shop.CLICK_SOURCES.index(loss.source), slice(loss.from_s, loss.to_s)
            views, pages = views.copy(), pages.copy()
            mine = np.flatnonzero(channel == shop.CHANNEL_OF)
            views[at, mine] = rng.binomial(views[at, mine], 1 - loss.share)
            pages[at, channel] = rng.binomial(pages[at, channel], 1 - loss.share)
    return views, pages


class _Adder:
    """Adds events to a table [second, label, counter]."""

    def __init__(self, day: StudyDay, losses: Sequence[SourceLoss]) -> None:
        self._losses, self._late = losses, day.course.late
        self._size = day.seconds - shop.PRE_S
        self.table = np.zeros((self._size, len(LABELS), len(COUNTERS)), np.int32)
        self.late = None if day.course.late is None else np.zeros_like(self.table)

    def clicks(self, counter: str, counts: npt.NDArray[np.number]) -> None:
        """Add counts [second, channel, region, category]."""
        channels = self._add(self.table, counter, counts)
        self.table[:, _FIRST_CLICK_SOURCE:_FIRST_ORDER_SOURCE, COUNTERS.index(counter)] = channels

    def click_events(self, counter: str, at: Seconds, cell: Seconds) -> None:
        """Add clicks by their times."""
        for loss in self._losses:
            if loss.source in shop.CLICK_SOURCES:
                mine = shop.CHANNEL_OF[cell] == shop.CLICK_SOURCES.index(loss.source)
                lost = mine & (at >= loss.from_s) & (at < loss.to_s)
                lost[lost] = np.random.default_rng([loss.from_s, 4]).random(int(lost.sum())) < loss.share
                at, cell = at[~lost], cell[~lost]
        self.clicks(counter, self._by_cell(at, cell))

    def order_events(
        self, counter: str, at: Seconds, cell: Seconds, source: Seconds, amount: Floats | None = None
    ) -> None:
        """Add events of orders by their times; each counts 1 or its amount."""
        kept = np.ones(len(at), np.bool_)
        for loss in self._losses:
            if loss.source.startswith("orders/"):
                number = int(loss.source.rpartition("-")[2])
                kept &= ~((source == number) & (at >= loss.from_s) & (at < loss.to_s))
        parts = [(self.table, kept)]
        if self._late is not None and self.late is not None:
            from_s, to_s, _ = self._late
            is_late = kept & (source == 1) & (at >= from_s) & (at < to_s)
            parts = [(self.table, kept & ~is_late), (self.late, is_late)]
        for table, which in parts:
            weights = None if amount is None else amount[which]
            self._add(table, counter, self._by_cell(at[which], cell[which], weights))
            if amount is not None:
                continue  # rows of sources have events alone
            inside = which & (at >= shop.PRE_S) & (at < shop.PRE_S + self._size)
            places = (at[inside] - shop.PRE_S).astype(np.int64) * shop.ORDER_SOURCES + source[inside]
            by_source = np.bincount(places, minlength=self._size * shop.ORDER_SOURCES).reshape(self._size, -1)
            table[:, _FIRST_ORDER_SOURCE:_FIRST_WAREHOUSE, COUNTERS.index(counter)] = by_source

    def dispatches(self, counts: npt.NDArray[np.uint16]) -> None:
        """Add counts [second, region, warehouse]."""
        place = COUNTERS.index("dispatched")
        self.table[:, 0, place] = counts.sum(axis=(1, 2))
        self.table[:, 5 : 5 + len(shop.REGIONS), place] = counts.sum(axis=2)
        self.table[:, _FIRST_WAREHOUSE:, place] = counts.sum(axis=1)

    def _by_cell(self, at: Seconds, cell: Seconds, weights: Floats | None = None) -> npt.NDArray[np.number]:
        inside = (at >= shop.PRE_S) & (at < shop.PRE_S + self._size)
        places = (at[inside] - shop.PRE_S).astype(np.int64) * CELLS + cell[inside]
        sums = np.bincount(places, None if weights is None else weights[inside], self._size * CELLS)
        return sums.reshape(self._size, *shop.SHAPE_OF_CELLS)

    def _add(
        self, table: npt.NDArray[np.int32], counter: str, counts: npt.NDArray[np.number]
    ) -> npt.NDArray[np.number]:
        """Add by all, channel, region and category; return the counts by channel."""
        place = COUNTERS.index(counter)
        channels, regions = counts.sum(axis=(2, 3)), counts.sum(axis=(1, 3))
        table[:, 0, place] = channels.sum(axis=1)
        table[:, 1:5, place] = channels
        table[:, 5 : 5 + regions.shape[1], place] = regions
        if counts.shape[3] > 1:
            table[:, 11:_FIRST_CLICK_SOURCE, place] = counts.sum(axis=(1, 2))
        return channels


# Tables ---------------------------------------------------------------------------------------------------------------


class StudyTables:
    """The answers to the table queries of the default rules."""

    def __init__(self, day: StudyDay, journeys: Journeys, *, every_table: bool) -> None:
        self._every_table = every_table
        self._rng = np.random.default_rng([day.seed, 5])
        steps = (day.seconds - shop.PRE_S) // STEP_S + 1
        self._names = tuple(shop.sku_name(sku) for sku in shop.PROMOTED)
        created, cancelled, units = (
            _by_sku(journeys, at, steps) for at in (journeys.order_at, journeys.cancel_at, journeys.paid_at)
        )
        gmv = _by_sku(journeys, journeys.paid_at, steps, journeys.amount)
        begun = np.array([day.stock[sku] for sku in shop.PROMOTED], np.float64)
        self.stock = begun - created.cumsum(axis=0) + cancelled.cumsum(axis=0)
        """# [step, SKU]"""
        self._units, self._gmv = _of_last(units, 90), _of_last(gmv, 90)
        self._good: tuple[Table, ...] = ()
        self._good_at = -1

    def at(self, second: int) -> dict[tuple[Window, RuleScope], Table]:
        """The tables as of a second of the panes."""
        step = max(0, min((second - SETTLE_S) // STEP_S, len(self.stock) - 1))
        left, units = self.stock[step], self._units[step]
        with np.errstate(divide="ignore", invalid="ignore"):
            lasts = np.where(units > 0, np.where(left <= 0, 0.0, left / (units / 15)), np.nan)
        skus = Table(
            self._names,
            {
                "stock_available": left,
                "minutes_to_stockout": lasts,
                "oversold_units": np.maximum(0.0, -left),
                "units": units,
                "gmv": self._gmv[step],
            },
        )
        if not self._every_table:
            return {(Window.M15, RuleScope.SKU): skus, (Window.M15, RuleScope.ALL): _NO_REPEATS}
        if step != self._good_at:
            self._good, self._good_at = self._good_tables(), step
        repeats, shipping, regions, targets, ads, ads_hour = self._good
        return {
            (Window.M15, RuleScope.SKU): skus,
            (Window.M15, RuleScope.ALL): repeats,
            (Window.H24, RuleScope.ALL): shipping,
            (Window.H24, RuleScope.REGION): regions,
            (Window.PROMOTION, RuleScope.PROMOTION): targets,
            (Window.M15, RuleScope.CAMPAIGN): ads,
            (Window.H1, RuleScope.CAMPAIGN): ads_hour,
        }

    def _good_tables(self) -> tuple[Table, ...]:
        def around(value: float, sd: float, width: int) -> Floats:
            return value + self._rng.standard_normal(width) * sd

        regions, two = len(shop.REGIONS), len(_CAMPAIGNS)
        shipped = {"gmv": np.zeros(1), "orders_due": np.full(1, 5000.0), "orders_paid": np.full(1, 5000.0)}
        return (
            _NO_REPEATS,
            Table(
                ("",),
                {
                    **shipped,
                    "ship_within_48h_rate": around(0.98, 0.002, 1),
                    "expected_breach_rate": around(0.02, 0.002, 1),
                },
            ),
            Table(
                (*shop.REGIONS,),
                {
                    "gmv": np.zeros(regions),
                    "orders_due": np.full(regions, 500.0),
                    "ship_within_48h_rate": around(0.98, 0.005, regions),
                },
            ),
            Table(("study",), {"target_probability.base": around(0.7, 0.02, 1), "gmv": np.zeros(1)}),
            Table(_CAMPAIGNS, {"cpc": around(120, 4, two), "ad_clicks": np.full(two, 900.0), "gmv": np.zeros(two)}),
            Table(_CAMPAIGNS, {"roas": around(4, 0.1, two), "ad_clicks": np.full(two, 3600.0), "gmv": np.zeros(two)}),
        )


def _by_sku(journeys: Journeys, at: Seconds, steps: int, weights: Floats | None = None) -> Floats:
    """# [step, SKU on promotion]"""
    place_of = np.full(shop.SKUS_A_CATEGORY * len(shop.CATEGORIES), -1)
    place_of[shop.PROMOTED] = np.arange(len(shop.PROMOTED))
    sku = place_of[journeys.order_sku]
    inside = (sku >= 0) & (at >= shop.PRE_S) & (at < shop.PRE_S + steps * STEP_S)
    inside &= journeys.order_at >= shop.PRE_S
    places = (at[inside] - shop.PRE_S).astype(np.int64) // STEP_S * len(shop.PROMOTED) + sku[inside]
    sums = np.bincount(places, None if weights is None else weights[inside], steps * len(shop.PROMOTED))
    return sums.reshape(steps, -1).astype(np.float64)


def _of_last(counts: Floats, steps: int) -> Floats:
    sums = counts.cumsum(axis=0)
    sums[steps:] -= sums[:-steps].copy()
    return sums


def healthy() -> tuple[HealthReading, ...]:
    """Readings of a pipeline without faults."""
    readings = [
        HealthReading(check, 0.0) for check in (HealthCheck.STORE_DOWN, HealthCheck.STORE_REFUSES, HealthCheck.STALE)
    ]
    for topic in EVENT_TOPICS:
        about = (("topic", topic.value),)
        readings += [
            HealthReading(HealthCheck.LAG, 0.0, about),
            HealthReading(HealthCheck.LAG_AGE, 0.0, about),
            HealthReading(HealthCheck.REFUSED, 0.0005, about),
            HealthReading(HealthCheck.REPEATED, 0.004, about),
        ]
    return tuple(readings)


def promotion(day: StudyDay) -> Mapping[str, Promotion]:
    """The promotion of the day; it opens with `Course.opens_s`."""
    starts_ms = 1000 * (START_S - shop.PRE_S)
    ends_ms = 1000 * (START_S + day.seconds + 3600)
    opens_ms = starts_ms if day.course.opens_s is None else starts_ms + round(1000 * day.course.opens_s)
    phases = (Phase(name="opening", starts_at=opens_ms, ends_at=ends_ms),)
    if opens_ms > starts_ms:
        phases = (Phase(name="presale", starts_at=starts_ms, ends_at=opens_ms), *phases)
    return {
        "study": Promotion(
            promotion_id="study",
            name="Study",
            starts_at=starts_ms,
            ends_at=ends_ms,
            timezone="Asia/Shanghai",
            phases=phases,
            skus=tuple(shop.sku_name(sku) for sku in shop.PROMOTED),
        )
    }


def inputs(
    day: StudyDay, journeys: Journeys, panes: DensePanes, at: Iterable[int], *, every_table: bool = False
) -> Iterator[DetectionInputs]:
    """What evaluations at these seconds of the panes read: the seconds up to the horizon, as live."""
    tables, readings, promotions = StudyTables(day, journeys, every_table=every_table), healthy(), promotion(day)
    last, taken = _last_events(panes), 0
    for now in at:
        waits = [int(ends[now - 1]) for ends in last if now - ends[now - 1] < IDLE_AFTER_S]
        until = min([*waits, now]) - SETTLE_S
        if until <= taken:
            continue
        part = DensePanes(START_S + taken, panes.labels, panes.counters, panes.table[taken:until])
        taken = until
        yield DetectionInputs(
            (START_S + now) * 1000,
            part,
            tables=tables.at(now),
            health_readings=readings,
            promotions=promotions,
        )


def _last_events(panes: DensePanes) -> list[npt.NDArray[np.int64]]:
    """For clicks and orders: at each second, the end of the last second with an event."""
    ends = np.arange(1, len(panes.table) + 1)
    split = COUNTERS.index("orders_created")
    topics = panes.table[:, 0, :split], panes.table[:, 0, split:-1]
    return [np.maximum.accumulate(np.where(topic.any(axis=1), ends, 0)) for topic in topics]
