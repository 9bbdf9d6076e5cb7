"""Producers whose clocks are ahead, found by the timestamps of their events. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from consumers.topics import Partition
from streams.fold.columns import Columns
from streams.panes.rows import RowIndex
from streams.worker.lateness import EventTimeBounds

MAX_REPORTED = 20
"""At most this many sources are reported, the furthest ahead first."""
REPORTED_FOR_MS = 300_000
"""How long a source is reported after its last event that was ahead."""
MAX_CLOCK_ERROR_MS = 366 * 86_400_000
"""Events further ahead than this have a wrong `ts`, such as another unit, rather than a fast clock."""
_MOST_HELD = 1_000
"""Number of sources beyond which only the furthest ahead are kept."""

ClockSource = tuple[str, str]
"""Topic and the event's `source`, or `topic/partition` where it has none."""


def find_fast_clocks(
    events: Columns, partition: Partition, event_time_bounds: EventTimeBounds, rows: RowIndex
) -> dict[ClockSource, int]:
    """How far each source's furthest event is ahead of the clock, in ms, for sources with an event that is ahead."""
    now_ms, ahead_ms = event_time_bounds.now_ms, event_time_bounds.ahead_ms
    if now_ms is None or ahead_ms is None:
        return {}
    indexes = np.flatnonzero((events.ts > ahead_ms) & (events.ts <= now_ms + MAX_CLOCK_ERROR_MS))
    if not len(indexes):
        return {}
    sources: dict[ClockSource, int] = {}
    for row, ts in zip(events.numbers["source_row"][indexes].tolist(), events.ts[indexes].tolist(), strict=True):
        topic, name = str(partition.topic), str(partition)
        if row >= 0:
            _, _, name = rows.labels[row][1].partition("/")
        sources[topic, name] = max(sources.get((topic, name), 0), ts - now_ms)
    return sources


@dataclass(frozen=True, slots=True)
class FastClock:
    """The last measurement of a source."""

    topic: str
    source: str
    ahead_ms: int
    seen_ms: int


class FastClocks:
    """The sources whose events were recently ahead of the clock."""

    def __init__(self) -> None:
        self._held: dict[ClockSource, FastClock] = {}

    def note(self, ahead: Mapping[ClockSource, int], now_ms: int) -> None:
        """Add the fast clocks of a batch."""
        if not ahead:
            return
        for (topic, source), ahead_ms in ahead.items():
            self._held[topic, source] = FastClock(topic, source, ahead_ms, now_ms)
        if len(self._held) > _MOST_HELD:
            self._held = {
                (clock.topic, clock.source): clock for clock in _furthest(self._held.values(), _MOST_HELD // 2)
            }

    def named(self, now_ms: int) -> list[FastClock]:
        """The sources to report now, furthest ahead first."""
        self._held = {
            source: clock for source, clock in self._held.items() if abs(now_ms - clock.seen_ms) <= REPORTED_FOR_MS
        }
        return _furthest(self._held.values(), MAX_REPORTED)


def _furthest(sources: Iterable[FastClock], limit: int) -> list[FastClock]:
    return nlargest(limit, sources, key=lambda clock: clock.ahead_ms)
