"""Takes the records of a fetch out of Kafka's batches in bulk and in bounded memory.

aiokafka yields records one by one, which costs more than parsing them, decompresses a whole batch at once whatever its
size, and raises on a batch that it cannot read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from consumers.unpacking.batch import (
    AbortedTransactions,
    BatchPiece,
    OffsetRange,
    pieces,
    split_batches,
    unreadable_batch,
)
from consumers.unpacking.record import CorruptBatchError, Record, SkippedRecords

log = structlog.get_logger()

MAX_REFETCHES = 3
"""Fetches of a corrupt batch before it is skipped."""
REFETCH_PAUSE_S = 0.5
"""Pause between these fetches."""


class RawMemoryRecords:
    """The raw bytes fetched from one partition; replaces aiokafka's `MemoryRecords`, and yields the same batches."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._parsed: MemoryRecords | None = None

    def size_in_bytes(self) -> int:
        """Size of all batches."""
        return len(self.data)

    def has_next(self) -> bool:
        """Whether a batch follows."""
        return bool(self.data) if self._parsed is None else bool(self._parsed.has_next())

    def next_batch(self) -> object:
        """The next batch. Raises CorruptRecordException if it is damaged or incomplete."""
        if self._parsed is None:
            self._parsed = MemoryRecords(self.data)
        batch = self._parsed.next_batch()
        if batch is None:
            raise CorruptRecordException("there is no complete batch")
        return batch


def patch_memory_records() -> None:
    """Make every aiokafka consumer of this process keep fetched bytes raw, for `patch_partition_records`."""
    aiokafka_fetcher.MemoryRecords = RawMemoryRecords


class CorruptBatchRetries:
    """Counts the fetches of corrupt batches, over all partitions."""

    def __init__(self) -> None:
        self._attempts: dict[TopicPartition, tuple[int, int]] = {}
        """# partition: (offset of a corrupt batch, number of its fetches)"""
        self.pause_until_s = 0.0
        """When to fetch again, by `time.monotonic`."""

    def should_refetch(self, tp: TopicPartition, offset: int, why: str) -> bool:
        """Whether to fetch the corrupt batch at an offset again."""
        last_offset, fetches = self._attempts.get(tp, (-1, 0))
        fetches = fetches + 1 if last_offset == offset else 1
        if fetches > MAX_REFETCHES:
            del self._attempts[tp]
            return False
        self._attempts[tp] = offset, fetches
        self.pause_until_s = monotonic() + REFETCH_PAUSE_S
        log.warning("batch was corrupt; refetching", partition=f"{tp.topic}/{tp.partition}", offset=offset, error=why)
        return True


@dataclass(slots=True)
class RecordChunk:
    """Consecutive records of one partition. An empty chunk does not mean the end."""

    records: list[Record] = field(default_factory=list)
    skipped: list[SkippedRecords] = field(default_factory=list)
    size: int = 0
    """Uncompressed bytes of the records."""

    def __bool__(self) -> bool:
        return bool(self.records or self.skipped)


