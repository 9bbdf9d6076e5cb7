"""Reads and replays dead letters.

Replays are stateless: the dead letters stay, and `event_id` prevents double counting. To exclude handled letters,
filter by time (`since_ms`) or id.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import InvalidTimestampError

from consumers.dead_letters.letters import (
    REPLAYED_HEADER,
    TIMESTAMP_HEADER,
    DeadLetter,
    DeadLetterFilter,
    from_record,
)
from consumers.dead_letters.writing import dead_letter_producer
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import fetch_topic_settings, partition_count
from consumers.kafka.standalone import read_to_end
from consumers.topics import Topic

_REPLAY_TURN_BYTES = 8 * 2**20
"""Bytes sent before their acknowledgement is awaited."""
_READ_WITHIN_MS = 3_600_000
"""Assumed maximum time until workers read a replayed message."""
_ALL = DeadLetterFilter()


async def read_dead_letters(kafka: KafkaTarget, selection: DeadLetterFilter = _ALL) -> AsyncIterator[DeadLetter]:
    """The dead letters at the time of the call, deduplicated, oldest first within a key.

    Raises SalepulseError without a broker, for a missing topic, and if the broker stops responding.
    """
    seen: set[tuple[str, int, int, int | None]] = set()
    async for record in read_to_end(kafka, Topic.DEAD_LETTERS):
        letter = from_record(record)
        if letter is not None and letter.identity not in seen:
            seen.add(letter.identity)
            if selection.matches(letter):
                yield letter


@dataclass(frozen=True, slots=True)
class DeadLetterReplayResult:
    """The result of a replay."""

    sent: Mapping[str, int]
    """topic -> number of messages sent."""
    withheld: Sequence[str] = ()
    """Ids of dead letters that do not hold the whole message."""


async def replay_dead_letters(kafka: KafkaTarget, selection: DeadLetterFilter) -> DeadLetterReplayResult:
    """Send the selected dead letters to their topics with the original partition, key, value, headers and timestamp.

    A header names the dead letter. Topics are resolved by their current names on the broker. Returns when the broker
    has acknowledged all messages. Raises SalepulseError if the broker or a topic is unavailable, or refuses a message;
    messages acknowledged before stay sent.
    """
    sent: Counter[str] = Counter()
    withheld = []
    async with kafka_errors(kafka), _ReplayProducer(kafka) as sender:
        async for letter in read_dead_letters(kafka, selection):
            if not letter.is_replayable:
                withheld.append(letter.id)
                continue
            await sender.send(letter)
            sent[letter.topic] += 1
            if sender.unconfirmed_bytes > _REPLAY_TURN_BYTES:
                await sender.confirm()
        await sender.confirm()
    return DeadLetterReplayResult(sent, withheld)


class _ReplayProducer:
    """Sends dead letters to their topics."""

    def __init__(self, kafka: KafkaTarget) -> None:
        self._kafka = kafka
        self._names = kafka_client_config(kafka).topics
        self._producer = dead_letter_producer(kafka)
        self._admin = AIOKafkaAdminClient(**kafka_client_config(kafka).options())
        self._retention_ms: dict[str, int | None] = {}  # by topic; None: unlimited or unknown
        self._partitions: dict[str, int] = {}  # by topic
        self._unconfirmed: list[tuple[DeadLetter, asyncio.Future[Any]]] = []
        self.unconfirmed_bytes = 0
        """Bytes not yet acknowledged."""

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
            await self._admin.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._admin.close()

    async def send(self, letter: DeadLetter) -> None:
        self._unconfirmed.append((letter, await self._send(letter, letter.timestamp_ms)))
        self.unconfirmed_bytes += len(letter.value or b"") + 1_000

    async def confirm(self) -> None:
        """Wait for all acknowledgements. Raises the first failure."""
        unconfirmed, self._unconfirmed, self.unconfirmed_bytes = self._unconfirmed, [], 0
        responses = await asyncio.gather(*(response for _, response in unconfirmed), return_exceptions=True)
        for (letter, _), response in zip(unconfirmed, responses, strict=True):
            # too far from the broker's clock, or in a batch with such a message
            if isinstance(response, InvalidTimestampError):
                await self._send_alone(letter)
            elif isinstance(response, BaseException):
                raise response

    async def _send_alone(self, letter: DeadLetter) -> None:
        try:
            await (await self._send(letter, letter.timestamp_ms))
        except InvalidTimestampError:
            await (await self._send(letter, None))

    async def _send(self, letter: DeadLetter, timestamp_ms: int | None) -> asyncio.Future[Any]:
        topic = self._names.on_broker_by_name(letter.topic)
        if topic not in self._retention_ms:
            self._partitions[topic] = await partition_count(self._producer.client, topic, self._kafka)
            self._retention_ms[topic] = _retention_ms(await fetch_topic_settings(self._admin, topic))
        headers = [header for header in letter.headers if header[0] != REPLAYED_HEADER]
        headers.append((REPLAYED_HEADER, letter.id.encode()))
        if timestamp_ms is not None and _expired(timestamp_ms, self._retention_ms[topic]):
            timestamp_ms = None  # the broker would delete it at once
        has_timestamp_header = any(name == TIMESTAMP_HEADER for name, _ in headers)  # set by an earlier replay
        if timestamp_ms is None and letter.timestamp_ms is not None and not has_timestamp_header:
            headers.append((TIMESTAMP_HEADER, str(letter.timestamp_ms).encode()))
        # Workers deduplicate within a partition, so each message returns to its own.
        partition = letter.partition if letter.partition < self._partitions[topic] else None
        if letter.key is None and letter.value is None:
            return await self._send_nothing(topic, partition or 0, headers, timestamp_ms)
        response: asyncio.Future[Any] = await self._producer.send(
            topic, letter.value, letter.key, partition, headers=headers, timestamp_ms=timestamp_ms
        )
        return response

    async def _send_nothing(
        self, topic: str, partition: int, headers: Sequence[tuple[str, bytes | None]], timestamp_ms: int | None
    ) -> asyncio.Future[Any]:
        """Send a message without key and value, which the client supports only as a batch."""
        batch = self._producer.create_batch()
        at_ms = round(time.time() * 1000) if timestamp_ms is None else timestamp_ms
        batch.append(timestamp=at_ms, key=None, value=None, headers=headers)
        response: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
        return response


def _retention_ms(settings: Mapping[str, tuple[str, int]] | None) -> int | None:
    text, _ = (settings or {}).get("retention.ms", ("", 0))
    return int(text) if text.isdecimal() else None


def _expired(timestamp_ms: int, retention_ms: int | None) -> bool:
    """Whether a topic with this retention may delete a message of this time before it is read."""
    if retention_ms is None:
        return False
    return timestamp_ms < time.time() * 1000 - retention_ms + min(_READ_WITHIN_MS, retention_ms / 2)
