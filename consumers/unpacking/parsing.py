"""Parses records from uncompressed bytes: in bulk with aiokafka's parser, or one by one with more checks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka.record.default_records import DefaultRecordBatch

from consumers.contract.rejection import RejectionReason
from consumers.unpacking.batch_header import BatchHeader
from consumers.unpacking.byte_stream import ByteStream, varint
from consumers.unpacking.record import (
    TRUNCATION_BYTES,
    MessageHeaders,
    Record,
    SkippedRecords,
    Truncation,
    UnreadableError,
)

_FEW_BYTES = 64
"""A record with more bytes than this besides key and value has headers."""
_HEADER_BYTES = 128
"""Minimum memory of a header."""


def parse_records(header: BatchHeader, records: memoryview, count: int) -> tuple[list[Record], UnreadableError | None]:
    """The records in `records`, and what is wrong with the one after the last of them."""
    found = parse_uncompressed(header, DefaultRecordBatch(header.uncompressed(records, count)))
    return _one_by_one(header, records, count) if found is None else (found, None)


def parse_uncompressed(header: BatchHeader, batch: DefaultRecordBatch) -> list[Record] | None:
    """The records of an uncompressed batch; None if one of them is invalid."""
    try:
        found: list[Record] = list(batch)
    except Exception:  # aiokafka does not report the invalid record
        return None
    plausible = found and header.base_offset <= found[0].offset and found[-1].offset <= header.last_offset
    return found if plausible else None


def count_whole_records(held: memoryview, most: int) -> tuple[int, int]:
    """The number of complete records at the start, `most` at most, and their end.

    Raises UnreadableError if the first record has no valid length.
    """
    count = at = 0
    while count < most and at < len(held):
        byte = held[at]
        if byte < 0x80:
            length, start = (byte >> 1) ^ -(byte & 1), at + 1
        else:
            length, start = _length(held, at)
        if length < 0 and not count:
            raise UnreadableError("a record has no length")
        if length < 0 or start + length > len(held):
            break
        at = start + length
        count += 1
    return count, at


def _length(held: memoryview, at: int) -> tuple[int, int]:
    """The length at `at` and its end; the end is beyond the buffer if incomplete, the length -1 if invalid."""
    try:
        return varint(held, at) or (len(held), at)
    except UnreadableError:
        return -1, at


def memory_bytes(records: Sequence[Record], unpacked: int) -> int:
    """Approximate memory of records of `unpacked` bytes: many short headers take far more."""
    others, few = unpacked - sum([len(record.value or b"") for record in records]), _FEW_BYTES * len(records)
    if others <= few or others - sum([len(record.key or b"") for record in records]) <= few:
        return unpacked
    return unpacked + _HEADER_BYTES * sum([len(record.headers) for record in records])


def headers_bytes(held: memoryview, length: int) -> int:
    """Bytes of the headers of a record of this length, from its first bytes; 0 if these do not suffice.

    Raises UnreadableError.
    """
    at = 1  # attributes; then timestamp, offset, and the lengths of key and value
    for n in range(4):
        if (found := varint(held, at)) is None:
            return 0
        at = found[1] + (max(0, found[0]) if n >= 2 else 0)
    return length - at


def _one_by_one(header: BatchHeader, records: memoryview, count: int) -> tuple[list[Record], UnreadableError | None]:
    stream, before = ByteStream([records]), header.base_offset - 1
    found: list[Record] = []
    try:
        for _ in range(count):
            length = stream.varint()
            whole = stream.buffered[: max(0, length)]
            if len(whole) != length:
                raise UnreadableError("the records end early")
            record = _record(header, ByteStream([whole]))
            if not before < record.offset <= header.last_offset:
                raise UnreadableError(f"offset {record.offset} is outside the batch")
            before = record.offset
            stream.advance(length)
            found.append(record)
    except UnreadableError as error:
        return found, error
    return found, None


def _record(header: BatchHeader, stream: ByteStream) -> Record:
    offset, timestamp = _offset_and_time(header, stream)
    return Record(offset, timestamp, _bytes(stream), _bytes(stream), _headers(stream))


def _headers(stream: ByteStream) -> MessageHeaders:
    headers = []
    for _ in range(stream.varint()):
        name = _bytes(stream) or b""  # must be UTF-8, which brokers do not check
        headers.append((name.decode("utf-8", "backslashreplace"), _bytes(stream)))
    return headers


def _offset_and_time(header: BatchHeader, stream: ByteStream) -> tuple[int, int]:
    stream.take(1)  # attributes, always unused
    later_ms = stream.varint()
    return (
        header.base_offset + stream.varint(),
        header.max_timestamp_ms if header.is_log_append_time else header.base_timestamp_ms + later_ms,
    )


def _bytes(stream: ByteStream) -> bytes | None:
    size = stream.varint()
    if size < 0:
        return None
    found = bytes(stream.fill(size)[:size])
    if len(found) < size:
        raise UnreadableError("the records end early")
    stream.advance(size)
    return found


@dataclass(slots=True)
class _TruncatedField:
    """A field of which only the first bytes are kept."""

    left: int
    size: int = field(init=False)
    kept: bytearray = field(default_factory=bytearray)
    hashed: hashlib._Hash = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self.size = self.left

    def consume(self, stream: ByteStream, most: int) -> int:
        some = stream.take(min(self.left, most))
        self.hashed.update(some)
        self.kept += some[: max(0, TRUNCATION_BYTES - len(self.kept))]
        self.left -= len(some)
        return len(some)


class LargeRecord:
    """A record too large for memory: skipped in steps, keeping its first bytes and its hash."""

    def __init__(self, header: BatchHeader, stream: ByteStream, length: int) -> None:
        """The stream is after the record's length."""
        self._header = header
        self._stream = stream
        self._length = length
        self._end = stream.bytes_read + length
        self._offset, self._timestamp = _offset_and_time(header, stream)
        if not header.base_offset <= self._offset <= header.last_offset:
            raise UnreadableError(f"offset {self._offset} is outside the batch")
        self._key: _TruncatedField | None = None
        self._value: _TruncatedField | None = None

    def step(self, most: int) -> SkippedRecords | None:
        """Read about `most` more bytes; returns the record at its end, else None. Raises UnreadableError."""
        until = self._stream.bytes_read + most
        if self._key is None:
            self._key = self._field()
        while self._key.left and self._stream.bytes_read < until:
            self._key.consume(self._stream, most)
        if self._key.left:
            return None
        if self._value is None:
            self._value = self._field()
        while self._value.left and self._stream.bytes_read < until:
            self._value.consume(self._stream, most)
        if self._value.left:
            return None
        if self._end - self._stream.bytes_read <= TRUNCATION_BYTES:
            return self._skipped(self._key, self._value, _headers(self._stream))
        while self._stream.bytes_read < min(until, self._end):  # skip the headers
            self._stream.take(self._end - self._stream.bytes_read)
        return self._skipped(self._key, self._value) if self._stream.bytes_read == self._end else None

    def _field(self) -> _TruncatedField:
        size = self._stream.varint()
        if size > self._end - self._stream.bytes_read:
            raise UnreadableError("a field is longer than its record")
        return _TruncatedField(max(0, size))

    def _skipped(self, key: _TruncatedField, value: _TruncatedField, headers: MessageHeaders = ()) -> SkippedRecords:
        return SkippedRecords(
            self._offset,
            self._offset,
            RejectionReason.TOO_LARGE,
            f"the message has {value.size} bytes, with key and headers {self._length}: send at most 1 MiB",
            bytes(key.kept) or None,
            bytes(value.kept),
            Truncation(value.size, value.hashed.hexdigest()),
            headers,
            self._timestamp,
        )
