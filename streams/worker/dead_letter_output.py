"""Writes the records that a worker cannot count to the dead-letter topic, before the position moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import structlog

from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.writing import DeadLetterWriter
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.faust_transport import RecordBatch
from consumers.topics import Partition

log = structlog.get_logger()

_STOP_WITHIN_S = 2.0


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
        """Disconnect, with or without an answer of the broker: batches with unconfirmed dead letters are read again."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._writer.stop(), _STOP_WITHIN_S)

    async def write(self, partition: Partition, batch: RecordBatch, rejected: Iterable[RejectedMessage]) -> None:
        """Write the dead letters of a batch and wait for all acknowledgements. A crash may repeat them, but loses
        none."""
        letters = [*self._of_records(partition, batch, rejected), *self._of_skipped(partition, batch)]
        if not letters:
            return
        async with self._lock:
            if not self._connected:
                await self._writer.start()
                self._connected = True
        await self._writer.write(letters)

    def _of_records(
        self, partition: Partition, batch: RecordBatch, rejected: Iterable[RejectedMessage]
    ) -> Iterator[DeadLetter]:
        at = self._now_ms()
        for refused in rejected:
            record = batch.records[refused.index]
            yield DeadLetter(
                partition.topic,
                partition.number,
                record.offset,
                record.key,
                record.value,
                refused.reason,
                refused.detail,
                at,
                record.timestamp,
                self._broker_topics.get(partition.topic, ""),
                record.headers,
            )

    def _of_skipped(self, partition: Partition, batch: RecordBatch) -> Iterator[DeadLetter]:
        at = self._now_ms()
        for skipped in batch.skipped:
            if skipped.reason is RejectionReason.UNREADABLE_BATCH:
                log.error(
                    "batch cannot be decoded; its records are lost and the history is incomplete",
                    partition=str(partition),
                    first_offset=skipped.first_offset,
                    last_offset=skipped.last_offset,
                    why=skipped.detail,
                )
            yield DeadLetter(
                partition.topic,
                partition.number,
                skipped.first_offset,
                skipped.key,
                skipped.value,
                skipped.reason,
                skipped.detail,
                at,
                skipped.timestamp,
                self._broker_topics.get(partition.topic, ""),
                skipped.headers,
                skipped.truncation,
                skipped.last_offset if skipped.reason is RejectionReason.UNREADABLE_BATCH else None,
            )
