"""Readings of the health checks. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from alerts.detection.inputs import HealthReading
from alerts.rules.detect import HealthCheck
from consumers.settings import Clock
from consumers.topics import EVENT_TOPICS, InputTopic, Partition, Topic
from streams.store.as_of import PartitionState
from streams.store.process_reports import NO_CLOCK_OFFSETS, ClockOffsets
from streams.view.answer_status import DOWN_AFTER_MS

RATE_WINDOW_MS = 300_000
"""Window of the shares of rejected and duplicate messages."""
_MAPPED = ("mapped", "passed_over")
"""Totals of the other messages of a topic with a source, whose events are counted by topics of the contract."""
MIN_MESSAGES = 200
"""Minimum messages for a share: one bad message of three is no surge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSample:
    """A sample of the store's state."""

    now_ms: int
    """By the clock of Redis."""
    polled_ms: int
    """When Redis last responded."""
    clock: Clock
    as_of_ms: int
    partitions: Mapping[Partition, PartitionState]
    stale: tuple[Partition, ...] | None
    """Partitions without a recent heartbeat; None: workers could not write any, and readings that depend on them are
    unknown."""
    incomplete: Mapping[Partition, int]
    refuses: bool = False
    """Whether Redis responds and refuses writes."""
    totals: Mapping[str, int]
    """As named in `streams.store.keys`."""
    clocks: ClockOffsets = NO_CLOCK_OFFSETS


@dataclass(slots=True)
class RecentTotals:
    """Totals of the last minutes, to compute shares."""

    _past: deque[tuple[int, Mapping[str, int]]] = field(default_factory=deque)

    def take(self, at_ms: int, totals: Mapping[str, int]) -> None:
        """Record the totals at a moment."""
        if totals and (not self._past or at_ms - self._past[-1][0] >= 1000):
            self._past.append((at_ms, totals))
        while len(self._past) > 1 and at_ms - self._past[1][0] >= RATE_WINDOW_MS:
            self._past.popleft()

    def of(self, kind: str, topic: InputTopic) -> float | None:
        """Share of a topic's messages that were `rejected` or `duplicates`; None: too few messages."""
        if not self._past:
            return None
        first, last = self._past[0][1], self._past[-1][1]
        counts = {
            name: sum(last[key] - first.get(key, 0) for key in last if key.split(",")[:2] == [name, topic])
            for name in ("rejected", "duplicates", *(("events",) if isinstance(topic, Topic) else _MAPPED))
        }
        whole = sum(counts.values())
        return counts[kind] / whole if whole >= MIN_MESSAGES else None


def health_readings(sample: StoreSample, shares: RecentTotals) -> Iterator[HealthReading]:
    """All readings. An unknown reading is absent, or NaN if it may have been a breach."""
    yield HealthReading(HealthCheck.STORE_DOWN, float(sample.now_ms - sample.polled_ms > DOWN_AFTER_MS))
    yield HealthReading(HealthCheck.STORE_REFUSES, float(sample.refuses))

    def if_reported(value: float) -> float:
        return math.nan if sample.stale is None else value

    yield HealthReading(HealthCheck.STALE, if_reported(len(sample.stale or ())))
    others = sorted({partition.topic for partition in sample.partitions}.difference(EVENT_TOPICS))
    for topic in (*EVENT_TOPICS, *others):
        partitions = [state for partition, state in sample.partitions.items() if partition.topic == topic]
        labels = (("topic", str(topic)),)
        if partitions:
            yield HealthReading(HealthCheck.LAG, if_reported(sum(state.lag or 0 for state in partitions)), labels)
            if sample.clock is Clock.WALL:
                yield HealthReading(HealthCheck.LAG_AGE, if_reported(_lag_age_s(partitions, sample.now_ms)), labels)
        for name, kind in ((HealthCheck.REFUSED, "rejected"), (HealthCheck.REPEATED, "duplicates")):
            share = shares.of(kind, topic)
            if share is not None:
                yield HealthReading(name, share, labels)
    if sample.clock is Clock.WALL:
        yield HealthReading(HealthCheck.AS_OF_AGE, if_reported(max(0, sample.now_ms - sample.as_of_ms) / 1000))
    for (written_to, source), ahead_s in sorted(sample.clocks.sources.items()):
        yield HealthReading(HealthCheck.SOURCE_AHEAD, ahead_s, (("source", source), ("topic", written_to)))
    for worker, offset_s in sorted(sample.clocks.workers.items()):
        yield HealthReading(HealthCheck.WORKER_CLOCK, abs(offset_s), (("worker", worker),))
    for of_topic, count in sorted(Counter(str(partition.topic) for partition in sample.incomplete).items()):
        yield HealthReading(HealthCheck.INCOMPLETE, float(count), (("topic", of_topic),))


def _lag_age_s(partitions: Iterable[PartitionState], now_ms: int) -> float:
    """Age of the newest event of the partition that is furthest behind."""
    newest_times_ms = (state.newest_ms for state in partitions if state.lag and state.newest_ms is not None)
    return max((now_ms - newest_ms for newest_ms in newest_times_ms), default=0) / 1000
