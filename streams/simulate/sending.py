"""Sending a simulated sale to Kafka at its own pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from consumers.kafka.producer import EndOffsets, KeyedProducer, OutgoingMessage
from consumers.topics import Topic
from streams.simulate import Batch, Message

_TURN = 2_000
"""Messages after which other tasks get their turn."""


@dataclass(frozen=True, slots=True)
class SendingPace:
    """When a moment of the simulated run is due."""

    start_ms: int
    """The run's start, epoch ms."""
    speed: float | None
    """How many times faster than life; None: as fast as possible."""
    began: float = field(default_factory=time.monotonic)
    """When the start was due, on the monotonic clock."""

    @classmethod
    def on_the_clock(cls, start_ms: int) -> SendingPace:
        """Every moment is due when the machine's clock shows it; what is past already, at once."""
        return cls(start_ms, 1.0, time.monotonic() - (time.time() - start_ms / 1000))

    def wait_s(self, at_ms: int) -> float:
        """Seconds until a moment is due; 0 or less when it is."""
        if self.speed is None:
            return 0
        return self.began + (at_ms - self.start_ms) / 1000 / self.speed - time.monotonic()


async def send_batches(
    producer: KeyedProducer,
    batches: Iterator[Batch],
    pace: SendingPace,
    *,
    stop: asyncio.Event,
    on_sent: Callable[[Batch], None],
) -> EndOffsets:
    """Send batch after batch when it is due, to the last one or until `stop`; return where the messages ended.

    All that was sent is confirmed by the broker then. Raises SalepulseError when it is not.
    """
    while not stop.is_set():
        batch = await asyncio.to_thread(next, batches, None)
        if batch is None or await _stopped(stop, pace.wait_s(batch.arrival_ms)):
            break
        await _put(producer, batch.messages)
        on_sent(batch)
        if pace.speed is not None:
            await producer.flush()
    return await producer.flush()


async def _put(producer: KeyedProducer, messages: Sequence[Message]) -> None:
    for i in range(0, len(messages), _TURN):
        await producer.put(
            OutgoingMessage(Topic(topic), key, value) for topic, key, _, value in messages[i : i + _TURN]
        )
        await asyncio.sleep(0)


async def _stopped(stop: asyncio.Event, within_s: float) -> bool:
    """Wait for so long, or until the stop; whether it was the stop."""
    if within_s <= 0:
        return stop.is_set()
    try:
        await asyncio.wait_for(stop.wait(), within_s)
    except TimeoutError:
        return False
    return True
