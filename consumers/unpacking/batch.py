"""One of Kafka's batches, read in pieces: no more of it is unpacked at a time than a piece, whatever it unpacks to."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka.record.default_records import DefaultRecordBatch

from consumers.contract.rejection import Reason
from consumers.kafka.skipped import CUT_BYTES, Skipped
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
from consumers.unpacking.codecs import Codec, unpacked
from consumers.unpacking.errors import CorruptBatchError, UnreadableError
from consumers.unpacking.old_messages import SHORTEST_BYTES, OldMessage
from consumers.unpacking.records import LargeRecord, Record, headers_bytes, held_bytes, parse, parsed, whole_records

PIECE_BYTES = 2**22
WHOLE_BYTES = 2**24
"""A larger record is cut: no dead letter may be larger either."""
STEP_BYTES = 2**26
"""So much of a record that is cut is read in one go."""
MOST_BYTES = 2**32
"""What a batch may unpack to; no Kafka client can write one of more than half of it."""


@dataclass(slots=True)
class Piece:
    """Some of a batch, in order."""

    next: int
    """Offset after it; after the batch, where this is its end."""
    records: list[Record] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    size: int = 0
    """Bytes that it holds, about."""
    unfinished: bool = False
    """A large record is not passed over yet: ask again."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Up to where offsets can be, which a header that is wrong may not say."""

    start: int
    """The offset that is read next."""
    end: int | None = None
    """The end of the partition, as far as it is known."""


def split(fetched: bytes) -> Iterator[memoryview]:
    """The batches of one fetch; the last one of a fetch is mostly cut off, and left out unless it is the only one."""
    view, at = memoryview(fetched), 0
    while at < len(view):
        end = _end_of(view[at:])
        if end is None:
            if at == 0:
                yield view
            return
        yield view[at : at + end]
        at += end


def pieces(batch: memoryview, extent: Extent) -> Iterator[Piece]:
    """The batch, in pieces. What cannot be read of it is the `skipped` of the last one.

    Raises, before anything else: CorruptBatchError where the bytes are not what was written.
    """
    if _end_of(batch) != len(batch):
        raise CorruptBatchError("it is incomplete, or its length is wrong")
    if batch[MAGIC_AT] < MAGIC:
        return iter([_old(batch, extent)])
    if len(batch) < HEADER_BYTES or not (parsing := DefaultRecordBatch(batch)).validate_crc():
        raise CorruptBatchError("its checksum is wrong")
    header = read_header(batch)
    if header.magic > MAGIC or (extent.end is not None and header.base_offset >= max(extent.end, extent.start + 1)):
        raise CorruptBatchError(f"its header is wrong: version {header.magic}, offset {header.base_offset}")
    if header.last_delta < 0:
        return iter([Piece(extent.start + 1, skipped=[lost(batch, extent, "its last offset is before its first")])])
    if header.codec == Codec.NONE and header.is_small and len(batch) <= PIECE_BYTES:
        records = parsed(header, parsing)
        if records is not None and records[0].offset >= extent.start:
            return iter((Piece(header.last + 1, records, size=held_bytes(records, len(batch) - HEADER_BYTES)),))
    return _Unpacking(batch, header, extent.start).pieces()


def lost(batch: memoryview, extent: Extent, detail: str) -> Skipped:
    """All of a batch that cannot be read, or of what stands in its place, from `extent.start` on."""
    last = extent.start
    if len(batch) >= HEADER_BYTES:
        header = read_header(batch)
        said = header.base_offset if header.magic < MAGIC else header.last
        if header.base_offset <= said and (extent.end is None or said < extent.end):
            last = max(last, said)
    return Skipped(extent.start, last, Reason.UNREADABLE_BATCH, detail, value=bytes(batch))


