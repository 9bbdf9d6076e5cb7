"""Kafka's message formats before version 2 (0.11): single messages, or one message with many compressed in it.

https://kafka.apache.org/documentation/#messageset
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from consumers.unpacking.codecs import decompress
from consumers.unpacking.record import CorruptBatchError, Record, UnreadableError

SHORTEST_BYTES = 26
"""A message of version 0 without key and value."""
_CRC_AT, _CRC_OF = 12, 16
_CODEC_MASK, _APPEND_TIME_MASK = 0x07, 0x08
_MOST_BYTES = 2**25
"""Uncompressed limit of one message, as it is decompressed at once."""


class LegacyMessage:
    """A message with a valid checksum. Raises CorruptBatchError otherwise."""

    def __init__(self, message: memoryview) -> None:
        try:
            (crc,) = struct.unpack_from(">I", message, _CRC_AT)
            if crc != crc32(message[_CRC_OF:]):
                raise CorruptBatchError("its checksum is wrong")
            self.offset: int = struct.unpack_from(">q", message)[0]
            self._version, self._attributes, self._timestamp, self._key, self._value = _fields(message)
        except struct.error:
            raise CorruptBatchError("it ends early") from None
        self.unpacked_bytes = len(message)

    def records(self) -> Iterator[Record]:
        """The records in the message. Raises UnreadableError if they cannot be decoded."""
        codec = self._attributes & _CODEC_MASK
        if not codec:
            yield Record(self.offset, self._timestamp, self._key, self._value, ())
            return
        inner = b"".join(self._unpacked(codec))
        self.unpacked_bytes = len(inner)
        messages = list(_messages(memoryview(inner)))
        # From version 1 on, inner offsets are relative to the outer one, which is the last.
        first = self.offset - messages[-1][0] if messages and self._version else 0
        for offset, (_, attributes, timestamp, key, value) in messages:
            if attributes & _CODEC_MASK:
                raise UnreadableError("it is compressed twice")
            at = self._timestamp if self._attributes & _APPEND_TIME_MASK else timestamp
            yield Record(first + offset, at, key, value, ())

    def _unpacked(self, codec: int) -> Iterator[bytes | memoryview]:
        size = 0
        for chunk in decompress(codec, memoryview(self._value or b"")):
            size += len(chunk)
            if size > _MOST_BYTES:
                raise UnreadableError(f"it unpacks to more than {_MOST_BYTES} bytes")
            yield chunk


_Fields = tuple[int, int, int | None, bytes | None, bytes | None]


def _messages(inner: memoryview) -> Iterator[tuple[int, _Fields]]:
    at = 0
    try:
        while at < len(inner):
            offset, length = struct.unpack_from(">qi", inner, at)
            end = at + _CRC_AT + length
            if not SHORTEST_BYTES <= end - at <= len(inner) - at:
                raise UnreadableError("a message in it has a wrong length")
            yield offset, _fields(inner[at:end])
            at = end
    except struct.error:
        raise UnreadableError("a message in it ends early") from None


def _fields(message: memoryview) -> _Fields:
    """Version, attributes, time, key and value. Raises struct.error."""
    version, attributes = struct.unpack_from(">bb", message, _CRC_OF)
    at, timestamp = _CRC_OF + 2, None
    if version:
        (timestamp,) = struct.unpack_from(">q", message, at)
        at += 8
    key, at = _bytes(message, at)
    value, _ = _bytes(message, at)
    return version, attributes, timestamp, key, value


def _bytes(message: memoryview, at: int) -> tuple[bytes | None, int]:
    (size,) = struct.unpack_from(">i", message, at)
    at += 4
    if size < 0:
        return None, at
    if at + size > len(message):
        raise struct.error("beyond the end")
    return bytes(message[at : at + size]), at + size
