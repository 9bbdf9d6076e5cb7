"""Rehearse messages: count them as workers do, and read them through the view."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from alerts.detection.inputs import DetectionInputs
from alerts.detection.panes import CellPanes
from alerts.detection.series import WHOLE_SHOP
from alerts.rehearsal.memory_store import MemoryStore
from alerts.rehearsal.sources import Arrival
from alerts.rules.rule import Rules
from alerts.viewing.health_readings import RecentTotals, StoreSample, health_readings
from alerts.viewing.horizon import continuous_topics, horizon
from alerts.viewing.snapshots import InputReader
from consumers.settings import Clock
from consumers.topics import Topic
from streams.model.windows import Span
from streams.panes.counters import COUNTER_IDS
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.view.query import NotReadyError
from streams.view.rolling import RollingView

DRAWN = ("product_views", "orders_created")
MINUTE_S = 60


@dataclass(slots=True)
class SaleTimeline:
    """Counters of the whole shop by minute, independent of the evaluation interval."""

    by_minute: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in DRAWN})
    """# counter: {minute since the epoch: count}; minutes without events are absent"""
    minutes: range = range(0)
    """The observed minutes, since the epoch."""

    def take(self, panes: CellPanes) -> None:
        """Add a range that follows the previous ones."""
        if WHOLE_SHOP not in panes.labels or panes.end_s <= panes.start_s:
            return
        first = self.minutes.start if self.minutes else panes.start_s // MINUTE_S
        self.minutes = range(first, -(-panes.end_s // MINUTE_S))
        cells = panes.cells.between(panes.start_s, panes.end_s).of_row(panes.labels.index(WHOLE_SHOP)).coarsen(MINUTE_S)
        for name, counts in self.by_minute.items():
            of_counter = cells.counters == COUNTER_IDS[name]
            minutes, amounts = (cells.panes[of_counter] // MINUTE_S).tolist(), cells.amounts[of_counter].tolist()
            counts.update(dict(zip(minutes, amounts, strict=True)))

    def step(self, most: int) -> int:
        """Minutes per point, for at most this many points."""
        return max(1, -(-len(self.minutes) // most))

    def points(self, name: str, step: int) -> list[tuple[float, float]]:
        """(middle in minutes since the epoch, average per minute) of each `step` minutes."""
        counts = self.by_minute[name]
        parts = (self.minutes[start : start + step] for start in range(0, len(self.minutes), step))
        return [((part.start + part.stop) / 2, sum(counts[minute] for minute in part) / len(part)) for part in parts]


COUNT_STEP_MS = 600_000
"""Step in which messages are counted before the first evaluation."""


class Rehearsal:
    """One sale against one set of rules. Iterate over `snapshots` once; `course` is complete then."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        *,
        every_s: float,
        until_ms: int | None = None,
        from_ms: int = 0,
    ) -> None:
        """Messages before `from_ms` are counted and not evaluated."""
        self.course = SaleTimeline()
        self._settings = settings.model_copy(update={"clock": Clock.WALL, "retain": "all"})
        self._rules = rules
        self._every_ms = round(every_s * 1000)
        self._until_ms, self._from_ms = until_ms, from_ms
        self._now_ms = 0
        self._snapshots = InputReader(self._settings, clock=lambda: self._now_ms / 1000)
        self._store = MemoryStore(self._settings)
        self._view = RollingView(self._store, RowIndex(), self._settings)
        self._shares = RecentTotals()
        self._until_s = 0
        """End of the seconds already read."""

    def snapshots(self, messages: Iterable[Arrival]) -> Iterator[DetectionInputs]:
        """The inputs as seen live, one every few seconds."""
        with asyncio.Runner() as runner:
            waiting = iter(messages)
            first = next(waiting, None)
            arrived: dict[Topic, list[Arrival]] = defaultdict(list)
            while first is not None and (first.at_ms == 0 or first.topic is Topic.PROMOTIONS):
                self._store_promotion(first)
                first = next(waiting, None)
            runner.run(self._view.poll(0))
            if first is None:
                return
            self._now_ms = first.at_ms - first.at_ms % 1000
            self._until_s = self._now_ms // 1000
            message: Arrival | None = first
            while message is not None and (self._until_ms is None or self._now_ms < self._until_ms):
                ahead_ms = self._from_ms - self._now_ms
                self._now_ms += self._every_ms if ahead_ms <= 0 else min(ahead_ms, COUNT_STEP_MS)
                while message is not None and message.at_ms < self._now_ms:
                    if message.topic is Topic.PROMOTIONS:
                        self._store_promotion(message)
                    else:
                        arrived[message.topic].append(message)
                    message = next(waiting, None)
                snapshot = runner.run(self._look(arrived))
                arrived.clear()
                if snapshot is not None:
                    yield snapshot

    def _store_promotion(self, message: Arrival) -> None:
        if message.topic is Topic.PROMOTIONS:
            self._store.announce(message.value)

    async def _look(self, arrived: dict[Topic, list[Arrival]]) -> DetectionInputs | None:
        now_ms = self._now_ms
        for topic, messages in arrived.items():
            self._store.count(topic, [message.value for message in messages], messages[-1].at_ms)
        self._store.passed(now_ms, self._until_s)
        await self._view.poll(now_ms)
        if now_ms < self._from_ms:
            self._until_s = now_ms // 1000
            return None
        seen = horizon(self._view.state.existing_partitions, now_ms, self._settings, continuous_topics(self._rules))
        if seen is None:
            return None
        span = Span(self._until_s, max(self._until_s, seen.settled_s))
        panes = await self._snapshots.new_seconds(self._view, self._rules, span)
        self._until_s = panes.end_s
        self.course.take(panes)
        totals = await self._store.totals()
        self._shares.take(now_ms, totals)
        readings = health_readings(
            StoreSample(
                now_ms=now_ms,
                polled_ms=now_ms,
                clock=Clock.EVENT,  # a recording has no lag
                as_of_ms=seen.as_of_ms,
                partitions=self._view.state.partitions,
                stale=(),
                incomplete={},
                totals=totals,
            ),
            self._shares,
        )
        try:
            return await self._snapshots.take(self._view, now_ms, self._rules, panes, seen, list(readings), {})
        except NotReadyError:
            return None
