"""The header of Kafka's batches of version 2 (since 0.11).

https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_FORMAT = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _FORMAT.size
LOG_OVERHEAD_BYTES = 12
"""Base offset and length; the length counts the bytes after them."""
MAGIC_AT = 16
"""Position of the format version."""
MAGIC = 2
"""The format version of these batches."""
PIECE_RECORDS = 50_000
"""Maximum number of records to parse at a time."""
_CODEC_MASK = 0x07
_APPEND_TIME_MASK = 0x08
_TRANSACTIONAL_MASK = 0x10
_CONTROL_MASK = 0x20


class BatchHeader(NamedTuple):
    """The header's fields. The CRC covers only the fields after it."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def codec(self) -> int:
        """A `Codec`, or an unknown number."""
        return self.attributes & _CODEC_MASK

    @property
    def is_control(self) -> bool:
        """Whether it holds transaction markers instead of records."""
        return bool(self.attributes & _CONTROL_MASK)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL_MASK)

    @property
    def is_small(self) -> bool:
        """Whether its record count is positive and can be parsed at once."""
        return 0 < self.record_count <= PIECE_RECORDS and not self.is_control

    @property
    def is_log_append_time(self) -> bool:
        """Whether its records have the broker's append time."""
        return bool(self.attributes & _APPEND_TIME_MASK)

    @property
    def last_offset(self) -> int:
        """Offset of the last record, even if compaction removed it."""
        return self.base_offset + self.last_offset_delta

    def uncompressed(self, records: bytes | memoryview, count: int) -> bytes:
        """An uncompressed batch with the same offsets and times that holds these records."""
        length = HEADER_BYTES - LOG_OVERHEAD_BYTES + len(records)
        attributes = self.attributes & ~_CODEC_MASK
        return _FORMAT.pack(*self._replace(length=length, attributes=attributes, record_count=count)) + records


def read_header(batch: memoryview) -> BatchHeader:
    """Parse the header at the start of `batch`, which has at least `HEADER_BYTES` bytes."""
    return BatchHeader._make(_FORMAT.unpack_from(batch))
