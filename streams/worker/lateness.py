"""Which events are too late, too early or duplicates, and which panes have expired. Pure: the present is passed in.

Two clocks decide. Whether an event counts depends on the clock that the settings name, so that dead letters do not
depend on progress. Pane expiry uses the as-of where it is behind that clock, so that a backlog is not dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from consumers.contract.rejection import RejectionReason
from consumers.dedup import Hashes, SeenIds
from consumers.settings import Clock
from streams.panes.arrays import Ints
from streams.settings import Settings
from streams.store.levels import levels
from streams.store.retained_spans import KEPT_LEVELS, NO_RETAINED_SPANS, RetainedSpans

LONGEST_KEPT = "h"
"""The level with the longest retention."""

AHEAD_MS = 2_000
"""Events further ahead of the clock than this come from a fast producer clock. They count in their own pane and do
not advance the as-of."""

LATEST_MS = 4_260_211_200_000 - 1
"""The last millisecond of the year 2104. Panes end in 2106 (`streams.panes.keys`), and those of an order may lie ahead
of its events by the overdue limit."""

OutOfBounds = tuple[int, RejectionReason, str]
"""Index of an event in its batch, reason and detail of its rejection."""


CLOCK_REASONS = frozenset({RejectionReason.TOO_LATE, RejectionReason.FROM_THE_FUTURE})
"""Rejection reasons that depend on a clock."""


@dataclass(frozen=True, slots=True)
class EventTimeBounds:
    """The times that decide which events are too late or too early, and which panes have expired."""

    as_of_ms: int | None
    """Event time up to which everything is counted; None if unknown."""
    oldest_ms: int | None
    """Events before this are older than every retained pane; None: no limit."""
    latest_ms: int | None
    """Events after this are rejected as from the future; None: `LATEST_MS`."""
    oldest_s: dict[str, int] = field(default_factory=dict)
    """# <level: event time in seconds before which its panes have expired>"""
    retained_spans: RetainedSpans = NO_RETAINED_SPANS
    """Expired spans that are retained nevertheless."""
    now_ms: int | None = None
    """The clock that producers are compared with; None on the event clock."""

    @property
    def ahead_ms(self) -> int | None:
        """Events after this are ahead of the clock; None: no limit."""
        return None if self.now_ms is None else self.now_ms + AHEAD_MS

    def with_retained(self, retained_spans: RetainedSpans) -> EventTimeBounds:
        """A copy with retained spans, whose levels expire only up to the published limit `dropped_s`."""
        dropped = {name: retained_spans.dropped_s for name in KEPT_LEVELS if name in self.oldest_s}
        return replace(self, oldest_s={**self.oldest_s, **dropped}, retained_spans=retained_spans)


def event_time_bounds(settings: Settings, as_of_ms: int | None, now_ms: int) -> EventTimeBounds:
    """The limits at a time, on the clock that the settings name.

    On the event clock nothing is too late before the first as-of.
    """
    wall = settings.clock is Clock.WALL
    latest_ms = now_ms + int(settings.future_limit_s * 1000) if wall else None
    producer_clock_ms = now_ms if wall else None
    keep_s = {level.name: level.keep_s for level in levels(settings) if level.keep_s is not None}
    clock_ms = now_ms if wall else as_of_ms
    if not keep_s or clock_ms is None:
        return EventTimeBounds(as_of_ms, None, latest_ms, now_ms=producer_clock_ms)
    oldest_ms = (clock_ms // 1000 - keep_s[LONGEST_KEPT]) * 1000
    if as_of_ms is None:
        return EventTimeBounds(None, oldest_ms, latest_ms, now_ms=producer_clock_ms)
    expiry_clock_s = min(clock_ms, as_of_ms) // 1000
    oldest_s = {name: expiry_clock_s - kept_s for name, kept_s in keep_s.items()}
    return EventTimeBounds(as_of_ms, oldest_ms, latest_ms, oldest_s, now_ms=producer_clock_ms)


def events_out_of_bounds(ts: Ints, event_time_bounds: EventTimeBounds) -> Sequence[OutOfBounds]:
    """The events of a batch that are too late or too early."""
    out_of_bounds: list[OutOfBounds] = []
    if (oldest_ms := event_time_bounds.oldest_ms) is not None:
        detail = f"is older than every kept pane (those from {oldest_ms} on)"
        late = np.flatnonzero(ts < oldest_ms).tolist()
        out_of_bounds += [(index, RejectionReason.TOO_LATE, f"ts {ts[index]} {detail}") for index in late]
    latest_ms = LATEST_MS if event_time_bounds.latest_ms is None else min(LATEST_MS, event_time_bounds.latest_ms)
    detail = f"is ahead of the clock by more than the limit (to {latest_ms})"
    if latest_ms == LATEST_MS:
        detail = f"is after the last time that panes can hold (to {latest_ms}, the end of the year 2104)"
    early = np.flatnonzero(ts > latest_ms).tolist()
    out_of_bounds += [(index, RejectionReason.FROM_THE_FUTURE, f"ts {ts[index]} {detail}") for index in early]
    return out_of_bounds


def newest_not_ahead(ts: Ints, event_time_bounds: EventTimeBounds) -> int | None:
    """The newest event time that is not ahead of the clock; None if there is none."""
    in_time = ts if event_time_bounds.ahead_ms is None else ts[ts <= event_time_bounds.ahead_ms]
    return int(in_time.max()) if len(in_time) else None


@dataclass(frozen=True, slots=True)
class LatenessVerdict:
    """Which events of a batch count. The others are rejected or duplicates, independent of batch boundaries."""

    counts: np.ndarray
    """Mask of the events that count: [event]."""
    refused: Sequence[OutOfBounds]
    """The rejected events; duplicates are not among them."""

    @property
    def repeats(self) -> int:
        """Number of duplicates."""
        return len(self.counts) - int(self.counts.sum()) - len(self.refused)


def lateness_verdict(ids: Hashes, ts: Ints, seen: SeenIds, event_time_bounds: EventTimeBounds) -> LatenessVerdict:
    """Which events of a batch count: those within bounds whose id is new to `seen` and to the batch.

    Rejected events do not add their ids. An event out of bounds whose id was counted is a duplicate, not a rejection.
    """
    out_of_bounds = events_out_of_bounds(ts, event_time_bounds)
    if not out_of_bounds:
        return LatenessVerdict(seen.first_seen(ids), ())
    outside = np.fromiter((index for index, _, _ in out_of_bounds), np.int64, len(out_of_bounds))
    inside = np.setdiff1d(np.arange(len(ids)), outside)
    counts = np.zeros(len(ids), np.bool_)
    counts[inside] = seen.first_seen(ids[inside])
    counted = np.flatnonzero(counts)
    counted_at = dict(zip(ids[counted].tolist(), counted.tolist(), strict=True))
    was_counted = seen.contains(ids[outside])
    rejected = [
        entry
        for entry, counted_before, event_id in zip(
            out_of_bounds, was_counted.tolist(), ids[outside].tolist(), strict=True
        )
        if not counted_before and counted_at.get(event_id, entry[0]) >= entry[0]
    ]
    return LatenessVerdict(counts, rejected)
