"""The records of one fetch, taken out of Kafka's batches many at a time.

aiokafka takes them out one by one, through a generator and a call for each, which costs more than parsing them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords


class Record(Protocol):
    """One message, as aiokafka parsed it."""

    offset: int
    timestamp: int | None
    """Epoch ms."""
    key: bytes | None
    value: bytes | None


class Fetched:
    """What one fetch brought of one partition; stands in for aiokafka's `PartitionRecords` in a `FetchResult`.

    It holds one thing, or nothing when it is used up: the list of the next `most` records. Aborted transactions are not
    left out: that is the isolation level `read_uncommitted`.
    """

    def __init__(self, parsed: PartitionRecords) -> None:
        self.most = 1
        self.next_fetch_offset: int = parsed.next_fetch_offset
        """Offset after what was taken, also after markers of transactions and compacted records that follow it."""
        self._batches = _batches(parsed._tp, parsed._records)
        self._parsed: list[Record] = []
        """Records not taken yet."""
        self._parsed_upto = self.next_fetch_offset
        parsed._records_iterator = None  # unused, and refers back to `parsed`, which would keep the fetch's bytes

    def __iter__(self) -> Iterator[list[Record]]:
        records = self._take()
        return iter([records] if records else [])

    def _take(self) -> list[Record]:
        """The next records. Raises CorruptRecordException where nothing good is before a corrupt batch.

        What is good goes out alone; the corrupt batch is the first of the next fetch.
        """
        records = self._parsed
        while len(records) < self.most:
            try:
                found, upto = next(self._batches)
            except StopIteration:
                break
            except CorruptRecordException:
                if not records:
                    raise
                break
            if found and found[0].offset < self._parsed_upto:  # a batch comes whole, wherever in it reading began
                found = [record for record in found if record.offset >= self._parsed_upto]
            records += found
            self._parsed_upto = upto
        self._parsed = records[self.most :]
        self.next_fetch_offset = self._parsed[0].offset if self._parsed else self._parsed_upto
        return records[: self.most] if self._parsed else records


def hand_out_many(fetcher: Fetcher, most: int) -> None:
    """Have a fetcher hand out up to `most` records of a partition as one thing."""
    for result in fetcher._records.values():
        if isinstance(result, FetchResult) and result.has_more():
            if not isinstance(result._partition_records, Fetched):
                result._partition_records = Fetched(result._partition_records)
            result._partition_records.most = most


def _batches(tp: TopicPartition, fetched: MemoryRecords) -> Iterator[tuple[list[Record], int]]:
    """Kafka's batches: records, and the offset after the batch. It ends where a batch is corrupt."""
    while fetched.has_next():
        batch = fetched.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {tp}")
        yield [] if batch.is_control_batch else list(batch), batch.next_offset
