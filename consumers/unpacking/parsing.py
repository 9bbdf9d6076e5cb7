"""Parses records from uncompressed bytes: in bulk with aiokafka's parser, or one by one with more checks."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence

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
    """The valid records at the start of `records`, and the error of the first invalid one."""
    parsed = parse_uncompressed(header, DefaultRecordBatch(header.uncompressed(records, count)))
    return _one_by_one(header, records, count) if parsed is None else (parsed, None)


def parse_uncompressed(header: BatchHeader, batch: DefaultRecordBatch) -> list[Record] | None:
    """The records of an uncompressed batch; None if one of them is invalid."""
    try:
        records: list[Record] = list(batch)
    except Exception:  # aiokafka does not report the invalid record
        return None
    plausible = records and header.base_offset <= records[0].offset and records[-1].offset <= header.last_offset
    return records if plausible else None


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


def _length(buffered: memoryview, at: int) -> tuple[int, int]:
    """The length at `at` and its end; the end is beyond the buffer if incomplete, the length -1 if invalid."""
    try:
        return varint(buffered, at) or (len(buffered), at)
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
        if (number_and_end := varint(held, at)) is None:
            return 0
        at = number_and_end[1] + (max(0, number_and_end[0]) if n >= 2 else 0)
    return length - at


def _one_by_one(header: BatchHeader, records: memoryview, count: int) -> tuple[list[Record], UnreadableError | None]:
    stream, previous_offset = ByteStream([records]), header.base_offset - 1
    parsed: list[Record] = []
    try:
        for _ in range(count):
            length = stream.varint()
            whole = stream.buffered[: max(0, length)]
            if len(whole) != length:
                raise UnreadableError("the records end early")
            record = _record(header, ByteStream([whole]))
            if not previous_offset < record.offset <= header.last_offset:
                raise UnreadableError(f"offset {record.offset} is outside the batch")
            previous_offset = record.offset
            stream.advance(length)
            parsed.append(record)
    except UnreadableError as error:
        return parsed, error
    return parsed, None


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
    delta_ms = stream.varint()
    return (
        header.base_offset + stream.varint(),
        header.max_timestamp_ms if header.is_log_append_time else header.base_timestamp_ms + delta_ms,
    )


def _bytes(stream: ByteStream) -> bytes | None:
    size = stream.varint()
    if size < 0:
        return None
    content = bytes(stream.fill(size)[:size])
    if len(content) < size:
        raise UnreadableError("the records end early")
    stream.advance(size)
    return content


def skip_large_record(
    header: BatchHeader, stream: ByteStream, length: int, step_bytes: int
) -> Iterator[SkippedRecords | None]:
    """Skip a record too large for memory, keeping its first bytes and its hash; the stream is after its length.

    Yields None whenever about `step_bytes` were read, and the record at its end. Raises UnreadableError.
    """
    end = stream.bytes_read + length
    offset, timestamp = _offset_and_time(header, stream)
    if not header.base_offset <= offset <= header.last_offset:
        raise UnreadableError(f"offset {offset} is outside the batch")
    key, _ = yield from _truncated_field(stream, end, step_bytes)
    value, truncation = yield from _truncated_field(stream, end, step_bytes)
    headers: MessageHeaders = ()
    if end - stream.bytes_read <= TRUNCATION_BYTES:
        headers = _headers(stream)
    else:
        yield from _truncated(stream, end - stream.bytes_read, step_bytes)
    yield SkippedRecords(
        offset,
        offset,
        RejectionReason.TOO_LARGE,
        f"the message has {truncation.size} bytes, with key and headers {length}: send at most 1 MiB",
        key or None,
        value,
        truncation,
        headers,
        timestamp,
    )


def _truncated_field(stream: ByteStream, end: int, step_bytes: int) -> Generator[None, None, tuple[bytes, Truncation]]:
    size = stream.varint()
    if size > end - stream.bytes_read:
        raise UnreadableError("a field is longer than its record")
    return (yield from _truncated(stream, max(0, size), step_bytes))


def _truncated(stream: ByteStream, size: int, step_bytes: int) -> Generator[None, None, tuple[bytes, Truncation]]:
    """Read `size` bytes; returns the first of them."""
    beginning, hashed, remaining, pause_at = bytearray(), hashlib.sha256(), size, stream.bytes_read + step_bytes
    while remaining:
        chunk = stream.take(min(remaining, step_bytes))
        hashed.update(chunk)
        beginning += chunk[: max(0, TRUNCATION_BYTES - len(beginning))]
        remaining -= len(chunk)
        if stream.bytes_read >= pause_at:
            pause_at = stream.bytes_read + step_bytes
            yield
    return bytes(beginning), Truncation(size, hashed.hexdigest())
