"""Reads one Kafka batch in pieces, to bound the memory of decompression, and skips aborted transactions."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aiokafka.record.default_records import DefaultRecordBatch

from consumers.contract.rejection import RejectionReason
from consumers.unpacking.batch_header import (
    HEADER_BYTES,
    LOG_OVERHEAD_BYTES,
    MAGIC,
    MAGIC_AT,
    PIECE_RECORDS,
    BatchHeader,
    read_header,
)
from consumers.unpacking.byte_stream import ByteStream, varint
from consumers.unpacking.codecs import Codec, decompress
from consumers.unpacking.legacy_messages import SHORTEST_BYTES, LegacyMessage
from consumers.unpacking.parsing import (
    count_whole_records,
    headers_bytes,
    memory_bytes,
    parse_records,
    parse_uncompressed,
    skip_large_record,
)
from consumers.unpacking.record import TRUNCATION_BYTES, CorruptBatchError, Record, SkippedRecords, UnreadableError

PIECE_BYTES = 2**22
"""Uncompressed bytes to parse at a time."""
MAX_RECORD_BYTES = 2**24
"""Larger records are truncated, as no dead letter may be larger."""
STEP_BYTES = 2**26
"""Bytes of a large record to read per step."""
MAX_UNPACKED_BYTES = 2**32
"""Limit on a batch's uncompressed size; Kafka clients write at most half."""


@dataclass(slots=True)
class BatchPiece:
    """Consecutive records of a batch."""

    end_offset: int
    """Offset after the piece; after the batch for its last piece."""
    records: list[Record] = field(default_factory=list)
    skipped: list[SkippedRecords] = field(default_factory=list)
    size: int = 0
    """Approximate bytes."""
    unfinished: bool = False
    """A large record is being skipped: read the next piece."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The range of plausible offsets, to detect a wrong header."""

    start: int
    """The next offset to read."""
    end: int | None = None
    """The end of the partition, if known."""


def split_batches(fetched: bytes) -> Iterator[memoryview]:
    """The batches of one fetch, without the last one if it is incomplete, unless it is the only one."""
    view, start = memoryview(fetched), 0
    while start < len(view):
        end = _end_of(view[start:])
        if end is None:
            if start == 0:
                yield view
            return
        yield view[start : start + end]
        start += end


def pieces(batch: memoryview, offset_range: OffsetRange) -> Iterator[BatchPiece]:
    """The batch in pieces. Records that cannot be read are in `skipped` of the last piece.

    Raises CorruptBatchError before the first piece if the bytes are damaged.
    """
    if _end_of(batch) != len(batch):
        raise CorruptBatchError("it is incomplete, or its length is wrong")
    if batch[MAGIC_AT] < MAGIC:
        return iter([_legacy_piece(batch, offset_range)])
    if len(batch) < HEADER_BYTES or not (parsing := DefaultRecordBatch(batch)).validate_crc():
        raise CorruptBatchError("its checksum is wrong")
    header = read_header(batch)
    if header.magic > MAGIC or (
        offset_range.end is not None and header.base_offset >= max(offset_range.end, offset_range.start + 1)
    ):
        raise CorruptBatchError(f"its header is wrong: version {header.magic}, offset {header.base_offset}")
    if header.last_offset_delta < 0:
        skipped = unreadable_batch(batch, offset_range, "its last offset is less than its first")
        return iter([BatchPiece(offset_range.start + 1, skipped=[skipped])])
    if header.codec == Codec.NONE and header.is_small and len(batch) <= PIECE_BYTES:
        records = parse_uncompressed(header, parsing)
        if records is not None and records[0].offset >= offset_range.start:
            size = memory_bytes(records, len(batch) - HEADER_BYTES)
            return iter([BatchPiece(header.last_offset + 1, records, size=size)])
    return _Unpacking(batch, header, offset_range.start).pieces()


def unreadable_batch(batch: memoryview, offset_range: OffsetRange, detail: str) -> SkippedRecords:
    """The records of an unreadable batch, from `offset_range.start` on, as skipped."""
    last_offset = offset_range.start
    if len(batch) >= HEADER_BYTES:
        header = read_header(batch)
        header_last = header.base_offset if header.magic < MAGIC else header.last_offset
        if header.base_offset <= header_last and (offset_range.end is None or header_last < offset_range.end):
            last_offset = max(last_offset, header_last)
    return _unreadable(offset_range.start, last_offset, detail, batch)


def _unreadable(first_offset: int, last_offset: int, detail: str, batch: memoryview) -> SkippedRecords:
    return SkippedRecords(first_offset, last_offset, RejectionReason.UNREADABLE_BATCH, detail, value=bytes(batch))


