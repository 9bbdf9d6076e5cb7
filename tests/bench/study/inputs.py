"""What rules read of a day: counters by second and scope, tables, and health readings.

The counters are the panes that `alerts.rehearsal.play` takes, made without events. Readings of the pipeline's health
are those of a healthy one, but for faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alerts.detection.inputs import DetectionInputs, HealthReading
from alerts.detection.panes import CellPanes, ScopeValue
from alerts.findings import Labels
from alerts.rules.detect import HealthCheck
from alerts.viewing.lateness import RecentLateness
from consumers.contract.events import Phase, Promotion
from consumers.topics import EVENT_TOPICS
from streams.panes.cells import Cells, merge_cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys
from tests.alerts.dense_panes import IDLE_AFTER_S, SETTLE_S, DensePanes
from tests.bench.study import shop
from tests.bench.study.faults import Fault, HealthFault, LateOrders, SourceLoss
from tests.bench.study.journeys import Journeys, Seconds, StudyDay
from tests.bench.study.shop import CELLS, Floats
from tests.bench.study.table_inputs import StudyTables

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
_GMV = COUNTERS.index("gmv")
_COUNTER_IDS = np.array([COUNTER_IDS[name] for name in COUNTERS])
_FIRST_CLICK_SOURCE = LABELS.index(("source", shop.CLICK_SOURCES[0]))
_FIRST_ORDER_SOURCE = _FIRST_CLICK_SOURCE + len(shop.CLICK_SOURCES)
_FIRST_WAREHOUSE = _FIRST_ORDER_SOURCE + shop.ORDER_SOURCES


@dataclass(frozen=True, slots=True)
class StudyCounters:
    """Counters of a day from the panes' beginning on."""

    panes: DensePanes
    """What has come by the time it is evaluated."""
    late: DensePanes | None
    """What comes only `late_s` seconds after its time."""
    late_s: int = 0


def counters(day: StudyDay, journeys: Journeys, faults: Sequence[Fault] = ()) -> StudyCounters:
    """Add up the events of a day."""
    adder = _Adder(day, faults)
    views, pages = _seen(journeys, adder.losses)
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
    return StudyCounters(panes, late, max((one.delay_s for one in adder.lates), default=0))


