"""What a worker asks of the consumer that Faust runs, in our own terms and never for longer than some seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.faust_transport import BatchApp
from consumers.kafka.topic_ids import TopicMetadata
from consumers.topics import Partition, Topic

T = TypeVar("T")

_PATIENCE_S = 5
_TOPICS_WITHIN_S = 10
"""This question is put once for all partitions, and waits behind what is fetched."""


class WorkerConsumer:
    """The partitions that are read: where reading stands, and what the broker last said of them.

    What asks the broker raises TimeoutError or aiokafka's KafkaError when it does not answer.
    """

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    def assigned(self) -> set[Partition]:
        """The partitions that are ours."""
        return {self.to_partition(tp) for tp in self._app.consumer.assignment()}

    @property
    def rebalancing(self) -> bool:
        """Whether the group is sharing partitions out anew."""
        return bool(self._app.rebalancing)

    def last_fetch_ms(self, partition: Partition) -> int | None:
        """When the broker last answered a fetch of an assigned partition, by the machine's clock; None: not yet."""
        answered: int | None = self._app.consumer.last_fetch_ms(self._tp(partition))
        return answered

    def known_end_offset(self, partition: Partition) -> int | None:
        """Offset after the last record, as a fetch was last told; None while none was answered."""
        end: int | None = self._app.consumer.highwater(self._tp(partition))
        return end

    def large_record_reads(self, partition: Partition) -> int:
        """Grows while a large record is passed over, which takes a while and moves nothing else."""
        return int(self._app.consumer.large_record_reads(self._tp(partition)))

    async def position(self, partition: Partition) -> int:
        """Offset of the record that is read next."""
        return int(await _soon(self._app.consumer.position(self._tp(partition))))

    async def beginning_offset(self, partition: Partition) -> int:
        """Offset of the oldest record that there is."""
        tp = self._tp(partition)
        return int((await _soon(self._app.consumer.earliest_offsets(tp)))[tp])

    async def end_offset(self, partition: Partition) -> int:
        """Offset after the last record, asked for now; the embedded broker names the start of the last batch."""
        tp = self._tp(partition)
        return int((await _soon(self._app.consumer.highwaters(tp)))[tp])

    async def fetch_topic_metadata(self, topics: Collection[Topic]) -> Mapping[Topic, TopicMetadata]:
        """Topics as the brokers have them now; without those that nothing is known of at the moment."""
        names = self._app.topic_names
        asked = self._app.consumer.fetch_topic_metadata([names.on_broker(topic) for topic in topics])
        known = await asyncio.wait_for(asked, _TOPICS_WITHIN_S)
        return {names.topic(name): topic for name, topic in known.items()}

    async def seek(self, partition: Partition, position: int) -> None:
        """Read on from there. Batches that were fetched before may still come."""
        await _soon(self._app.consumer.seek_wait({self._tp(partition): position}))

    def pause(self, partition: Partition) -> None:
        """Hand out no more of a partition; what was handed out before may still come. A rebalance ends it."""
        self._app.consumer.pause_partitions({self._tp(partition)})

    def resume(self, partition: Partition) -> None:
        """Hand out a partition again, from where reading stands."""
        self._app.consumer.resume_partitions({self._tp(partition)})

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell Kafka up to where is counted. It is advice, for tools that watch lag; whether it arrives is not said."""
        await self._app.consumer._commit({self._tp(partition): position for partition, position in positions.items()})

    def to_partition(self, tp: TP) -> Partition:
        """The same in our terms."""
        return Partition(self._app.topic_names.topic(tp.topic), tp.partition)

    def _tp(self, partition: Partition) -> TP:
        return TP(self._app.topic_names.on_broker(partition.topic), partition.number)


async def _soon(asked: Awaitable[T]) -> T:
    return await asyncio.wait_for(asked, _PATIENCE_S)


_LOOK_EVERY_S = 0.05


async def has_leader(kafka: KafkaTarget, partition: Partition, *, within_s: float = 5.0) -> bool:
    """Whether the leader of a partition answers. Takes the right to describe the topic, and none to read it."""
    tp = TopicPartition(kafka_client_config(kafka).topics.on_broker(partition.topic), partition.number)
    try:
        async with asyncio.timeout(within_s), _consumer(kafka, within_s) as consumer:
            return tp in await consumer.end_offsets([tp])
    except (KafkaError, SalepulseError, TimeoutError, OSError):
        return False


async def is_readable(
    kafka: KafkaTarget, partition: Partition, position: int | None = None, *, within_s: float = 5.0
) -> bool:
    """Whether somebody else is given the records from a position on, or from the first on, or told that there are none.

    In no consumer group, and nothing is moved.
    """
    tp = TopicPartition(kafka_client_config(kafka).topics.on_broker(partition.topic), partition.number)
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
async def _consumer(kafka: KafkaTarget, within_s: float) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka_client_config(kafka).options(),
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
