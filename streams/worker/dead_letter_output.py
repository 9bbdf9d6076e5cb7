"""Writes the records that a worker cannot count to the dead-letter topic, before the position moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import structlog

from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.writing import DeadLetterWriter
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Partition
from consumers.unpacking.record import Record, SkippedRecords

log = structlog.get_logger()

_STOP_WITHIN_S = 2.0
"""Time-out of disconnecting."""


class DeadLetterOutput:
    """Writes dead letters; connects on the first one."""

    def __init__(self, kafka: KafkaTarget, *, now_ms: Callable[[], int]) -> None:
        """`now_ms`: the reference clock that all processes share."""
        self._now_ms = now_ms
        self._writer = DeadLetterWriter(kafka)
        self._broker_topics = kafka_client_config(kafka).topics.renamed_on_broker
        self._lock = asyncio.Lock()
        self._connected = False

    async def stop(self) -> None:
        """Disconnect, even if the broker does not answer: batches with unacknowledged dead letters are read again."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writer.stop(), _STOP_WITHIN_S)

    async def write(self, partition: Partition, batch: RecordBatch, rejected: Iterable[RejectedMessage]) -> None:
        """Write the dead letters of a batch and await all acknowledgements. A crash may repeat dead letters, never
        lose them."""
        at_ms = self._now_ms()
        letters = [self._letter(partition, batch.records[message.index], message, at_ms) for message in rejected]
        letters += [self._letter_of_skipped(partition, skipped, at_ms) for skipped in batch.skipped]
        if not letters:
            return
        async with self._lock:
            if not self._connected:
                await self._writer.start()
                self._connected = True
        await self._writer.write(letters)

    def _letter(
        self,
        partition: Partition,
        record: Record | SkippedRecords,
        rejection: RejectedMessage | SkippedRecords,
        at_ms: int,
    ) -> DeadLetter:
        return DeadLetter(
            partition.topic,
            partition.number,
            record.first_offset if isinstance(record, SkippedRecords) else record.offset,
            record.key,
            record.value,
            rejection.reason,
            rejection.detail,
            at_ms,
            record.timestamp,
            self._broker_topics.get(partition.topic, ""),
            record.headers,
        )

    def _letter_of_skipped(self, partition: Partition, skipped: SkippedRecords, at_ms: int) -> DeadLetter:
        letter = replace(self._letter(partition, skipped, skipped, at_ms), truncation=skipped.truncation)
        if skipped.reason is not RejectionReason.UNREADABLE_BATCH:
            return letter
        log.error(
            "batch cannot be decoded; its records are lost and the history is incomplete",
            partition=str(partition),
            first_offset=skipped.first_offset,
            last_offset=skipped.last_offset,
            why=skipped.detail,
        )
        return replace(letter, last_offset=skipped.last_offset)
