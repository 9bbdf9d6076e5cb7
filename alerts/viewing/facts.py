"""What the monitor knows of itself, for fact rules. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from alerts.detection.inputs import Fact
from alerts.rules.detect import FactName
from consumers.settings import Clock
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.asof import PartitionState
from streams.clock_reports import NO_REPORTS, ClockReports
from streams.serve.standing import DOWN_AFTER_MS

RATE_OVER_MS = 300_000
"""Shares of refused and repeated messages are of so long."""
LEAST_MESSAGES = 200
"""Of fewer, no share is told: one bad message of three is no surge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look into the store found."""

    now_ms: int
    """By the clock that all processes go by: Redis's."""
    polled_ms: int
    """When the store last answered."""
    clock: Clock
    as_of_ms: int
    partitions: Mapping[Partition, PartitionState]
    stale: tuple[Partition, ...] | None
    """None: Redis was away or refused writes until a moment ago, so that no worker could say that it is at work. What
    else rests on heartbeats and on what was counted since is unknown then too."""
    incomplete: Mapping[Partition, int]
    refuses: bool = False
    """Whether the store answers and refuses writes."""
    totals: Mapping[str, int]
    """As `streams.store.keys` names them."""
    clocks: ClockReports = NO_REPORTS


@dataclass(slots=True)
class Shares:
    """The totals of the last minutes, to tell rates by."""

    _past: deque[tuple[int, Mapping[str, int]]] = field(default_factory=deque)

    def take(self, at_ms: int, totals: Mapping[str, int]) -> None:
        """How much it was at a moment."""
        if totals and (not self._past or at_ms - self._past[-1][0] >= 1000):
            self._past.append((at_ms, totals))
        while len(self._past) > 1 and at_ms - self._past[1][0] >= RATE_OVER_MS:
            self._past.popleft()

    def of(self, kind: str, topic: Topic) -> float | None:
        """The share of a topic's messages that were `rejected` or `duplicates`; None of too few."""
        if not self._past:
            return None
        first, last = self._past[0][1], self._past[-1][1]
        counts = {
            name: sum(last[key] - first.get(key, 0) for key in last if key.split(",")[:2] == [name, topic.value])
            for name in ("events", "rejected", "duplicates")
        }
        whole = sum(counts.values())
        return counts[kind] / whole if whole >= LEAST_MESSAGES else None


def facts(seen: Seen, shares: Shares) -> Iterator[Fact]:
    """All facts. What cannot be said now is left out, or not a number where it may have been wrong before."""
    yield Fact(FactName.STORE_DOWN, float(seen.now_ms - seen.polled_ms > DOWN_AFTER_MS))
    yield Fact(FactName.STORE_REFUSES, float(seen.refuses))
    heard = seen.stale is not None
    yield Fact(FactName.STALE, math.nan if seen.stale is None else float(len(seen.stale)))
    for topic in EVENT_TOPICS:
        mine = {partition: held for partition, held in seen.partitions.items() if partition.topic is topic}
        about = (("topic", topic.value),)
        if mine:
            yield Fact(FactName.LAG, float(sum(held.lag or 0 for held in mine.values())) if heard else math.nan, about)
            if seen.clock is Clock.WALL:
                yield Fact(FactName.LAG_AGE, _lag_age_s(mine, seen.now_ms) if heard else math.nan, about)
        for name, kind in ((FactName.REFUSED, "rejected"), (FactName.REPEATED, "duplicates")):
            share = shares.of(kind, topic)
            if share is not None:
                yield Fact(name, share, about)
    if seen.clock is Clock.WALL:
        yield Fact(FactName.AS_OF_AGE, max(0, seen.now_ms - seen.as_of_ms) / 1000 if heard else math.nan)
    for (written_to, source), ahead_s in sorted(seen.clocks.sources.items()):
        yield Fact(FactName.SOURCE_AHEAD, ahead_s, (("source", source), ("topic", written_to)))
    for worker, offset_s in sorted(seen.clocks.workers.items()):
        yield Fact(FactName.WORKER_CLOCK, abs(offset_s), (("worker", worker),))
    for topic, count in sorted(Counter(partition.topic for partition in seen.incomplete).items()):
        yield Fact(FactName.INCOMPLETE, float(count), (("topic", topic.value),))


def _lag_age_s(partitions: Mapping[Partition, PartitionState], now_ms: int) -> float:
    """How far the newest event of the one furthest behind is behind the clock."""
    waiting = (held.newest_ms for held in partitions.values() if held.lag and held.newest_ms is not None)
    return max((now_ms - newest_ms for newest_ms in waiting), default=0) / 1000
