"""Streaming decompression in chunks of a few MiB. Sizes announced in the compressed bytes are not trusted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterator
from enum import IntEnum

import cramjam
import zstandard

from consumers.unpacking.record import UnreadableError

_CHUNK_BYTES = 2**20
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
                yield from _snappy(data)
            case Codec.LZ4:
                yield from _lz4(data)
            case Codec.ZSTD:
                yield from _zstd(data)
            case _:
                raise UnreadableError(f"compression codec {codec} is unknown")
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError) as error:
        raise UnreadableError(f"{Codec(codec).name.lower()}: {error}") from None
    except struct.error:
        raise UnreadableError(f"{Codec(codec).name.lower()}: ends early") from None


def _gzip(data: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(data) and (at == 0 or bytes(data[at : at + 2]) == _GZIP_MAGIC):  # padding after a member
        inflating = zlib.decompressobj(_GZIP)
        compressed: bytes | memoryview = b""
        chunk = b""
        while not inflating.eof:
            if not compressed and len(chunk) < _CHUNK_BYTES:  # a full chunk: more output may be pending
                compressed = data[at : at + _FEED_BYTES]  # small inputs: the unused rest is copied
                at += len(compressed)
                if not compressed:
                    raise UnreadableError("gzip: ends early")
            chunk = inflating.decompress(compressed, _CHUNK_BYTES)
            compressed = inflating.unconsumed_tail
            if chunk:
                yield chunk
        at -= len(inflating.unused_data)


def _zstd(data: memoryview) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES).stream_reader(data, read_across_frames=True)
    while chunk := reader.read(_CHUNK_BYTES):
        yield chunk


# LZ4: frames of https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, block by block. Their checksums are not
# verified: a batch has its own.

_LZ4_MAGIC = 0x184D2204
_VERSION, _VERSION_MASK = 0x40, 0xC0
_INDEPENDENT, _BLOCK_CHECKSUM, _CONTENT_SIZE, _CONTENT_CHECKSUM, _DICTIONARY = 0x20, 0x10, 0x08, 0x04, 0x01
_BLOCK_BYTES = {4: 2**16, 5: 2**18, 6: 2**20, 7: 2**22}
_PLAIN = 0x80000000
_LINKED_MOST_BYTES = 2**25


def _lz4(data: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        at = yield from _lz4_frame(data, at)


def _lz4_frame(data: memoryview, at: int) -> Generator[bytes, None, int]:
    """Yields the blocks of the frame at `at`, returns the frame's end."""
    magic, flags, sizes = struct.unpack_from("<IBB", data, at)
    max_bytes = _BLOCK_BYTES.get(sizes >> 4 & 7)
    if magic != _LZ4_MAGIC or flags & _VERSION_MASK != _VERSION or flags & _DICTIONARY or max_bytes is None:
        raise UnreadableError("lz4: not a frame of the format that Kafka uses")
    if not flags & _INDEPENDENT:  # at once, up to a limit: Apache Kafka rejects such frames from producers
        output = bytearray(_LINKED_MOST_BYTES)
        yield bytes(memoryview(output)[: cramjam.lz4.decompress_into(data[at:], output)])
        return len(data)
    at += 7 + (8 if flags & _CONTENT_SIZE else 0)
    output = bytearray(max_bytes)
    while True:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size == 0:
            return at + (4 if flags & _CONTENT_CHECKSUM else 0)
        plain, size = size & _PLAIN, size & ~_PLAIN
        packed = data[at : at + size]
        if len(packed) < size or size > max_bytes:
            raise UnreadableError("lz4: ends early, or a block is too large")
        yield bytes(packed if plain else memoryview(output)[: cramjam.lz4.decompress_block_into(packed, output)])
        at += size + (4 if flags & _BLOCK_CHECKSUM else 0)


# Snappy: xerial's blocks, or a single block of any size (https://github.com/google/snappy/blob/main/
# format_description.txt). A large block is split at its elements into pieces, and each piece is decompressed as a block
# with the previous 64 KiB of output before it, which its copies may refer to (no compressor refers further back).

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_BYTES = 16
_HISTORY_BYTES = 2**16
_LONG_LITERAL = 60
"""From this value on, the literal's length is in the bytes after its tag."""
_PACKED_BYTES = [0] * 256
"""Length of an element by its tag; 0 if the following bytes determine it."""
_UNPACKED_BYTES = [0] * 256
for _tag in range(256):
    _kind, _length = _tag & 3, _tag >> 2
    if _kind == 0 and _length < _LONG_LITERAL:
        _PACKED_BYTES[_tag], _UNPACKED_BYTES[_tag] = _length + 2, _length + 1
    elif _kind:
        _PACKED_BYTES[_tag] = (0, 2, 3, 5)[_kind]
        _UNPACKED_BYTES[_tag] = (_length & 7) + 4 if _kind == 1 else _length + 1


def _snappy(data: memoryview) -> Iterator[bytes | memoryview]:
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        yield from _snappy_block(data)
        return
    at = _XERIAL_BYTES
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        block = data[at + 4 : at + 4 + size]
        if size < 0 or len(block) < size:
            raise UnreadableError("snappy: ends early, or a block has a wrong length")
        yield from _snappy_block(block)
        at += 4 + size


def _snappy_block(block: memoryview) -> Iterator[bytes | memoryview]:
    size, at = _snappy_size(block)
    if size <= _CHUNK_BYTES:
        yield bytes(cramjam.snappy.decompress_raw(block))
        return
    data, history, unpacked = bytes(block), b"", 0
    while at < len(data):
        start, count, literal = at, 0, 0
        while at < len(data) and count < _CHUNK_BYTES:
            tag = data[at]
            if packed := _PACKED_BYTES[tag]:
                at += packed
                count += _UNPACKED_BYTES[tag]
                continue
            wide = (tag >> 2) - _LONG_LITERAL + 1
            literal = int.from_bytes(data[at + 1 : at + 1 + wide], "little") + 1
            if literal > _CHUNK_BYTES:
                break
            at += 1 + wide + literal
            count += literal
            literal = 0
        if count:
            piece = _snappy_piece(history, data[start:at], count)
            history = bytes((history + piece)[-_HISTORY_BYTES:])
            unpacked += count
            yield piece
        if literal:
            at += 1 + wide
            if len(data) - at < literal:
                raise UnreadableError("snappy: ends early")
            for begin in range(at, at + literal, _CHUNK_BYTES):
                yield data[begin : min(begin + _CHUNK_BYTES, at + literal)]
            at += literal
            unpacked += literal
            history = data[at - _HISTORY_BYTES : at]
    if unpacked != size:
        raise UnreadableError(f"snappy: unpacks to {unpacked} bytes and announces {size}")


def _snappy_piece(history: bytes, elements: bytes, count: int) -> bytes:
    """Decompress elements that unpack to `count` bytes: as a block that begins with `history` as a literal."""
    prefix = b"" if not history else b"\xf8" + (len(history) - 1).to_bytes(3, "little") + history
    size, number = bytearray(), len(history) + count
    while number >= 0x80:
        size.append(number & 0x7F | 0x80)
        number >>= 7
    block = bytes([*size, number]) + prefix + elements
    return bytes(memoryview(cramjam.snappy.decompress_raw(block))[len(history) :])


def _snappy_size(block: memoryview) -> tuple[int, int]:
    """The announced size and the start of the elements."""
    size = 0
    for at, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return size, at + 1
    raise UnreadableError("snappy: no size")
