"""Snappy in both framings used by producers: xerial's blocks, or a single block of any size.

https://github.com/google/snappy/blob/main/format_description.txt. A large block is split at its elements into pieces,
and each piece is decompressed as a block with the previous 64 KiB of output before it, which its copies may refer to
(no compressor refers further back).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cramjam

from consumers.unpacking.errors import UnreadableError

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_BYTES = 16
_HISTORY_BYTES = 2**16
_LONG_LITERAL = 60
"""From this value on, the literal's length is in the bytes after its tag."""
_STEP = [0] * 256
"""Bytes of an element by its tag; 0 if the following bytes determine it."""
_MADE = [0] * 256
"""Uncompressed bytes of an element by its tag."""
for _tag in range(256):
    _kind, _length = _tag & 3, _tag >> 2
    if _kind == 0 and _length < _LONG_LITERAL:
        _STEP[_tag], _MADE[_tag] = _length + 2, _length + 1
    elif _kind:
        _STEP[_tag], _MADE[_tag] = (0, 2, 3, 5)[_kind], (_length & 7) + 4 if _kind == 1 else _length + 1


def snappy_chunks(data: memoryview, most: int) -> Iterator[bytes | memoryview]:
    """Decompress into chunks of about `most` bytes. Raises UnreadableError, or cramjam's DecompressionError."""
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        yield from _block(data, most)
        return
    at = _XERIAL_BYTES
    while at < len(data):
        try:
            (size,) = struct.unpack_from(">i", data, at)
        except struct.error:
            raise UnreadableError("snappy: ends early") from None
        block = data[at + 4 : at + 4 + size]
        if size < 0 or len(block) < size:
            raise UnreadableError("snappy: ends early, or a block has a wrong length")
        yield from _block(block, most)
        at += 4 + size


def _block(block: memoryview, most: int) -> Iterator[bytes | memoryview]:
    size, at = _preamble(block)
    if size <= most:
        yield bytes(cramjam.snappy.decompress_raw(block))
        return
    data, history, made = bytes(block), b"", 0
    while at < len(data):
        start, count, literal = at, 0, 0
        while at < len(data) and count < most:
            tag = data[at]
            if step := _STEP[tag]:
                at += step
                count += _MADE[tag]
                continue
            wide = (tag >> 2) - _LONG_LITERAL + 1
            literal = int.from_bytes(data[at + 1 : at + 1 + wide], "little") + 1
            if literal > most:
                break
            at += 1 + wide + literal
            count += literal
            literal = 0
        if count:
            piece = _piece(history, data[start:at], count)
            history = bytes((history + piece)[-_HISTORY_BYTES:])
            made += count
            yield piece
        if literal:
            at += 1 + wide
            if len(data) - at < literal:
                raise UnreadableError("snappy: ends early")
            for some in range(at, at + literal, most):
                yield data[some : min(some + most, at + literal)]
            at += literal
            made += literal
            history = data[at - _HISTORY_BYTES : at]
    if made != size:
        raise UnreadableError(f"snappy: unpacks to {made} bytes and announces {size}")


def _piece(history: bytes, elements: bytes, count: int) -> bytes:
    before = b"" if not history else b"\xf8" + (len(history) - 1).to_bytes(3, "little") + history
    block = _varint(len(history) + count) + before + elements
    return bytes(memoryview(cramjam.snappy.decompress_raw(block))[len(history) :])


def _preamble(block: memoryview) -> tuple[int, int]:
    """The announced size and the start of the elements."""
    size = 0
    for at, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return size, at + 1
    raise UnreadableError("snappy: no size")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
