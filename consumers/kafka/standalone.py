"""Consumers without a group, which read a topic or a partition once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.errors import SalepulseError
from consumers.kafka.bulk_fetch import CorruptBatchRetries, bulk_getmany, patch_memory_records
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import partition_count
from consumers.topics import Partition, Topic
from consumers.unpacking.record import Record

log = structlog.get_logger()

_QUIET_MS = 500
"""Pause without older records after which a topic is read to its end."""
_MOST_RECORDS = 10_000
_MOST_BYTES = 2**22
_SILENT_S = 30
"""Pause without records after which reading fails."""
_STOP_WITHIN_S = 5
_LOOK_EVERY_S = 0.05


@asynccontextmanager
async def standalone_consumer(kafka: KafkaTarget, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of committed records, from the beginning on. It joins no group and commits no offset."""
    consumer = AIOKafkaConsumer(
        **kafka_client_config(kafka).options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        **options,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await stop_consumer(consumer)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, for seconds at most and without an error: its broker may be unavailable."""
    with suppress(KafkaError, TimeoutError, OSError, asyncio.CancelledError):
        await asyncio.wait_for(consumer.stop(), _STOP_WITHIN_S)


async def read_to_end(kafka: KafkaTarget, topic: Topic) -> AsyncIterator[Record]:
    """Every record in the topic at the time of the call, in order within a partition.

    Raises SalepulseError without a broker, for a missing topic, and if the broker stops responding.
    """
    name = kafka_client_config(kafka).topics.on_broker(topic)
    async with kafka_errors(kafka):
        patch_memory_records()
        async with standalone_consumer(kafka, max_partition_fetch_bytes=_MOST_BYTES) as consumer:
            count = await partition_count(consumer._client, name, kafka)
            partitions = [TopicPartition(name, n) for n in range(count)]
            consumer.assign(partitions)
            corrupt_batch_retries = CorruptBatchRetries()
            ends = await consumer.end_offsets(partitions)
            began_ms, last_record_s = time.time() * 1000, time.monotonic()
            last_old_record_s = last_record_s  # time of the last record from before the call
            # The embedded broker reports the start of the last batch as the end, so read until no older record
            # arrives. Newer records are skipped, or a busy topic would never end.
            while True:
                batches = await bulk_getmany(
                    consumer, _MOST_RECORDS, _MOST_BYTES, corrupt_batch_retries, _QUIET_MS / 1000
                )
                for partition, chunk in batches.items():
                    last_record_s = time.monotonic()
                    has_old_records = not chunk.records
                    for skipped in chunk.skipped:
                        log.error(
                            "records were unreadable",
                            topic=name,
                            offset=skipped.first_offset,
                            last_offset=skipped.last_offset,
                            why=skipped.detail,
                        )
                    for record in chunk.records:
                        was_there = (record.timestamp or 0) <= began_ms
                        has_old_records = has_old_records or was_there
                        if record.offset < ends[partition] or was_there:
                            yield record
                    last_old_record_s = last_record_s if has_old_records else last_old_record_s
                if time.monotonic() - last_old_record_s >= _QUIET_MS / 1000 and await _reached(consumer, ends):
                    return
                if time.monotonic() - last_record_s > _SILENT_S:
                    raise SalepulseError(
                        f"{kafka} sent no records of topic {name} for {_SILENT_S} s, though more exist: "
                        "check the broker, then try again",
                        retriable=True,
                    )


async def _reached(consumer: Any, ends: dict[Any, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True


async def is_readable(
    kafka: KafkaTarget, partition: Partition, position: int | None = None, *, within_s: float = 5.0
) -> bool:
    """Whether another consumer gets records, or an empty response, from this position or the beginning."""
    tp = TopicPartition(kafka_client_config(kafka).topics.on_broker(partition.topic), partition.number)
    try:
        async with (
            asyncio.timeout(within_s),
            standalone_consumer(kafka, request_timeout_ms=round(within_s * 1000)) as consumer,
        ):
            consumer.assign([tp])
            if position is not None:
                consumer.seek(tp, position)
            # Set by the response to a fetch, even an empty one; its records are not decompressed.
            while not _is_answered(consumer, tp, position):
                await asyncio.sleep(_LOOK_EVERY_S)
            return True
    except (KafkaError, SalepulseError, TimeoutError, OSError):
        return False


def _is_answered(consumer: AIOKafkaConsumer, tp: TopicPartition, position: int | None) -> bool:
    """Whether a fetch was answered up to the end. A broker with a failed disk may report an end it cannot deliver."""
    end = consumer.highwater(tp)
    return end is not None and (position is None or end <= position or tp in consumer._fetcher._records)
