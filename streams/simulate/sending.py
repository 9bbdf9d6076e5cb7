"""Send a simulated sale to Kafka at a given speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from consumers.kafka.producer import EndOffsets, KeyedProducer, OutgoingMessage
from consumers.topics import Topic
from streams.simulate import Batch, Message

_TURN = 2_000
"""Messages per turn of the event loop."""


@dataclass(frozen=True, slots=True)
class SendingPace:
    """Schedule of a simulated run."""

    start_ms: int
    """Start of the run, epoch ms."""
    speed: float | None
    """Speed-up; None: as fast as possible."""
    began: float = field(default_factory=time.monotonic)
    """Monotonic time of the start."""

    @classmethod
    def real_time(cls, start_ms: int) -> SendingPace:
        """Send at the event time on the machine's clock, the past at once."""
        return cls(start_ms, 1.0, time.monotonic() - (time.time() - start_ms / 1000))

    def wait_s(self, at_ms: int) -> float:
        """Seconds until `at_ms` is due; 0 or less if it is due."""
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
    """Send batches when they are due, until the last or `stop`; return the end offsets.

    Waits for the broker to acknowledge all messages; raises SalepulseError if it does not.
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
    """Wait for `stop` with a time-out; returns whether it is set."""
    if within_s <= 0:
        return stop.is_set()
    try:
        await asyncio.wait_for(stop.wait(), within_s)
    except TimeoutError:
        return False
    return True
