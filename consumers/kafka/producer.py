"""A batching producer that keeps order within a key and returns end offsets.

Collecting messages into one large record batch per partition is several times faster than one `send` per message. The
client resends a batch whose response was lost, so a message may be written twice; readers deduplicate by `event_id`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors, to_user_error
from consumers.kafka.metadata import partition_count
from consumers.topics import InputTopic

MAX_REQUEST_BYTES = 17 * 2**20
"""More than any topic accepts, so that the topic's own limit applies."""
_BATCH_BYTES = 256 * 2**10
_TURN = 2_000
"""Messages that `send_all` adds before it yields to other tasks."""

EndOffsets = dict[tuple[str, int], int]
"""(topic, partition) -> the offset after the last message written there."""


@lru_cache(maxsize=2**17)
def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class OutgoingMessage(NamedTuple):
    """A message to write. Key or value must be set."""

    topic: InputTopic
    key: bytes | None
    value: bytes | None


class KeyedProducer:
    """Writes messages in batches. Use as `async with`; leaving the block without an error flushes.

    A batch is sent when it is full, at the latest by `flush`. The next call raises a failed batch as a SalepulseError.
    """

    def __init__(self, kafka: KafkaTarget) -> None:
        self._kafka = kafka
        self._names = kafka_client_config(kafka).topics
        self._batches: dict[tuple[InputTopic, int], Any] = {}  # batches not sent yet
        self._partitions: dict[InputTopic, int] = {}  # partitions per topic
        self._unanswered: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._unkeyed = itertools.count()
        self.ends: EndOffsets = {}
        """End offsets of acknowledged messages."""

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **kafka_client_config(self._kafka).options(),
            acks="all",
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        async with kafka_errors(self._kafka):
            try:
                await self._producer.start()
            except BaseException:
                await self._producer.stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            for task in self._unanswered:
                task.cancel()
            await self._producer.stop()

    async def partitions(self, topic: InputTopic) -> int:
        """The number of partitions of a topic. Raises SalepulseError if it does not exist."""
        if topic not in self._partitions:
            async with kafka_errors(self._kafka):
                self._partitions[topic] = await partition_count(
                    self._producer.client, self._names.on_broker(topic), self._kafka
                )
        return self._partitions[topic]

    async def put(self, messages: Iterable[OutgoingMessage]) -> None:
        """Add messages; waits only while the broker is behind. Raises SalepulseError if a batch failed."""
        now_ms = int(time.time() * 1000)
        for topic, key, value in messages:
            count = self._partitions.get(topic) or await self.partitions(topic)
            # Without a key, partitions alternate.
            partition = next(self._unkeyed) % count if key is None else partition_for_key(key, count)
            batch = self._batches.get((topic, partition))
            if batch is None or batch.append(key=key, value=value, timestamp=now_ms) is None:
                if batch is not None:
                    await self._send(topic, partition, batch)
                batch = self._batches[topic, partition] = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=now_ms)
        self._raise_failure()

    async def flush(self) -> EndOffsets:
        """Send all pending batches, wait for their acknowledgement and return `ends`.

        Raises SalepulseError if a batch failed.
        """
        for (topic, partition), batch in list(self._batches.items()):
            await self._send(topic, partition, batch)
        while self._unanswered:
            await asyncio.wait(self._unanswered)
            self._raise_failure()
        return self.ends

    async def _send(self, topic: InputTopic, partition: int, batch: Any) -> None:
        self._raise_failure()
        self._batches.pop((topic, partition), None)
        async with kafka_errors(self._kafka):
            # Waits for the partition's previous batch, which bounds memory and keeps order.
            response = await self._producer.send_batch(batch, self._names.on_broker(topic), partition=partition)
        task = asyncio.ensure_future(self._confirm(topic, partition, batch.record_count(), response))
        self._unanswered.add(task)
        task.add_done_callback(self._unanswered.discard)

    async def _confirm(self, topic: InputTopic, partition: int, count: int, response: asyncio.Future[Any]) -> None:
        try:
            metadata = await response
        except Exception as error:
            self._failure = self._failure or error
            return
        partition_key = (str(topic), partition)
        self.ends[partition_key] = max(self.ends.get(partition_key, 0), metadata.offset + count)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure, (KafkaError, OSError)):
                raise to_user_error(self._failure, self._kafka) from self._failure
            raise self._failure


async def send_all(kafka: KafkaTarget, messages: Iterable[OutgoingMessage]) -> EndOffsets:
    """Write all messages in order within a key; return the end offsets when all are acknowledged.

    Raises SalepulseError if the broker cannot be reached, a topic is missing or a message is refused; messages
    acknowledged before stay written.
    """
    remaining = iter(messages)
    async with KeyedProducer(kafka) as producer:
        while turn := list(itertools.islice(remaining, _TURN)):
            await producer.put(turn)
            await asyncio.sleep(0)
        return await producer.flush()
