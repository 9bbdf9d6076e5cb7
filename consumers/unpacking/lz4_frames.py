"""LZ4 frames, one block of up to 4 MiB at a time.

https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md. Checksums are ignored: a batch has its own.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

import cramjam

from consumers.unpacking.errors import UnreadableError

_MAGIC = 0x184D2204
_VERSION, _VERSION_MASK = 0x40, 0xC0
_INDEPENDENT, _BLOCK_CHECKSUM, _CONTENT_SIZE, _CONTENT_CHECKSUM, _DICTIONARY = 0x20, 0x10, 0x08, 0x04, 0x01
_BLOCK_BYTES = {4: 2**16, 5: 2**18, 6: 2**20, 7: 2**22}
_PLAIN = 0x80000000
_LINKED_MOST_BYTES = 2**25


def lz4_chunks(data: memoryview) -> Iterator[bytes]:
    """Decompress the frames. Raises UnreadableError, or cramjam's DecompressionError."""
    at = 0
    try:
        while at < len(data):
            at = yield from _frame(data, at)
    except struct.error:
        raise UnreadableError("lz4: ends early") from None


def _frame(data: memoryview, at: int) -> Generator[bytes, None, int]:
    """Yields the blocks of the frame at `at`, returns the frame's end."""
    magic, flags, sizes = struct.unpack_from("<IBB", data, at)
    most = _BLOCK_BYTES.get(sizes >> 4 & 7)
    if magic != _MAGIC or flags & _VERSION_MASK != _VERSION or flags & _DICTIONARY or most is None:
        raise UnreadableError("lz4: not a frame of the format that Kafka uses")
    if not flags & _INDEPENDENT:
        yield _linked(data[at:])
        return len(data)
    at += 7 + (8 if flags & _CONTENT_SIZE else 0)
    block = bytearray(most)
    while True:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size == 0:
            return at + (4 if flags & _CONTENT_CHECKSUM else 0)
        plain, size = size & _PLAIN, size & ~_PLAIN
        packed = data[at : at + size]
        if len(packed) < size or size > most:
            raise UnreadableError("lz4: ends early, or a block is too large")
        if plain:
            yield bytes(packed)
        else:
            count = cramjam.lz4.decompress_block_into(packed, block)
            yield bytes(memoryview(block)[:count])
        at += size + (4 if flags & _BLOCK_CHECKSUM else 0)


def _linked(frames: memoryview) -> bytes:
    """Decompress linked blocks at once, up to a limit. Apache Kafka rejects such frames from producers."""
    room = bytearray(_LINKED_MOST_BYTES)
    count = cramjam.lz4.decompress_into(frames, room)
    return bytes(memoryview(room)[:count])
