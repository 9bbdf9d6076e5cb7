"""Records taken in bulk equal those that aiokafka returns one by one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.rejection import RejectionReason
from consumers.kafka.bulk_fetch import (
    MAX_REFETCHES,
    BulkPartitionRecords,
    CorruptBatchRetries,
    RawMemoryRecords,
    RecordChunk,
    patch_partition_records,
)
from consumers.unpacking.record import Record

TP = TopicPartition("clicks", 0)
BASE_OFFSET = slice(0, 8)
ATTRIBUTES = 22
LAST_OFFSET_DELTA = slice(23, 27)
CRC, CRC_OF = slice(17, 21), slice(21, None)
CONTROL = 0x20
GZIP = 1


@dataclass(frozen=True)
class Batch:
    """A Kafka batch: its remaining offsets, and how far its end is beyond the last of them."""

    offsets: tuple[int, ...]
    ends_later: int = 0
    compression: int = 0
    control: bool = False
    corrupt: bool = False

    @property
    def end_offset(self) -> int:
        return self.offsets[-1] + self.ends_later + 1

    def written(self) -> bytes:
        """Its bytes. The builder supports neither base offsets nor compacted ends, so both are patched in."""
        builder = DefaultRecordBatchBuilder(2, self.compression, 0, -1, -1, -1, 1 << 20)
        first = self.offsets[0]
        for offset in self.offsets:
            builder.append(offset - first, 1_760_000_000_000 + offset, b"k%d" % offset, _value(offset), [])
        made = bytearray(builder.build())
        made[BASE_OFFSET] = first.to_bytes(8, "big")
        made[LAST_OFFSET_DELTA] = (self.end_offset - 1 - first).to_bytes(4, "big")
        made[ATTRIBUTES] |= CONTROL * self.control
        made[CRC] = (crc32c(made[CRC_OF]) ^ self.corrupt).to_bytes(4, "big")
        return bytes(made)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def _value(offset: int) -> bytes | None:
    return None if offset % 5 == 3 else b"%d" % offset


class _Assignment:
    """The part of aiokafka's assignment that a `FetchResult` uses."""

    active, paused, highwater = True, False, None

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _: TopicPartition) -> _Assignment:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def parsed(batches: Sequence[Batch], position: int) -> PartitionRecords:
    fetched = RawMemoryRecords(b"".join(batch.written() for batch in batches))
    return PartitionRecords(TP, fetched, [], position, None, None, True, 0)


def result_of(batches: Sequence[Batch], position: int) -> FetchResult:
    return FetchResult(TP, assignment=_Assignment(position), partition_records=parsed(batches, position), backoff=0)


class _Fetcher:
    def __init__(self, result: Any) -> None:
        self._records = {TP: result}


def handed(
    result: FetchResult,
    max_records: int,
    max_bytes: int = 2**25,
    corrupt_batch_retries: CorruptBatchRetries | None = None,
) -> RecordChunk:
    """The consumer thread's next chunk."""
    patch_partition_records(_Fetcher(result), max_records, max_bytes, corrupt_batch_retries or CorruptBatchRetries())  # type: ignore[arg-type]
    found = result.getall(1)
    assert len(found) <= 1
    return found[0] if found else RecordChunk()


def taken(result: FetchResult, max_records: int) -> list[Record]:
    """Up to `max_records` records of consecutive chunks."""
    found = handed(result, max_records)
    assert found.skipped == []
    return found.records


def record_tuples(records: Sequence[Any]) -> list[tuple[int, int, bytes | None, bytes | None]]:
    return [(record.offset, record.timestamp, record.key, record.value) for record in records]


@st.composite
def logs(draw: st.DrawFn) -> list[Batch]:
    """Consecutive batches with gaps in and between them, as compaction leaves them."""
    batches: list[Batch] = []
    at = draw(st.integers(0, 100))
    for _ in range(draw(st.integers(1, 5))):
        steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=12))
        offsets = tuple(at + sum(steps[:i]) for i in range(len(steps)))
        batch = Batch(offsets, draw(st.integers(0, 2)), draw(st.sampled_from((0, GZIP))), draw(st.integers(0, 4)) == 0)
        batches.append(batch)
        at = batch.end_offset + draw(st.integers(0, 2))
    return batches


