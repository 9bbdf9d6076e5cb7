"""Writes dead letters; each is acknowledged before the offset of its original is committed.

A worker that fails between the two writes a dead letter again; readers deduplicate by `DeadLetter.identity`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from consumers.dead_letters.letters import DeadLetter, to_record, truncated
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import partition_count
from consumers.kafka.producer import MAX_REQUEST_BYTES
from consumers.topics import Topic
from consumers.unpacking.record import TRUNCATION_BYTES

log = structlog.get_logger()

_BATCH_BYTES = 2**18
_TRUNCATION_SIZES = (TRUNCATION_BYTES, 2**10, 0)
"""Sizes to which a letter is truncated, in turn, until its topic accepts it."""
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class DeadLetterWriter:
    """Writes dead letters. Use as `async with`, or `start` and `stop`."""

    def __init__(self, kafka: KafkaTarget) -> None:
        self._kafka = kafka
        self._topic = kafka_client_config(kafka).topics.on_broker(Topic.DEAD_LETTERS)
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises SalepulseError without a broker, or for a missing topic."""
        async with kafka_errors(self._kafka):
            self._producer = dead_letter_producer(self._kafka)
            try:
                await self._producer.start()
                # Kafka may auto-create the topic on write, with a limit that is too small.
                await partition_count(self._producer.client, self._topic, self._kafka)
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write all letters; returns when the broker has acknowledged each.

        Raises SalepulseError otherwise: some may be written, and all must be written again.
        """
        async with kafka_errors(self._kafka):
            sent, too_large = [], []
            for letter in letters:
                try:
                    sent.append((letter, await self._send(letter)))
                except _TOO_LARGE:  # for any topic
                    too_large.append(letter)
            responses = await asyncio.gather(*(response for _, response in sent), return_exceptions=True)
            for (letter, _), response in zip(sent, responses, strict=True):
                if isinstance(response, _TOO_LARGE):
                    too_large.append(letter)
                elif isinstance(response, BaseException):
                    raise response
            for letter in too_large:
                await self._write_alone(letter)

    async def _write_alone(self, letter: DeadLetter) -> None:
        """Write a letter that the topic refused: whole if only its batch was too large, else truncated."""
        candidates = [truncated(letter, size) for size in _TRUNCATION_SIZES]
        if len(letter.value or b"") < _BATCH_BYTES:
            candidates.insert(0, letter)
        for candidate in candidates:
            try:
                await (await self._send(candidate))
            except _TOO_LARGE:
                if candidate is candidates[-1]:
                    raise
            else:
                if candidate is not letter:
                    log.warning("dead letter was truncated", id=letter.id, bytes=len(letter.value or b""))
                return

    async def _send(self, letter: DeadLetter) -> asyncio.Future[Any]:
        message = to_record(letter)
        return await self._producer.send(self._topic, message.value, message.key, headers=message.headers)  # type: ignore[no-any-return]


def dead_letter_producer(kafka: KafkaTarget) -> Any:
    """An aiokafka producer for messages of any size, with acks=all."""
    return AIOKafkaProducer(
        **kafka_client_config(kafka).options(),
        acks="all",
        max_request_size=MAX_REQUEST_BYTES,
        max_batch_size=_BATCH_BYTES,
    )