class _Unpacking:
    """A batch of version 2 whose checksum is right."""

    def __init__(self, batch: memoryview, header: BatchHeader, start: int) -> None:
        self._batch = batch
        self._header = header
        self._stream = ByteStream(unpacked(header.codec, batch[HEADER_BYTES:]))
        self._next = start
        self._left = header.record_count

    def pieces(self) -> Iterator[Piece]:
        header, end = self._header, max(self._next, self._header.last + 1)
        if header.is_control or header.record_count <= 0 or header.last < self._next:
            yield Piece(end)
            return
        try:
            held = self._stream.fill(PIECE_BYTES)
            if self._stream.ended and header.is_small:
                piece, error = self._piece(held, header.record_count)
                piece.next = end
                yield piece if error is None else self._without_rest(piece, error)
                return
            while self._left:
                yield from self._some()
                if self._stream.passed > MOST_BYTES:
                    raise UnreadableError(f"it unpacks to more than {MOST_BYTES} bytes")
        except UnreadableError as error:
            yield self._without_rest(Piece(end), error)
            return
        yield Piece(end)

    def _some(self) -> Iterator[Piece]:
        """Whole records, or one that is large."""
        stream = self._stream
        held = stream.fill(PIECE_BYTES)
        count, end = whole_records(held[:PIECE_BYTES], min(PIECE_RECORDS, self._left))
        if not count:
            found = varint(held, 0)
            if found is None or not found[0]:
                raise UnreadableError("the records end early")
            length, start = found
            if length > WHOLE_BYTES or headers_bytes(held[start:], length) > PIECE_BYTES:
                stream.advance(start)
                yield from self._large(length)
                return
            count, end = 1, start + length
            held = stream.fill(end)
            if len(held) < end:
                raise UnreadableError("the records end early")
        piece, error = self._piece(held[:end], count)
        stream.advance(end)
        self._left -= count
        if error is None:
            yield piece
        else:
            yield self._without_rest(piece, error)
            self._left = 0

    def _large(self, length: int) -> Iterator[Piece]:
        record = LargeRecord(self._header, self._stream, length)
        while (skipped := record.step(STEP_BYTES)) is None:
            yield Piece(self._next, unfinished=True)
        self._left -= 1
        if skipped.first >= self._next:
            self._next = skipped.last + 1
            yield Piece(self._next, skipped=[skipped], size=CUT_BYTES)

    def _piece(self, held: memoryview, count: int) -> tuple[Piece, UnreadableError | None]:
        records, error = parse(self._header, held, count)
        if records and records[0].offset < self._next:  # a batch comes whole, wherever in it reading began
            records = [record for record in records if record.offset >= self._next]
        if records:
            self._next = records[-1].offset + 1
        return Piece(self._next, records, size=held_bytes(records, len(held))), error

    def _without_rest(self, piece: Piece, error: UnreadableError) -> Piece:
        last = self._header.last
        if self._next <= last:
            piece.skipped.append(
                Skipped(self._next, last, Reason.UNREADABLE_BATCH, str(error), value=bytes(self._batch))
            )
            piece.size += len(self._batch)
        piece.next = max(self._next, last + 1)
        return piece


def _old(batch: memoryview, extent: Extent) -> Piece:
    """A batch from before version 2, which is one message."""
    message = OldMessage(batch)  # raises CorruptBatchError
    if extent.end is not None and message.offset >= max(extent.end, extent.start + 1):
        raise CorruptBatchError(f"its header is wrong: offset {message.offset}")
    try:
        records: list[Record] = [one for one in message.records() if extent.start <= one.offset <= message.offset]
    except UnreadableError as error:
        skipped = lost(batch, extent, str(error))
        return Piece(skipped.last + 1, skipped=[skipped], size=len(batch))
    return Piece(max(extent.start, message.offset + 1), records, size=message.unpacked_bytes)


def _end_of(view: memoryview) -> int | None:
    """Where the batch at the beginning ends; None where that is not in these bytes, or nothing that can be."""
    if len(view) < SHORTEST_BYTES:
        return None
    (length,) = struct.unpack_from(">i", view, 8)
    end = LOG_OVERHEAD_BYTES + int(length)
    return end if SHORTEST_BYTES <= end <= len(view) else None