@given(batches=logs(), into=st.integers(0, 8), max_records=st.integers(1, 20))
def test_records_and_position_equal_those_of_aiokafka(batches: list[Batch], into: int, max_records: int) -> None:
    position = min(batches[0].offsets[0] + into, batches[0].end_offset - 1)
    alone = result_of(batches, position)
    one_by_one = alone.getall()
    result = result_of(batches, position)
    found: list[Record] = []
    while records := taken(result, max_records):
        assert len(records) <= max_records
        found += records
        position = result._assignment.position
        assert records[-1].offset < position
        assert not found[len(one_by_one) :]
        rest = one_by_one[len(found) :]
        assert not rest or position <= rest[0].offset
    assert record_tuples(found) == record_tuples(one_by_one)
    assert result._assignment.position == alone._assignment.position
    assert not result.has_more()


def test_a_fetch_from_within_a_batch_skips_earlier_records() -> None:
    assert [record.offset for record in taken(result_of([Batch((0, 1, 2, 3))], 2), 10)] == [2, 3]


def test_transaction_markers_are_skipped() -> None:
    result = result_of([Batch((0, 1)), Batch((2,), control=True)], 0)
    assert [record.offset for record in taken(result, 10)] == [0, 1]
    assert result._assignment.position == 3


def test_records_fetched_before_a_seek_are_dropped() -> None:
    result = result_of([Batch((0, 1, 2))], 0)
    assert len(taken(result, 1)) == 1
    result._assignment.position = 0
    assert taken(result, 1) == []
    assert not result.has_more()


def test_records_before_a_corrupt_batch_are_returned_and_the_batch_is_refetched_before_it_is_skipped() -> None:
    batches = [Batch((0, 1)), Batch((2, 3), ends_later=2, corrupt=True), Batch((6,))]
    corrupt_batch_retries, result = CorruptBatchRetries(), result_of(batches, 0)
    assert [record.offset for record in handed(result, 10, corrupt_batch_retries=corrupt_batch_retries).records] == [
        0,
        1,
    ]
    for _ in range(MAX_REFETCHES):
        assert not handed(result, 10, corrupt_batch_retries=corrupt_batch_retries)
        assert not result.has_more(), "the fetch is dropped"
        assert result._assignment.position == 2, "the offset from which it is refetched"
        result = result_of(batches[1:], 2)
    found = handed(result, 10, corrupt_batch_retries=corrupt_batch_retries)
    (skipped,) = found.skipped
    assert (skipped.first_offset, skipped.last_offset, skipped.reason) == (2, 5, RejectionReason.UNREADABLE_BATCH)
    assert skipped.value == batches[1].written()
    assert [record.offset for record in found.records] == [6]
    assert result._assignment.position == 7


def test_a_batch_damaged_in_transit_is_read_after_a_refetch() -> None:
    corrupt_batch_retries = CorruptBatchRetries()
    assert not handed(result_of([Batch((2, 3), corrupt=True)], 2), 10, corrupt_batch_retries=corrupt_batch_retries)
    found = handed(result_of([Batch((2, 3))], 2), 10, corrupt_batch_retries=corrupt_batch_retries)
    assert [record.offset for record in found.records] == [2, 3]
    for _ in range(MAX_REFETCHES):
        assert not handed(result_of([Batch((4,), corrupt=True)], 4), 10, corrupt_batch_retries=corrupt_batch_retries), (
            "another batch"
        )


def test_a_chunk_ends_with_the_record_that_exceeds_max_bytes() -> None:
    batches = [Batch((0, 1, 2), compression=GZIP), Batch((3, 4)), Batch((5,))]
    result = result_of(batches, 0)
    offsets = []
    while found := handed(result, 10, max_bytes=1):
        offsets.append([record.offset for record in found.records])
        assert found.size > 0
    assert offsets == [[0, 1, 2], [3, 4], [5]]


def test_the_fetched_bytes_are_freed_when_a_fetch_is_used_up_or_dropped() -> None:
    gc.disable()
    try:
        for uses in (0, 1, 2):
            whole = parsed([Batch((0, 1, 2))], 0)
            held = weakref.ref(whole)
            result = FetchResult(TP, assignment=_Assignment(0), partition_records=whole, backoff=0)
            del whole
            for _ in range(uses):
                taken(result, 3)
            patch_partition_records(_Fetcher(result), 3, 2**25, CorruptBatchRetries())  # type: ignore[arg-type]
            del result
            assert held() is None
    finally:
        gc.enable()


def test_a_used_up_fetch_returns_nothing_more() -> None:
    fetched = BulkPartitionRecords(parsed([Batch((7,))], 7), CorruptBatchRetries())
    fetched.max_records, fetched.max_bytes = 5, 2**20
    assert [len(taken.records) for taken in fetched] == [1]
    assert list(fetched) == []
    assert fetched.next_fetch_offset == 8
