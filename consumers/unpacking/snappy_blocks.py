"""Snappy, in both ways that producers frame it: the blocks of xerial's library, or one block of any size.

https://github.com/google/snappy/blob/main/format_description.txt. One large block is cut at its elements into pieces,
each of which is made a block of its own: preceded by the last 64 KiB before it, as what its copies may refer to. (No
compressor refers further back.)
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
"""From here on a literal's length is in the bytes after its tag."""
_STEP = [0] * 256
"""How many bytes an element takes, by its tag; 0: that is said by the bytes that follow."""
_MADE = [0] * 256
"""How many bytes it unpacks to."""
for _tag in range(256):
    _kind, _length = _tag & 3, _tag >> 2
    if _kind == 0 and _length < _LONG_LITERAL:
        _STEP[_tag], _MADE[_tag] = _length + 2, _length + 1
    elif _kind:
        _STEP[_tag], _MADE[_tag] = (0, 2, 3, 5)[_kind], (_length & 7) + 4 if _kind == 1 else _length + 1


def snappy_chunks(data: memoryview, most: int) -> Iterator[bytes | memoryview]:
    """What it unpacks to, in chunks of about `most` bytes. Raises UnreadableError, or cramjam's DecompressionError."""
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
    """The announced size, and where the elements begin."""
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
