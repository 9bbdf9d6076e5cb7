"""A buffered reader over chunks of bytes."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.unpacking.record import UnreadableError

_VARINT_BYTES = 10


class ByteStream:
    """Buffers only the bytes requested, rounded up to a chunk. Propagates exceptions of the chunks' iterator."""

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = iter(chunks)
        self._buffered: bytes | memoryview = b""
        self._at = 0
        self.bytes_read = 0
        """Bytes read so far."""
        self.ended = False
        """Whether nothing follows the buffered bytes."""

    @property
    def buffered(self) -> memoryview:
        """The buffered bytes."""
        return memoryview(self._buffered)[self._at :]

    def fill(self, size: int) -> memoryview:
        """Buffer at least `size` bytes if available; returns the buffer."""
        available = len(self._buffered) - self._at
        if available < size and not self.ended:
            parts: list[bytes | memoryview] = [self.buffered] if available else []
            while available < size:
                chunk = next(self._chunks, None)
                if chunk is None:
                    self.ended = True
                    break
                parts.append(chunk)
                available += len(chunk)
            self._buffered, self._at = parts[0] if len(parts) == 1 else b"".join(parts), 0
        return self.buffered

    def advance(self, size: int) -> None:
        """Consume buffered bytes."""
        self._at += size
        self.bytes_read += size

    def take(self, size: int) -> memoryview:
        """Read between one and `size` bytes without copying. Raises UnreadableError at the end."""
        taken = self.fill(1)[:size]
        if size and not taken:
            raise UnreadableError("the records end early")
        self.advance(len(taken))
        return taken

    def varint(self) -> int:
        """Read a varint. Raises UnreadableError if it is incomplete or invalid."""
        number_and_end = varint(self.fill(_VARINT_BYTES), 0)
        if number_and_end is None:
            raise UnreadableError("the records end early")
        self.advance(number_and_end[1])
        return number_and_end[0]


def varint(buffered: memoryview | bytes, at: int) -> tuple[int, int] | None:
    """The zigzag varint at `at` and its end; None if it is incomplete. Raises UnreadableError for an invalid one."""
    number = 0
    for shift, byte in enumerate(buffered[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + shift + 1
    if len(buffered) - at >= _VARINT_BYTES:
        raise UnreadableError("a length in the records is not a number")
    return None
