"""Write recorded messages to Kafka again, as fast as possible or at the recorded pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from consumers.kafka.connection import KafkaTarget
from consumers.kafka.producer import EndOffsets, KeyedProducer, OutgoingMessage
from consumers.ndjson import find_recordings, read_merged
from consumers.topics import Topic

_TURN = 2_000
"""Maximum number of messages passed to the producer at a time."""
_PROGRESS_EVERY_S = 0.5
_TICK_S = 0.02
"""Minimum pause of a paced replay; all messages that fall due in it are sent together."""


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """Progress of a replay."""

    sent: int
    """Messages sent so far."""
    at_ms: int | None
    """The recorded time reached."""
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay; the broker has acknowledged every message."""

    messages: dict[Topic, int]
    ends: EndOffsets
    """(topic, partition) -> the offset after the last message written there."""
    elapsed_s: float


async def replay_files(
    paths: Iterable[Path],
    *,
    kafka: KafkaTarget,
    speed: float | None = None,
    on_progress: Callable[[ReplayProgress], None] | None = None,
) -> ReplayResult:
    """Write the recordings under the given paths (`consumers.ndjson`) to their topics.

    `speed`: factor on the recorded pace; None for as fast as the broker accepts. `on_progress` is called about twice a
    second and at the end. Raises SalepulseError; messages acknowledged before stay written, and sending them again
    counts no event twice while its id is remembered.
    """
    recordings = find_recordings(paths)
    pace = _ReplayClock(speed)
    messages: dict[Topic, int] = {}
    reported_s = time.monotonic()

    def report(at_ms: int | None) -> None:
        if on_progress:
            on_progress(ReplayProgress(sum(messages.values()), at_ms, pace.elapsed_s()))

    async with KeyedProducer(kafka) as producer:
        for topic in {recording.topic for recording in recordings}:
            await producer.partitions(topic)  # raises before anything is sent if the topic does not exist
        at_ms: int | None = None
        pending: list[OutgoingMessage] = []
        for line in read_merged(recordings):
            at_ms = line.at_ms if line.at_ms is not None else at_ms
            if len(pending) == _TURN or (pending and pace.wait_s(at_ms) > 0):
                await producer.put(pending)
                pending.clear()
                await pace.until(at_ms, producer)
                if time.monotonic() - reported_s >= _PROGRESS_EVERY_S:
                    reported_s = time.monotonic()
                    report(at_ms)
            pending.append(OutgoingMessage(line.topic, line.key, line.value))
            messages[line.topic] = messages.get(line.topic, 0) + 1
        await producer.put(pending)
        ends = await producer.flush()
    report(at_ms)
    return ReplayResult(messages, ends, pace.elapsed_s())


class _ReplayClock:
    """Maps recorded times to now, starting with the first time waited for."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._started = time.monotonic()
        self._origin: tuple[float, int] | None = None

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def wait_s(self, at_ms: int | None) -> float:
        """Seconds until this recorded time; 0 or less when it has passed."""
        if self._speed is None or at_ms is None:
            return 0
        if self._origin is None:
            self._origin = (time.monotonic(), at_ms)
        began, first_ms = self._origin
        return began + (at_ms - first_ms) / 1000 / self._speed - time.monotonic()

    async def until(self, at_ms: int | None, producer: KeyedProducer) -> None:
        """Yield to other tasks, and flush before waiting for this recorded time."""
        await asyncio.sleep(0)
        if self.wait_s(at_ms) > 0:
            await producer.flush()
        if (remaining_s := self.wait_s(at_ms)) > 0:
            await asyncio.sleep(max(remaining_s, _TICK_S))
