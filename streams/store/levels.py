"""The levels of stored panes: content, resolution, retention and block size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from streams.fold.delta import PaneDelta
from streams.panes.counters import COUNTERS_STEP_S, DAY_S, DISTINCTS_STEP_S, HOUR_S, MINUTE_S
from streams.settings import Settings
from streams.stock.ledger import Ledger

SETTLE_S = 60
"""Default of `PaneLevel.settle_s`."""

STOCK, STOCK_SALES = "stock", "sold_d"
"""Names of levels that are read by name."""


class LevelContent(Enum):
    """The part of a delta that a level holds."""

    PANES = "panes"
    """Counters and distinct counts."""
    SHIPPING_SUMS = "legs"
    """Shipping sums by window and state; their panes may be ahead of the events by the overdue limit."""
    WAITING = "waiting"
    """Orders that wait for shipment, by payment time."""
    STOCK = "stock"
    """The stock event log, in milliseconds."""
    STOCK_SALES = "stock_sales"
    """Units sold under promotions, per day, of the stock event log."""


@dataclass(frozen=True, slots=True)
class PaneLevel:
    """Panes of one resolution. One Redis key holds a block: all panes in `block_s` of one partition."""

    name: str
    counters_step_s: int
    distincts_step_s: int
    block_s: int
    keep_s: int | None
    """Retention of its panes in seconds of event time; None: unlimited."""
    content: LevelContent = LevelContent.PANES
    settle_s: int = SETTLE_S
    """Seconds after its end from which on a block rarely changes."""

    def block(self, at_s: int) -> int:
        """Start of the block that holds a time, epoch seconds."""
        return at_s - at_s % self.block_s

    def coarsen(self, delta: PaneDelta) -> PaneDelta:
        """This level's part of a delta, at its resolution."""
        if self.content is LevelContent.PANES:
            return delta.coarsen(self.counters_step_s, self.distincts_step_s)
        if self.content is LevelContent.STOCK:
            return PaneDelta(stock=delta.stock)
        if self.content is LevelContent.STOCK_SALES:
            return PaneDelta(stock=Ledger(sales=delta.stock.sales.rounded(1000 * DAY_S)))
        if self.content is LevelContent.SHIPPING_SUMS:
            return PaneDelta(shipping=delta.shipping.sums_by(self.counters_step_s))
        return PaneDelta(shipping=delta.shipping.waiting_by(self.counters_step_s))

    def blocks(self, delta: PaneDelta, oldest_s: int = 0) -> Iterator[tuple[int, PaneDelta]]:
        """Split a delta into this level's blocks, without those that end before `oldest_s`."""
        coarse = self.coarsen(delta)
        if self.content is LevelContent.PANES:
            parts = coarse.cut(self.block_s)
        elif self.content in (LevelContent.STOCK, LevelContent.STOCK_SALES):
            parts = ((ms // 1000, PaneDelta(stock=part)) for ms, part in coarse.stock.cut(1000 * self.block_s))
        else:
            parts = ((start, PaneDelta(shipping=part)) for start, part in coarse.shipping.cut(self.block_s))
        for start, part in parts:
            if start + self.block_s > oldest_s:
                yield start, part


def levels(settings: Settings) -> tuple[PaneLevel, ...]:
    """All levels, `pane_levels` first."""
    return (*pane_levels(settings), *shipping_levels(settings), *stock_levels(settings))


def pane_levels(settings: Settings) -> tuple[PaneLevel, PaneLevel, PaneLevel]:
    """Levels of seconds, minutes, hours: finest first."""
    return (
        _panes("s", MINUTE_S, _keep(settings, settings.keep_seconds_h * HOUR_S)),
        _panes("m", 10 * MINUTE_S, _keep(settings, settings.keep_minutes_d * DAY_S)),
        _panes("h", HOUR_S, _keep(settings, settings.keep_hours_d * DAY_S)),
    )


def _panes(name: str, block_s: int, keep_s: int | None) -> PaneLevel:
    return PaneLevel(name, COUNTERS_STEP_S[name], DISTINCTS_STEP_S[name], block_s, keep_s)


def shipping_levels(settings: Settings) -> tuple[PaneLevel, PaneLevel, PaneLevel, PaneLevel, PaneLevel]:
    """Shipping sums by seconds, minutes and hours with the retention of panes; waiting orders by seconds and days.

    An order changes panes of its payment, due and dispatch times, which are days apart: blocks are longer than those of
    panes, so that a compaction writes few of them.
    """
    horizon_s = settings.unshipped_horizon_d * DAY_S
    keep_s = _keep(settings, horizon_s + settings.keep_minutes_d * DAY_S + DAY_S)
    seconds, minutes, hours = pane_levels(settings)
    return (
        PaneLevel("ship_s", 1, 1, HOUR_S, seconds.keep_s, LevelContent.SHIPPING_SUMS),
        PaneLevel("ship_m", MINUTE_S, MINUTE_S, 6 * HOUR_S, minutes.keep_s, LevelContent.SHIPPING_SUMS),
        PaneLevel("ship_h", HOUR_S, HOUR_S, 10 * DAY_S, hours.keep_s, LevelContent.SHIPPING_SUMS),
        PaneLevel("wait_s", 1, 1, DAY_S, keep_s, LevelContent.WAITING, settle_s=10 * DAY_S),
        PaneLevel("wait_d", DAY_S, DAY_S, 30 * DAY_S, keep_s, LevelContent.WAITING, settle_s=10 * DAY_S),
    )


def stock_levels(settings: Settings) -> tuple[PaneLevel, PaneLevel]:
    """The stock event log by hours, and units sold under promotions by days.

    The log's retention is that of stock counts plus the longest query range, plus one day, since sales of earlier whole
    days come from the other level.
    """
    keep_s = (settings.keep_stock_d + settings.keep_minutes_d + 1) * DAY_S
    sales_keep_s = _keep(settings, settings.keep_hours_d * DAY_S)
    return (
        PaneLevel(STOCK, 1, 1, HOUR_S, _keep(settings, keep_s), LevelContent.STOCK),
        PaneLevel(STOCK_SALES, DAY_S, DAY_S, DAY_S, sales_keep_s, LevelContent.STOCK_SALES),
    )


def stock_keep_ms(settings: Settings) -> int | None:
    """Maximum age of a stock count in ms; None: unlimited."""
    return _keep(settings, 1000 * settings.keep_stock_d * DAY_S)


def _keep(settings: Settings, seconds: float) -> int | None:
    return None if settings.retain == "all" else int(seconds)
