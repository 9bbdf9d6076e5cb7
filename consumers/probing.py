"""Whether a broker answers, or gives records to others: by connections of its own, apart from those in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.errors import SalepulseError
from consumers.kafka import Where, kafka_at
from consumers.topics import Partition

_LOOK_EVERY_S = 0.05


async def is_led(kafka: Where, partition: Partition, *, within_s: float = 5.0) -> bool:
    """Whether the leader of a partition answers. Takes the right to describe the topic, and none to read it."""
    tp = TopicPartition(kafka_at(kafka).topics.on_broker(partition.topic), partition.number)
    try:
        async with asyncio.timeout(within_s), _consumer(kafka, within_s) as consumer:
            return tp in await consumer.end_offsets([tp])
    except (KafkaError, SalepulseError, TimeoutError, OSError):
        return False


async def can_be_read(
    kafka: Where, partition: Partition, position: int | None = None, *, within_s: float = 5.0
) -> bool:
    """Whether somebody else is given the records from a position on, or from the first on, or told that there are none.

    In no consumer group, and nothing is moved.
    """
    tp = TopicPartition(kafka_at(kafka).topics.on_broker(partition.topic), partition.number)
    try:
        async with asyncio.timeout(within_s), _consumer(kafka, within_s) as consumer:
            consumer.assign([tp])
            if position is not None:
                consumer.seek(tp, position)
            # Set by the answer to a fetch, whether there are records or not; these are not unpacked.
            while not _is_answered(consumer, tp, position):
                await asyncio.sleep(_LOOK_EVERY_S)
            return True
    except (KafkaError, SalepulseError, TimeoutError, OSError):
        return False


@asynccontextmanager
async def _consumer(kafka: Where, within_s: float) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka_at(kafka).options(),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        request_timeout_ms=round(within_s * 1000),
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        with suppress(KafkaError, TimeoutError, OSError, asyncio.CancelledError):
            await asyncio.wait_for(consumer.stop(), within_s)


def _is_answered(consumer: AIOKafkaConsumer, tp: TopicPartition, position: int | None) -> bool:
    """A broker that cannot read its disk any more may answer, with an end that is beyond what it gives."""
    end = consumer.highwater(tp)
    return end is not None and (position is None or end <= position or tp in consumer._fetcher._records)
