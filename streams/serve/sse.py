"""Server-sent events as bytes, and the event ids that clients resume from. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

StreamEntryId: TypeAlias = tuple[int, int]
"""Position in a Redis stream, the same for every server."""

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"
"""An event and not a comment, so that scripts in browsers see that the stream is alive."""
RETRY = b"retry: 1000\n"
"""Milliseconds that a client waits before it reconnects."""
_ID = re.compile(r"(\d{1,15})?\.(?:(\d{1,15})-(\d{1,19}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """The position up to which a client has received everything; valid at every server."""

    as_of_ms: int | None
    """Of the last `kpis` event."""
    change: StreamEntryId | None
    """Of the last alert change; None: unknown."""

    def __str__(self) -> str:
        """The event id.

        >>> str(StreamPosition(1764590400000, (1764590399500, 0)))
        '1764590400000.1764590399500-0'
        """
        change = "" if self.change is None else f"{self.change[0]}-{self.change[1]}"
        return f"{'' if self.as_of_ms is None else self.as_of_ms}.{change}"


def parse_event_id(text: str) -> StreamPosition:
    """The position of an event id.

    Raises:
        ValueError: it is not an id of this stream.

    >>> parse_event_id("1764590400000.")
    StreamPosition(as_of_ms=1764590400000, change=None)
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an event id of this stream")
    as_of, ms, number = match.groups()
    return StreamPosition(None if as_of is None else int(as_of), None if ms is None else (int(ms), int(number)))


def event(name: str, data: bytes, seen: StreamPosition | None = None) -> bytes:
    """One event. `data`: JSON in one line; `seen`: the client's position after it."""
    id_line = b"" if seen is None else f"id: {seen}\n".encode()
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), id_line, data)
