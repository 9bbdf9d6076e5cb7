"""Bytes that come in chunks, read from the front."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.unpacking.errors import UnreadableError

_VARINT_BYTES = 10


class ByteStream:
    """Holds as much as was asked for, and a chunk. What the chunks raise goes through."""

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = iter(chunks)
        self._buffered: bytes | memoryview = b""
        self._at = 0
        self.bytes_read = 0
        """Bytes read so far."""
        self.ended = False
        """Whether nothing follows what is held."""

    @property
    def buffered(self) -> memoryview:
        """What is held and not read."""
        return memoryview(self._buffered)[self._at :]

    def fill(self, size: int) -> memoryview:
        """Hold at least so many bytes, unless there are fewer left; returns all that is held."""
        have = len(self._buffered) - self._at
        if have < size and not self.ended:
            parts: list[bytes | memoryview] = [self.buffered] if have else []
            while have < size:
                chunk = next(self._chunks, None)
                if chunk is None:
                    self.ended = True
                    break
                parts.append(chunk)
                have += len(chunk)
            self._buffered, self._at = parts[0] if len(parts) == 1 else b"".join(parts), 0
        return self.buffered

    def advance(self, size: int) -> None:
        """These bytes, which are held, are read."""
        self._at += size
        self.bytes_read += size

    def take(self, size: int) -> memoryview:
        """The next bytes, as they are held: at least one, at most so many. Raises UnreadableError where none are."""
        some = self.fill(1)[:size]
        if size and not some:
            raise UnreadableError("the records end early")
        self.advance(len(some))
        return some

    def varint(self) -> int:
        """The next number. Raises UnreadableError."""
        found = varint(self.fill(_VARINT_BYTES), 0)
        if found is None:
            raise UnreadableError("the records end early")
        self.advance(found[1])
        return found[0]


def varint(buffered: memoryview | bytes, at: int) -> tuple[int, int] | None:
    """The number that begins at `at` (zigzag, as Kafka writes it) and where it ends; None: it goes on beyond what is
    held. Raises UnreadableError where no number is.
    """
    number = 0
    for shift, byte in enumerate(buffered[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + shift + 1
    if len(buffered) - at >= _VARINT_BYTES:
        raise UnreadableError("a length in the records is no number")
    return None
