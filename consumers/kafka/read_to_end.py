"""Reads everything that a topic holds at one moment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.errors import SalepulseError
from consumers.kafka.bulk_fetch import CorruptBatchRetries, bulk_getmany, patch_memory_records
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import partition_count
from consumers.topics import Topic
from consumers.unpacking.record import Record

log = structlog.get_logger()

_QUIET_MS = 500
_MOST_RECORDS = 10_000
_MOST_BYTES = 2**22
_SILENT_S = 30


async def read_to_end(kafka: KafkaTarget, topic: Topic) -> AsyncIterator[Record]:
    """Every record in the topic at the time of the call, in order within a partition.

    Raises SalepulseError without a broker, for a missing topic, and if the broker stops responding.
    """
    name = kafka_client_config(kafka).topics.on_broker(topic)
    async with kafka_errors(kafka):
        consumer = AIOKafkaConsumer(
            **kafka_client_config(kafka).options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=2**22,
        )
        try:
            patch_memory_records()
            await consumer.start()
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
                for partition, taken in batches.items():
                    last_record_s = time.monotonic()
                    old = not taken.records
                    for lost in taken.skipped:
                        log.error(
                            "records were unreadable",
                            topic=name,
                            offset=lost.first_offset,
                            last_offset=lost.last_offset,
                            why=lost.detail,
                        )
                    for record in taken.records:
                        was_there = (record.timestamp or 0) <= began_ms
                        old = old or was_there
                        if record.offset < ends[partition] or was_there:
                            yield record
                    last_old_record_s = last_record_s if old else last_old_record_s
                if time.monotonic() - last_old_record_s >= _QUIET_MS / 1000 and await _reached(consumer, ends):
                    return
                if time.monotonic() - last_record_s > _SILENT_S:
                    raise SalepulseError(
                        f"{kafka} sent no records of topic {name} for {_SILENT_S} s, though more exist: "
                        "check the broker, then try again",
                        retriable=True,
                    )
        finally:
            await consumer.stop()


async def _reached(consumer: Any, ends: dict[Any, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