class _Unpacking:
    """A batch of version 2 with a valid checksum."""

    def __init__(self, batch: memoryview, header: BatchHeader, start: int) -> None:
        self._batch = batch
        self._header = header
        self._stream = ByteStream(decompress(header.codec, batch[HEADER_BYTES:]))
        self._next_offset = start
        self._left = header.record_count

    def pieces(self) -> Iterator[BatchPiece]:
        header, end = self._header, max(self._next_offset, self._header.last_offset + 1)
        if header.is_control or header.record_count <= 0 or header.last_offset < self._next_offset:
            yield BatchPiece(end)
            return
        try:
            buffered = self._stream.fill(PIECE_BYTES)
            if self._stream.ended and header.is_small:
                piece, error = self._piece(buffered, header.record_count)
                piece.end_offset = end
                yield piece if error is None else self._without_rest(piece, error)
                return
            while self._left:
                yield from self._some()
                if self._stream.bytes_read > MAX_UNPACKED_BYTES:
                    raise UnreadableError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        except UnreadableError as error:
            yield self._without_rest(BatchPiece(end), error)
            return
        yield BatchPiece(end)

    def _some(self) -> Iterator[BatchPiece]:
        """The next whole records, or the start of a large one."""
        stream = self._stream
        buffered = stream.fill(PIECE_BYTES)
        count, end = count_whole_records(buffered[:PIECE_BYTES], min(PIECE_RECORDS, self._left))
        if not count:
            length_and_start = varint(buffered, 0)
            if length_and_start is None or not length_and_start[0]:
                raise UnreadableError("the records end early")
            length, start = length_and_start
            if length > MAX_RECORD_BYTES or headers_bytes(buffered[start:], length) > PIECE_BYTES:
                stream.advance(start)
                yield from self._large(length)
                return
            count, end = 1, start + length
            buffered = stream.fill(end)
            if len(buffered) < end:
                raise UnreadableError("the records end early")
        piece, error = self._piece(buffered[:end], count)
        stream.advance(end)
        self._left -= count
        if error is None:
            yield piece
        else:
            yield self._without_rest(piece, error)
            self._left = 0

    def _large(self, length: int) -> Iterator[BatchPiece]:
        for skipped in skip_large_record(self._header, self._stream, length, STEP_BYTES):
            if skipped is None:
                yield BatchPiece(self._next_offset, unfinished=True)
            elif skipped.first_offset >= self._next_offset:
                self._next_offset = skipped.last_offset + 1
                yield BatchPiece(self._next_offset, skipped=[skipped], size=TRUNCATION_BYTES)
        self._left -= 1

    def _piece(self, uncompressed: memoryview, count: int) -> tuple[BatchPiece, UnreadableError | None]:
        records, error = parse_records(self._header, uncompressed, count)
        if records and records[0].offset < self._next_offset:  # a fetch may start inside a batch
            records = [record for record in records if record.offset >= self._next_offset]
        if records:
            self._next_offset = records[-1].offset + 1
        return BatchPiece(self._next_offset, records, size=memory_bytes(records, len(uncompressed))), error

    def _without_rest(self, piece: BatchPiece, error: UnreadableError) -> BatchPiece:
        last_offset = self._header.last_offset
        if self._next_offset <= last_offset:
            piece.skipped.append(_unreadable(self._next_offset, last_offset, str(error), self._batch))
            piece.size += len(self._batch)
        piece.end_offset = max(self._next_offset, last_offset + 1)
        return piece


def _legacy_piece(batch: memoryview, offset_range: OffsetRange) -> BatchPiece:
    """A batch from before version 2, which is a single message."""
    message = LegacyMessage(batch)  # raises CorruptBatchError
    if offset_range.end is not None and message.offset >= max(offset_range.end, offset_range.start + 1):
        raise CorruptBatchError(f"its header is wrong: offset {message.offset}")
    try:
        records: list[Record] = [
            record for record in message.records() if offset_range.start <= record.offset <= message.offset
        ]
    except UnreadableError as error:
        skipped = unreadable_batch(batch, offset_range, str(error))
        return BatchPiece(skipped.last_offset + 1, skipped=[skipped], size=len(batch))
    return BatchPiece(max(offset_range.start, message.offset + 1), records, size=message.unpacked_bytes)


def _end_of(view: memoryview) -> int | None:
    """The end offset in bytes of the first batch; None if it is incomplete or invalid."""
    if len(view) < SHORTEST_BYTES:
        return None
    (length,) = struct.unpack_from(">i", view, 8)
    end = LOG_OVERHEAD_BYTES + int(length)
    return end if SHORTEST_BYTES <= end <= len(view) else None


_MARKER = struct.Struct(">hh")
"""Key of a control record: version and type."""
_ABORT = 0


class AbortedTransactions:
    """The aborted transactions of one partition, as listed in a fetch response. Pass its batches in order."""

    def __init__(self, listed: Iterable[tuple[int, int]] | None) -> None:
        """`listed`: (producer id, first offset)."""
        self._upcoming = deque(sorted(listed or (), key=lambda entry: entry[1]))
        self._producers: set[int] = set()
        """Producers with an open aborted transaction, as of the last batch."""

    def aborted_batch(self, batch: memoryview) -> BatchHeader | None:
        """The header of a valid batch to skip; None for a batch to read."""
        if not (self._upcoming or self._producers) or batch[MAGIC_AT] < MAGIC:
            return None
        header = read_header(batch)
        while self._upcoming and self._upcoming[0][1] <= header.base_offset:
            self._producers.add(self._upcoming.popleft()[0])
        if header.is_control:
            if _is_abort(batch, header):
                self._producers.discard(header.producer_id)
            return None
        return header if header.is_transactional and header.producer_id in self._producers else None


def _is_abort(batch: memoryview, header: BatchHeader) -> bool:
    """Whether a control batch is an abort marker."""
    try:
        records, _ = parse_records(header, batch[HEADER_BYTES:], header.record_count)
    except UnreadableError:
        return False
    key = records[0].key if records else None
    return key is not None and len(key) >= _MARKER.size and _MARKER.unpack_from(key)[1] == _ABORT
