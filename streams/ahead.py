"""Producers whose clocks are ahead, by the events that they wrote. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from consumers.topics import Partition
from streams.fold.columns import Columns
from streams.panes.rows import Rows
from streams.worker.lateness import Clocks

MOST_NAMED = 20
"""So many sources are named, those that are furthest ahead."""
NAMED_FOR_MS = 300_000
"""A source is named for so long after its last event that was ahead."""
NO_CLOCK_MS = 366 * 86_400_000
"""An event further ahead than this has a fault in its `ts`, such as another unit; no clock is so wrong."""
_MOST_HELD = 1_000

Source = tuple[str, str]
"""Topic, and the event's `source`; of an event without one `topic/partition`."""


def sources_ahead(events: Columns, partition: Partition, clocks: Clocks, rows: Rows) -> dict[Source, int]:
    """How far the furthest event of each source is ahead of the clock, ms; of the sources with any that is.

    Only events that are ahead are looked at one by one.
    """
    now_ms, ahead_ms = clocks.now_ms, clocks.ahead_ms
    if now_ms is None or ahead_ms is None:
        return {}
    places = np.flatnonzero((events.ts > ahead_ms) & (events.ts <= now_ms + NO_CLOCK_MS))
    if not len(places):
        return {}
    found: dict[Source, int] = {}
    for row, ts in zip(events.numbers["source_row"][places].tolist(), events.ts[places].tolist(), strict=True):
        topic, name = partition.topic.value, str(partition)
        if row >= 0:
            _, _, name = rows.labels[row][1].partition("/")
        found[topic, name] = max(found.get((topic, name), 0), ts - now_ms)
    return found


@dataclass(frozen=True, slots=True)
class SourceAhead:
    """One source, as it was seen last."""

    topic: str
    source: str
    ahead_ms: int
    seen_ms: int


class AheadSources:
    """The sources that were ahead lately."""

    def __init__(self) -> None:
        self._held: dict[Source, SourceAhead] = {}

    def note(self, found: Mapping[Source, int], now_ms: int) -> None:
        """What a batch showed."""
        if not found:
            return
        for (topic, source), ahead_ms in found.items():
            self._held[topic, source] = SourceAhead(topic, source, ahead_ms, now_ms)
        if len(self._held) > _MOST_HELD:
            self._held = {(one.topic, one.source): one for one in _furthest(self._held.values(), _MOST_HELD // 2)}

    def named(self, now_ms: int) -> list[SourceAhead]:
        """Those to name at a moment, the furthest ahead first."""
        self._held = {name: one for name, one in self._held.items() if abs(now_ms - one.seen_ms) <= NAMED_FOR_MS}
        return _furthest(self._held.values(), MOST_NAMED)


def _furthest(sources: Iterable[SourceAhead], limit: int) -> list[SourceAhead]:
    return nlargest(limit, sources, key=lambda one: one.ahead_ms)
