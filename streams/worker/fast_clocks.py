"""Producers whose clocks are ahead, by the events that they wrote. Pure: time is passed in."""

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
"""So many sources are named, those that are furthest ahead."""
REPORTED_FOR_MS = 300_000
"""A source is named for so long after its last event that was ahead."""
MAX_CLOCK_ERROR_MS = 366 * 86_400_000
"""An event further ahead than this has a fault in its `ts`, such as another unit; no clock is so wrong."""
_MOST_HELD = 1_000

ClockSource = tuple[str, str]
"""Topic, and the event's `source`; of an event without one `topic/partition`."""


def find_fast_clocks(
    events: Columns, partition: Partition, event_time_bounds: EventTimeBounds, rows: RowIndex
) -> dict[ClockSource, int]:
    """How far the furthest event of each source is ahead of the clock, ms; of the sources with any that is.

    Only events that are ahead are looked at one by one.
    """
    now_ms, ahead_ms = event_time_bounds.now_ms, event_time_bounds.ahead_ms
    if now_ms is None or ahead_ms is None:
        return {}
    places = np.flatnonzero((events.ts > ahead_ms) & (events.ts <= now_ms + MAX_CLOCK_ERROR_MS))
    if not len(places):
        return {}
    found: dict[ClockSource, int] = {}
    for row, ts in zip(events.numbers["source_row"][places].tolist(), events.ts[places].tolist(), strict=True):
        topic, name = partition.topic.value, str(partition)
        if row >= 0:
            _, _, name = rows.labels[row][1].partition("/")
        found[topic, name] = max(found.get((topic, name), 0), ts - now_ms)
    return found


@dataclass(frozen=True, slots=True)
class FastClock:
    """One source, as it was seen last."""

    topic: str
    source: str
    ahead_ms: int
    seen_ms: int


class FastClocks:
    """The sources that were ahead lately."""

    def __init__(self) -> None:
        self._held: dict[ClockSource, FastClock] = {}

    def note(self, found: Mapping[ClockSource, int], now_ms: int) -> None:
        """What a batch showed."""
        if not found:
            return
        for (topic, source), ahead_ms in found.items():
            self._held[topic, source] = FastClock(topic, source, ahead_ms, now_ms)
        if len(self._held) > _MOST_HELD:
            self._held = {(one.topic, one.source): one for one in _furthest(self._held.values(), _MOST_HELD // 2)}

    def named(self, now_ms: int) -> list[FastClock]:
        """Those to name at a moment, the furthest ahead first."""
        self._held = {name: one for name, one in self._held.items() if abs(now_ms - one.seen_ms) <= REPORTED_FOR_MS}
        return _furthest(self._held.values(), MAX_REPORTED)


def _furthest(sources: Iterable[FastClock], limit: int) -> list[FastClock]:
    return nlargest(limit, sources, key=lambda one: one.ahead_ms)
