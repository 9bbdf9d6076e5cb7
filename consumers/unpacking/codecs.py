"""Streaming decompression in chunks of a few MiB.

Sizes announced in the compressed bytes are not trusted. LZ4 frames (as in
https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md) are read block by block, without their checksums: a
batch has its own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterator
from enum import IntEnum

import cramjam
import zstandard

from consumers.unpacking.errors import UnreadableError
from consumers.unpacking.snappy_blocks import snappy_chunks

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


CHUNK_BYTES = 2**20
_FEED_BYTES = 2**16
_GZIP, _GZIP_MAGIC = 31, b"\x1f\x8b"
_MOST_WINDOW_BYTES = 2**27
"""The largest window of the zstd command and of other Kafka clients."""


class Codec(IntEnum):
    """Kafka's compression codecs."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


def decompress(codec: int, data: memoryview) -> Iterator[bytes | memoryview]:
    """Decompress `data` into chunks of a few MiB at most. Raises UnreadableError, at once or after some chunks."""
    try:
        match codec:
            case Codec.NONE:
                yield data
            case Codec.GZIP:
                yield from _gzip(data)
            case Codec.SNAPPY:
                yield from snappy_chunks(data, CHUNK_BYTES)
            case Codec.LZ4:
                yield from lz4_chunks(data)
            case Codec.ZSTD:
                yield from _zstd(data)
            case _:
                raise UnreadableError(f"compression codec {codec} is unknown")
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError) as error:
        raise UnreadableError(f"{Codec(codec).name.lower()}: {error}") from None


def _gzip(data: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(data) and (at == 0 or bytes(data[at : at + 2]) == _GZIP_MAGIC):  # padding after a member
        inflating = zlib.decompressobj(_GZIP)
        fed: bytes | memoryview = b""
        chunk = b""
        while not inflating.eof:
            if not fed and len(chunk) < CHUNK_BYTES:  # a full chunk: more output may be pending
                fed = data[at : at + _FEED_BYTES]  # small inputs: the unused rest is copied
                at += len(fed)
                if not fed:
                    raise UnreadableError("gzip: ends early")
            chunk = inflating.decompress(fed, CHUNK_BYTES)
            fed = inflating.unconsumed_tail
            if chunk:
                yield chunk
        at -= len(inflating.unused_data)


def _zstd(data: memoryview) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES).stream_reader(data, read_across_frames=True)
    while chunk := reader.read(CHUNK_BYTES):
        yield chunk