def _seen(journeys: Journeys, losses: Sequence[SourceLoss]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """(views, page views) without those that were lost."""
    views, pages = journeys.views, journeys.pages
    for loss in losses:
        if loss.source in shop.CLICK_SOURCES and not loss.counters:
            rng = np.random.default_rng([loss.from_s, 3])
            channel, at = shop.CLICK_SOURCES.index(loss.source), slice(loss.from_s, loss.to_s)
            views, pages = views.copy(), pages.copy()
            mine = np.flatnonzero(channel == shop.CHANNEL_OF)
            views[at, mine] = rng.binomial(views[at, mine], 1 - loss.share)
            pages[at, channel] = rng.binomial(pages[at, channel], 1 - loss.share)
    return views, pages


class _Adder:
    """Adds events to a table [second, label, counter]."""

    def __init__(self, day: StudyDay, faults: Sequence[Fault]) -> None:
        self.losses = [one for one in faults if isinstance(one, SourceLoss)]
        self.lates = [one for one in faults if isinstance(one, LateOrders)]
        if day.course.late is not None:
            from_s, to_s, delay_s = day.course.late
            self.lates.append(LateOrders(1, from_s, to_s, round(delay_s)))
        self._size = day.seconds - shop.PRE_S
        self.table = np.zeros((self._size, len(LABELS), len(COUNTERS)), np.int32)
        self.late = np.zeros_like(self.table) if self.lates else None

    def clicks(self, counter: str, counts: npt.NDArray[np.number]) -> None:
        """Add counts [second, channel, region, category]."""
        channels = self._add(self.table, counter, counts)
        self.table[:, _FIRST_CLICK_SOURCE:_FIRST_ORDER_SOURCE, COUNTERS.index(counter)] = channels

    def click_events(self, counter: str, at: Seconds, cell: Seconds) -> None:
        """Add clicks by their times."""
        for loss in self.losses:
            if loss.source in shop.CLICK_SOURCES and counter in (loss.counters or (counter,)):
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
        for loss in self.losses:
            if loss.source.startswith("orders/"):
                lost = (source == int(loss.source.rpartition("-")[2])) & (at >= loss.from_s) & (at < loss.to_s)
                lost[lost] = np.random.default_rng([loss.from_s, 6]).random(int(lost.sum())) < loss.share
                kept &= ~lost
        parts = [(self.table, kept)]
        if self.late is not None:
            is_late = np.zeros(len(at), np.bool_)
            for one in self.lates:
                is_late |= kept & (source == one.producer) & (at >= one.from_s) & (at < one.to_s)
            parts = [(self.table, kept & ~is_late), (self.late, is_late)]
        for table, which in parts:
            weights = None if amount is None else amount[which]
            self._add(table, counter, self._by_cell(at[which], cell[which], weights))
            if amount is not None:
                continue  # rows of sources have events alone
            inside = which & (at >= shop.PRE_S) & (at < shop.PRE_S + self._size)
            inside &= source < shop.ORDER_SOURCES
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


def _with_faults(
    readings: Sequence[HealthReading], faults: Sequence[HealthFault], at_s: int
) -> tuple[HealthReading, ...]:
    changed: dict[tuple[HealthCheck, Labels], float] = {
        (one.check, (("topic", one.topic),)): one.value for one in faults if one.from_s <= at_s < one.to_s
    }
    return tuple(replace(one, value=changed.get((one.name, one.labels), one.value)) for one in readings)


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
    day: StudyDay,
    journeys: Journeys,
    counted: StudyCounters,
    at: Iterable[int],
    *,
    faults: Sequence[Fault] = (),
    every_table: bool = False,
) -> Iterator[DetectionInputs]:
    """What evaluations at these seconds of the panes read: the seconds up to the horizon, and late events of earlier
    seconds, as live."""
    tables, promotions = StudyTables(day, journeys, every_table=every_table), promotion(day)
    of_health, readings = [one for one in faults if isinstance(one, HealthFault)], healthy()
    panes = counted.panes
    last, taken, late_until, lateness = _last_events(panes), 0, 0, RecentLateness()
    for now in at:
        waits = [int(ends[now - 1]) for ends in last if now - ends[now - 1] < IDLE_AFTER_S]
        until = min([*waits, now]) - SETTLE_S
        if until <= taken:
            continue
        late = None
        if counted.late is not None:
            come = max(0, now - counted.late_s)
            late = counted.late.table[late_until:come].sum(axis=0)
            lateness.take(_arrived(counted.late, late_until, come, panes, taken, until))
            late_until = come
        part = DensePanes(START_S + taken, panes.labels, panes.counters, panes.table[taken:until], late)
        taken = until
        yield DetectionInputs(
            (START_S + now) * 1000,
            part,
            tables=tables.at(now),
            health_readings=(*_with_faults(readings, of_health, now + shop.PRE_S), *lateness.readings()),
            promotions=promotions,
        )


def _arrived(late: DensePanes, late_from: int, late_until: int, panes: DensePanes, taken: int, until: int) -> CellPanes:
    """What has arrived since the last evaluation: late seconds, and new ones."""
    parts = []
    for table, from_s, to_s in ((late.table, late_from, late_until), (panes.table, taken, until)):
        part = table[from_s:to_s, :, :_GMV]
        seconds, rows, places = np.nonzero(part)
        keys = pane_keys(START_S + from_s + seconds, rows, _COUNTER_IDS[places])
        parts.append(Cells(keys, part[seconds, rows, places].astype(np.int64)).sorted())
    return CellPanes(START_S + taken, START_S + until, panes.labels, arrived=merge_cells(parts))


def _last_events(panes: DensePanes) -> list[npt.NDArray[np.int64]]:
    """For clicks and orders: at each second, the end of the last second with an event."""
    ends = np.arange(1, len(panes.table) + 1)
    split = COUNTERS.index("orders_created")
    topics = panes.table[:, 0, :split], panes.table[:, 0, split:-1]
    return [np.maximum.accumulate(np.where(topic.any(axis=1), ends, 0)) for topic in topics]
