"""The worker's view of Faust's consumer: domain types in place of Kafka's, and a time limit on every request."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from faust.types import TP

from consumers.kafka.faust_transport import BatchApp
from consumers.kafka.metadata import TopicMetadata
from consumers.topics import InputTopic, Partition

_PATIENCE_S = 5
_TOPICS_WITHIN_S = 10
"""One request covers all partitions and queues behind fetches."""


class WorkerConsumer:
    """The assigned partitions: positions, and the broker's last responses.

    Methods that send requests raise TimeoutError, or aiokafka's KafkaError, if the broker does not respond.
    """

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    def assigned(self) -> set[Partition]:
        """The assigned partitions."""
        return {self.to_partition(tp) for tp in self._app.consumer.assignment()}

    @property
    def rebalancing(self) -> bool:
        """Whether the group is rebalancing."""
        return bool(self._app.rebalancing)

    def last_fetch_ms(self, partition: Partition) -> int | None:
        """When the broker last responded to a fetch of this partition, by this machine's clock; None if never."""
        answered: int | None = self._app.consumer.last_fetch_ms(self._tp(partition))
        return answered

    def known_end_offset(self, partition: Partition) -> int | None:
        """Offset after the last record, as of the last fetch; None before the first."""
        end: int | None = self._app.consumer.highwater(self._tp(partition))
        return end

    def large_record_reads(self, partition: Partition) -> int:
        """Number of fetches inside large records; it increases while one is skipped and the position stays the same."""
        return int(self._app.consumer.large_record_reads(self._tp(partition)))

    async def position(self, partition: Partition) -> int:
        """Offset of the next record to read."""
        return int(await asyncio.wait_for(self._app.consumer.position(self._tp(partition)), _PATIENCE_S))

    async def beginning_offset(self, partition: Partition) -> int:
        """Offset of the oldest record."""
        tp = self._tp(partition)
        return int((await asyncio.wait_for(self._app.consumer.earliest_offsets(tp), _PATIENCE_S))[tp])

    async def end_offset(self, partition: Partition) -> int:
        """Offset after the last record, requested now; the embedded broker returns the start of the last batch."""
        tp = self._tp(partition)
        return int((await asyncio.wait_for(self._app.consumer.highwaters(tp), _PATIENCE_S))[tp])

    async def fetch_topic_metadata(self, topics: Collection[InputTopic]) -> Mapping[InputTopic, TopicMetadata]:
        """Current metadata of topics; omits topics with unknown state."""
        names = self._app.topic_names
        request = self._app.consumer.fetch_topic_metadata([names.on_broker(topic) for topic in topics])
        known = await asyncio.wait_for(request, _TOPICS_WITHIN_S)
        return {names.topic(name): topic for name, topic in known.items()}

    async def seek(self, partition: Partition, position: int) -> None:
        """Continue reading at a position. Batches fetched before may still arrive."""
        await asyncio.wait_for(self._app.consumer.seek_wait({self._tp(partition): position}), _PATIENCE_S)

    def pause(self, partition: Partition) -> None:
        """Stop delivering a partition; batches delivered before may still arrive. A rebalance resumes it."""
        self._app.consumer.pause_partitions({self._tp(partition)})

    def resume(self, partition: Partition) -> None:
        """Continue delivering a partition from its position."""
        self._app.consumer.resume_partitions({self._tp(partition)})

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions to Kafka, for lag monitoring only; failures are ignored."""
        await self._app.consumer._commit({self._tp(partition): position for partition, position in positions.items()})

    def to_partition(self, tp: TP) -> Partition:
        """Faust's partition as a `Partition`."""
        return Partition(self._app.topic_names.topic(tp.topic), tp.partition)

    def _tp(self, partition: Partition) -> TP:
        return TP(self._app.topic_names.on_broker(partition.topic), partition.number)
