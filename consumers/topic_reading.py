"""Reading all that a topic held at one moment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.errors import SalepulseError
from consumers.kafka import Where, kafka_at
from consumers.kafka_errors import kafka_errors
from consumers.metadata import partition_count
from consumers.topics import Topic

_QUIET_MS = 500
_SILENT_S = 30


async def read_to_end(kafka: Where, topic: Topic) -> AsyncIterator[Any]:
    """Every record that the topic held when this was called, in order within a partition.

    Raises SalepulseError without a broker, where the topic is missing, or if the broker goes silent.
    """
    name = kafka_at(kafka).topics.on_broker(topic)
    async with kafka_errors(kafka):
        consumer = AIOKafkaConsumer(
            **kafka_at(kafka).options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=2**22,
        )
        try:
            await consumer.start()
            count = await partition_count(consumer._client, name, kafka)
            partitions = [TopicPartition(name, n) for n in range(count)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            began_ms, heard = time.time() * 1000, time.monotonic()
            # The embedded broker names the start of the last batch as the end, so go on until nothing more comes;
            # and leave out what was written since, or reading a busy topic would never be done.
            while True:
                batches = await consumer.getmany(timeout_ms=_QUIET_MS)
                for records in batches.values():
                    heard = time.monotonic()
                    for record in records:
                        if record.offset < ends[TopicPartition(name, record.partition)] or (
                            record.timestamp <= began_ms
                        ):
                            yield record
                if not _anything_old(batches, began_ms) and await _reached(consumer, ends):
                    return
                if time.monotonic() - heard > _SILENT_S:
                    raise SalepulseError(
                        f"{kafka} gave nothing of topic {name} for {_SILENT_S} s, though there is more: "
                        "see whether the broker is well, then try again",
                        retriable=True,
                    )
        finally:
            await consumer.stop()


def _anything_old(batches: dict[Any, list[Any]], began_ms: float) -> bool:
    return any(record.timestamp <= began_ms for records in batches.values() for record in records)


async def _reached(consumer: Any, ends: dict[Any, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
