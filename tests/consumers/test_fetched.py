"""What one fetch brought, taken many at a time, is what aiokafka would have handed out one by one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from consumers.fetched import Fetched, Record, hand_out_many

TP = TopicPartition("clicks", 0)
BASE_OFFSET = slice(0, 8)
ATTRIBUTES = 22
LAST_OFFSET_DELTA = slice(23, 27)
CRC, CRC_OF = slice(17, 21), slice(21, None)
CONTROL = 0x20
GZIP = 1


@dataclass(frozen=True)
class Batch:
    """One of Kafka's batches: offsets that are left of it, and how many it ends after the last of them."""

    offsets: tuple[int, ...]
    ends_later: int = 0
    compression: int = 0
    control: bool = False
    corrupt: bool = False

    @property
    def next(self) -> int:
        return self.offsets[-1] + self.ends_later + 1

    def written(self) -> bytes:
        """Its bytes. The builder knows neither base offsets nor compacted ends, so they are put in."""
        builder = DefaultRecordBatchBuilder(2, self.compression, 0, -1, -1, -1, 1 << 20)
        first = self.offsets[0]
        for offset in self.offsets:
            builder.append(offset - first, 1_760_000_000_000 + offset, b"k%d" % offset, _value(offset), [])
        made = bytearray(builder.build())
        made[BASE_OFFSET] = first.to_bytes(8, "big")
        made[LAST_OFFSET_DELTA] = (self.next - 1 - first).to_bytes(4, "big")
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
    """The part of aiokafka's assignment that a `FetchResult` looks at."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _: TopicPartition) -> _Assignment:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def parsed(batches: Sequence[Batch], position: int) -> PartitionRecords:
    fetched = MemoryRecords(b"".join(batch.written() for batch in batches))
    return PartitionRecords(TP, fetched, [], position, None, None, True, 0)


def result_of(batches: Sequence[Batch], position: int) -> FetchResult:
    return FetchResult(TP, assignment=_Assignment(position), partition_records=parsed(batches, position), backoff=0)


class _Fetcher:
    def __init__(self, result: Any) -> None:
        self._records = {TP: result}


def taken(result: FetchResult, most: int) -> list[Record]:
    """Up to `most` records, as the consumer thread takes them."""
    hand_out_many(_Fetcher(result), most)  # type: ignore[arg-type]
    handed = result.getall(1)
    assert len(handed) <= 1
    return handed[0] if handed else []


def told(records: Sequence[Any]) -> list[tuple[int, int, bytes | None, bytes | None]]:
    return [(record.offset, record.timestamp, record.key, record.value) for record in records]


@st.composite
def logs(draw: st.DrawFn) -> list[Batch]:
    """Batches one after the other, with gaps in them and between them, as compaction leaves them."""
    batches: list[Batch] = []
    at = draw(st.integers(0, 100))
    for _ in range(draw(st.integers(1, 5))):
        steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=12))
        offsets = tuple(at + sum(steps[:i]) for i in range(len(steps)))
        batch = Batch(offsets, draw(st.integers(0, 2)), draw(st.sampled_from((0, GZIP))), draw(st.integers(0, 4)) == 0)
        batches.append(batch)
        at = batch.next + draw(st.integers(0, 2))
    return batches


@given(batches=logs(), into=st.integers(0, 8), most=st.integers(1, 20))
def test_records_and_the_position_are_aiokafkas_own(batches: list[Batch], into: int, most: int) -> None:
    position = batches[0].offsets[0] + into
    alone = result_of(batches, position)
    one_by_one = alone.getall()
    result = result_of(batches, position)
    found: list[Record] = []
    while records := taken(result, most):
        assert len(records) <= most
        found += records
        position = result._assignment.position
        assert records[-1].offset < position
        assert not found[len(one_by_one) :]
        rest = one_by_one[len(found) :]
        assert not rest or position <= rest[0].offset
    assert told(found) == told(one_by_one)
    assert result._assignment.position == alone._assignment.position
    assert not result.has_more()


def test_a_fetch_that_begins_within_a_batch_leaves_out_what_is_before_it() -> None:
    assert [record.offset for record in taken(result_of([Batch((0, 1, 2, 3))], 2), 10)] == [2, 3]


def test_markers_of_transactions_are_passed_over() -> None:
    result = result_of([Batch((0, 1)), Batch((2,), control=True)], 0)
    assert [record.offset for record in taken(result, 10)] == [0, 1]
    assert result._assignment.position == 3


def test_what_was_sought_away_from_is_not_handed_out() -> None:
    result = result_of([Batch((0, 1, 2))], 0)
    assert len(taken(result, 1)) == 1
    result._assignment.position = 0
    assert taken(result, 1) == []
    assert not result.has_more()


def test_of_a_corrupt_batch_nothing_is_handed_out_and_what_was_before_it_is_not_lost() -> None:
    result = result_of([Batch((0, 1)), Batch((2, 3), corrupt=True), Batch((4,))], 0)
    assert [record.offset for record in taken(result, 10)] == [0, 1]
    assert taken(result, 10) == []
    assert not result.has_more()
    assert result._assignment.position == 2, "from where it is fetched again"
    again = result_of([Batch((2, 3), corrupt=True), Batch((4,))], 2)
    with pytest.raises(CorruptRecordException):
        taken(again, 10)
    assert again._assignment.position == 2


def test_the_bytes_of_a_fetch_are_let_go_of_when_it_is_used_up_or_dropped() -> None:
    gc.disable()
    try:
        for uses in (0, 1, 2):
            whole = parsed([Batch((0, 1, 2))], 0)
            held = weakref.ref(whole)
            result = FetchResult(TP, assignment=_Assignment(0), partition_records=whole, backoff=0)
            del whole
            for _ in range(uses):
                taken(result, 3)
            hand_out_many(_Fetcher(result), 3)  # type: ignore[arg-type]
            del result
            assert held() is None
    finally:
        gc.enable()


def test_a_fetch_used_up_stays_so() -> None:
    fetched = Fetched(parsed([Batch((7,))], 7))
    fetched.most = 5
    assert [len(records) for records in fetched] == [1]
    assert list(fetched) == []
    assert fetched.next_fetch_offset == 8
