"""The levels of stored panes: how coarse, how long kept, and how they are cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.panes import PaneDelta
from streams.settings import Settings

HOUR_S = 3600
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Level:
    """Panes of one coarseness. A block is what one key in Redis holds of one partition: all panes in `block_s`."""

    name: str
    counters_step_s: int
    distincts_step_s: int
    block_s: int
    keep_s: int | None
    """Seconds of event time that its panes are kept; None: for ever."""

    def block(self, at_s: int) -> int:
        """Start of the block that holds a moment, seconds since the epoch."""
        return at_s - at_s % self.block_s

    def coarsen(self, delta: PaneDelta) -> PaneDelta:
        """A delta in this level's panes."""
        return delta.coarsen(self.counters_step_s, self.distincts_step_s)

    def blocks(self, delta: PaneDelta, oldest_s: int = 0) -> Iterator[tuple[int, PaneDelta]]:
        """A delta in this level's panes, cut into blocks, those that end before `oldest_s` left out."""
        for start, part in self.coarsen(delta).cut(self.block_s):
            if start + self.block_s > oldest_s:
                yield start, part


def levels(settings: Settings) -> tuple[Level, Level, Level]:
    """Seconds, minutes, hours: finest first."""
    everything = settings.retain == "all"

    def keep(seconds: float) -> int | None:
        return None if everything else int(seconds)

    return (
        Level("s", 1, 10, 60, keep(settings.keep_seconds_h * HOUR_S)),
        Level("m", 60, 600, 600, keep(settings.keep_minutes_d * DAY_S)),
        Level("h", HOUR_S, HOUR_S, HOUR_S, keep(settings.keep_hours_d * DAY_S)),
    )