class BulkPartitionRecords:
    """The records fetched from one partition; replaces aiokafka's `PartitionRecords` in a `FetchResult`.

    Holds one item, the next chunk of up to `max_records` records or `max_bytes`, until it is used up. Skips records of
    aborted transactions (isolation level `read_committed`).
    """

    def __init__(
        self, parsed: PartitionRecords, corrupt_batch_retries: CorruptBatchRetries, end: int | None = None
    ) -> None:
        self.max_records = 1
        self.max_bytes = 1
        self.next_fetch_offset: int = parsed.next_fetch_offset
        """Offset after the taken records, and after transaction markers and compacted records that follow them."""
        self._tp: TopicPartition = parsed._tp
        self._corrupt_batch_retries = corrupt_batch_retries
        self._end = end
        self._aborted = AbortedTransactions(parsed._aborted_transactions)
        self._batches = split_batches(parsed._records.data)
        self._batch: Iterator[BatchPiece] = iter(())
        """The rest of the current batch."""
        self._corrupt: tuple[memoryview, str] | None = None
        """The next batch, if it is corrupt, and why."""
        self._piece = BatchPiece(self.next_fetch_offset)
        """Parsed records that are not taken yet."""
        parsed._records_iterator = None  # unused; refers to `parsed`, which would keep the fetched bytes in memory

    def __iter__(self) -> Iterator[RecordChunk]:
        chunk = self._next_chunk()
        return iter([] if chunk is None else [chunk])

    def _next_chunk(self) -> RecordChunk | None:
        """The next records; None if there are none.

        Records before a corrupt batch are returned alone; the corrupt batch is then the first of the next fetch.
        """
        chunk = RecordChunk()
        while len(chunk.records) < self.max_records and chunk.size < self.max_bytes:
            if not self._piece.records and not self._piece.skipped:
                piece = self._next_piece(first=not chunk)
                if piece is None:
                    return chunk or None
                if piece.unfinished:
                    return chunk  # let other partitions proceed
                self._piece = piece
            self._move_to(chunk)
        return chunk

    def _move_to(self, chunk: RecordChunk) -> None:
        """Move records from the current piece to the chunk, up to its limits."""
        piece, room = self._piece, self.max_records - len(chunk.records)
        # Offsets within a batch are not validated, so a batch with a wrong one is returned as a whole.
        if len(piece.records) <= room or not self.next_fetch_offset < piece.records[room].offset < piece.end_offset:
            size = piece.size
            chunk.records += piece.records
            chunk.skipped += piece.skipped
            self.next_fetch_offset = piece.end_offset
            self._piece = BatchPiece(piece.end_offset)
        else:
            size = piece.size * room // len(piece.records)
            chunk.records += piece.records[:room]
            del piece.records[:room]
            piece.size -= size
            self.next_fetch_offset = piece.records[0].offset
        chunk.size += size

    def _next_piece(self, *, first: bool) -> BatchPiece | None:
        """The next piece; None at the end, or if a corrupt batch must wait. `first`: the chunk is still empty."""
        while True:
            if self._corrupt is None:
                if (piece := next(self._batch, None)) is not None:
                    return piece
                if (batch := next(self._batches, None)) is None:
                    return None
                try:
                    self._batch = pieces(batch, self._offset_range())
                except CorruptBatchError as error:
                    self._corrupt = batch, str(error)
                else:
                    if aborted := self._aborted.aborted_batch(batch):
                        self._batch = iter([BatchPiece(max(self.next_fetch_offset, aborted.last_offset + 1))])
                continue
            if not first:
                return None
            batch, reason = self._corrupt
            if self._corrupt_batch_retries.should_refetch(self._tp, self.next_fetch_offset, reason):
                self._batches = iter(())
                self._corrupt = None
                return None
            self._corrupt = None
            skipped = unreadable_batch(batch, self._offset_range(), reason)
            return BatchPiece(skipped.last_offset + 1, skipped=[skipped])

    def _offset_range(self) -> OffsetRange:
        return OffsetRange(self.next_fetch_offset, self._end)


def patch_partition_records(
    fetcher: Fetcher, max_records: int, max_bytes: int, corrupt_batch_retries: CorruptBatchRetries
) -> None:
    """Make a fetcher return up to `max_records` records or `max_bytes` of a partition as one `RecordChunk`.

    Requires `patch_memory_records` before the fetch.
    """
    for tp, result in fetcher._records.items():
        if isinstance(result, FetchResult) and result.has_more():
            if not isinstance(result._partition_records, BulkPartitionRecords):
                end = result._assignment.state_value(tp).highwater
                result._partition_records = BulkPartitionRecords(result._partition_records, corrupt_batch_retries, end)
            result._partition_records.max_records = max_records
            result._partition_records.max_bytes = max_bytes


async def bulk_getmany(
    consumer: AIOKafkaConsumer,
    max_records: int,
    max_bytes: int,
    corrupt_batch_retries: CorruptBatchRetries,
    wait_s: float,
) -> dict[TopicPartition, RecordChunk]:
    """The chunks that a consumer has fetched; empty if none arrive within `wait_s` seconds."""
    fetcher = consumer._fetcher
    deadline = monotonic() + wait_s
    while True:
        patch_partition_records(fetcher, max_records, max_bytes, corrupt_batch_retries)
        chunks: dict[TopicPartition, list[RecordChunk]] = await consumer.getmany(timeout_ms=0, max_records=1)
        if chunks:
            await asyncio.sleep(0)
            return {tp: chunk for tp, [chunk] in chunks.items()}
        waiter = fetcher._create_fetch_waiter()
        completed, _ = await asyncio.wait([waiter], timeout=deadline - monotonic())
        if not completed:
            waiter.cancel()
            return {}
        waiter.result()  # raises authorization errors
