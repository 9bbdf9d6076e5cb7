"""The levels of stored panes: what they hold, how coarse, how long kept, and how they are cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from streams.panes import PaneDelta
from streams.settings import Settings
from streams.shipping.delta import ShippingDelta

HOUR_S = 3600
DAY_S = 24 * HOUR_S


class Holds(Enum):
    """Which part of a delta a level holds."""

    PANES = "panes"
    """Counters and distinct counts."""
    LEGS = "legs"
    """What orders count in windows and states: up to the overdue limit ahead of the events."""
    WAITING = "waiting"
    """Orders that wait, by payment."""


@dataclass(frozen=True, slots=True)
class Level:
    """Panes of one coarseness. A block is what one key in Redis holds of one partition: all panes in `block_s`."""

    name: str
    counters_step_s: int
    distincts_step_s: int
    block_s: int
    keep_s: int | None
    """Seconds of event time that its panes are kept; None: for ever."""
    holds: Holds = Holds.PANES
    settle_s: int = 60
    """Seconds after its end from which on little is added to a block any more."""

    def block(self, at_s: int) -> int:
        """Start of the block that holds a moment, seconds since the epoch."""
        return at_s - at_s % self.block_s

    def coarsen(self, delta: PaneDelta) -> PaneDelta:
        """What this level holds of a delta, in its panes."""
        if self.holds is Holds.PANES:
            return delta.coarsen(self.counters_step_s, self.distincts_step_s)
        held = delta.shipping
        if self.holds is Holds.LEGS:
            return PaneDelta(shipping=ShippingDelta(held.legs.coarsen(self.counters_step_s), held.amendments))
        return PaneDelta(shipping=ShippingDelta(waiting=held.waiting.coarsen(self.counters_step_s)))

    def blocks(self, delta: PaneDelta, oldest_s: int = 0) -> Iterator[tuple[int, PaneDelta]]:
        """A delta in this level's panes, cut into blocks, those that end before `oldest_s` left out."""
        held = self.coarsen(delta)
        if self.holds is Holds.PANES:
            parts = held.cut(self.block_s)
        else:
            parts = ((start, PaneDelta(shipping=part)) for start, part in held.shipping.cut(self.block_s))
        for start, part in parts:
            if start + self.block_s > oldest_s:
                yield start, part


def levels(settings: Settings) -> tuple[Level, ...]:
    """Every level there is: `pane_levels` first."""
    return (*pane_levels(settings), *shipping_levels(settings))


def pane_levels(settings: Settings) -> tuple[Level, Level, Level]:
    """Seconds, minutes, hours: finest first."""
    return (
        Level("s", 1, 10, 60, _keep(settings, settings.keep_seconds_h * HOUR_S)),
        Level("m", 60, 600, 600, _keep(settings, settings.keep_minutes_d * DAY_S)),
        Level("h", HOUR_S, HOUR_S, HOUR_S, _keep(settings, settings.keep_hours_d * DAY_S)),
    )


def shipping_levels(settings: Settings) -> tuple[Level, Level, Level, Level, Level]:
    """Legs by seconds, minutes and hours, kept as long as other panes; who waits, by seconds and days.

    An order touches panes of its payment, its due moment and its dispatch, which are days apart: blocks are longer than
    others, so that a roll writes to few of them.
    """
    horizon_s = settings.unshipped_horizon_d * DAY_S
    keep_s = _keep(settings, horizon_s + settings.keep_minutes_d * DAY_S + DAY_S)
    return (
        Level("ship_s", 1, 1, HOUR_S, _keep(settings, settings.keep_seconds_h * HOUR_S), Holds.LEGS),
        Level("ship_m", 60, 60, 6 * HOUR_S, _keep(settings, settings.keep_minutes_d * DAY_S), Holds.LEGS),
        Level("ship_h", HOUR_S, HOUR_S, 10 * DAY_S, _keep(settings, settings.keep_hours_d * DAY_S), Holds.LEGS),
        Level("wait_s", 1, 1, DAY_S, keep_s, Holds.WAITING, settle_s=10 * DAY_S),
        Level("wait_d", DAY_S, DAY_S, 30 * DAY_S, keep_s, Holds.WAITING, settle_s=10 * DAY_S),
    )


def _keep(settings: Settings, seconds: float) -> int | None:
    return None if settings.retain == "all" else int(seconds)
