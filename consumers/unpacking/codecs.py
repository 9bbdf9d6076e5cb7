"""Streaming decompression in chunks of a few MiB.

Sizes announced in the compressed bytes are not trusted.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import IntEnum

import cramjam
import zstandard

from consumers.unpacking.errors import UnreadableError
from consumers.unpacking.lz4_frames import lz4_chunks
from consumers.unpacking.snappy_blocks import snappy_chunks

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
