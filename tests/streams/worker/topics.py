"""A fake consumer that reads from lists of records."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from consumers.kafka.consumer import WorkerConsumer
from consumers.kafka.faust_transport import RecordBatch
from consumers.kafka.metadata import TopicMetadata
from consumers.topics import Partition, Topic
from streams.clock import now_ms
from tests.support.events import Event, records, wire


class Topics(WorkerConsumer):
    """Partitions with their records and read positions. Offsets below `begins` are deleted."""

    def __init__(self) -> None:
        self.values: dict[Partition, list[bytes | None]] = {}
        self.begins: dict[Partition, int] = {}
        self.reads: dict[Partition, int] = {}
        """# <offset of the record that is read next>; a seek changes it"""
        self.sought: list[tuple[Partition, int]] = []
        self.committed: dict[Partition, int] = {}
        self.heard: dict[Partition, int | None] = {}
        """# <epoch ms>; by default the broker always answers"""
        self.ids: dict[Topic, str] = {}
        self.in_rebalance = False
        self.stepped: dict[Partition, int] = {}
        """# <reads of a large record>"""
        self.paused: set[Partition] = set()

    def write(self, partition: Partition, *events: Event | bytes) -> None:
        values = self.values.setdefault(partition, [])
        values += [event if isinstance(event, bytes) else wire(event) for event in events]
        self.reads.setdefault(partition, 0)

    def recreate(self, partition: Partition, *events: Event) -> None:
        """Delete a topic of one partition and recreate it with other records; the read position stays."""
        self.ids[partition.topic] += "+"
        self.values[partition] = []
        self.write(partition, *events)

    def fetch(self, partition: Partition, most: int = 1000) -> RecordBatch:
        """The next batch from the read position."""
        at = self.reads[partition]
        batch = records(partition.topic, partition.number, at, self.values[partition][at : at + most])
        self.reads[partition] = batch.end_offset
        return batch

    # Consumer interface
    # --------------------------------------------------------------------------------------------------

    def assigned(self) -> set[Partition]:
        return set(self.values)

    @property
    def rebalancing(self) -> bool:
        return self.in_rebalance

    def last_fetch_ms(self, partition: Partition) -> int | None:
        return self.heard.get(partition, now_ms())

    def known_end_offset(self, partition: Partition) -> int | None:
        return len(self.values[partition])

    def large_record_reads(self, partition: Partition) -> int:
        return self.stepped.get(partition, 0)

    async def position(self, partition: Partition) -> int:
        return self.reads[partition]

    async def beginning_offset(self, partition: Partition) -> int:
        return self.begins.get(partition, 0)

    async def end_offset(self, partition: Partition) -> int:
        return len(self.values[partition])

    async def fetch_topic_metadata(self, topics: Collection[Topic]) -> Mapping[Topic, TopicMetadata]:
        counts = {topic: sum(partition.topic == topic for partition in self.values) for topic in topics}
        known = {topic for topic in topics if counts[topic] or topic in self.ids}
        return {topic: TopicMetadata(self.ids.get(topic, ""), counts[topic]) for topic in known}

    async def seek(self, partition: Partition, position: int) -> None:
        self.sought.append((partition, position))
        self.reads[partition] = position

    def pause(self, partition: Partition) -> None:
        self.paused.add(partition)

    def resume(self, partition: Partition) -> None:
        self.paused.discard(partition)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        self.committed.update(positions)
