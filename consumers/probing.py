"""Whether a broker answers others: asked over connections of its own, apart from those of the consumer in doubt."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.errors import SalepulseError
from consumers.kafka import Where, kafka_at
from consumers.topics import Partition

_LOOK_EVERY_S = 0.05


async def can_be_read(kafka: Where, partition: Partition, *, within_s: float = 5.0) -> bool:
    """Whether a fetch from a partition is answered to somebody else. In no consumer group, and nothing is moved."""
    tp = TopicPartition(kafka_at(kafka).topics.on_broker(partition.topic), partition.number)
    consumer = AIOKafkaConsumer(
        **kafka_at(kafka).options(),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        request_timeout_ms=round(within_s * 1000),
    )
    try:
        async with asyncio.timeout(within_s):
            await consumer.start()
            consumer.assign([tp])
            # Set by the answer to a fetch, whether there are records or not; these are not unpacked.
            while consumer.highwater(tp) is None:
                await asyncio.sleep(_LOOK_EVERY_S)
            return True
    except (KafkaError, SalepulseError, TimeoutError, OSError):
        return False
    finally:
        with suppress(KafkaError, TimeoutError, OSError, asyncio.CancelledError):
            await asyncio.wait_for(consumer.stop(), within_s)
