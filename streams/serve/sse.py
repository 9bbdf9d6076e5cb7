"""Server-sent events as bytes, and the ids by which a client resumes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

StreamEntryId: TypeAlias = tuple[int, int]
"""Where a change stands in its log: the id of an entry of a Redis stream, the same for every server."""

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"
"""Nothing is new. An event and no comment: scripts in a browser are to see that the stream still reaches them."""
RETRY = b"retry: 1000\n"
"""How long, ms, a client is to wait before it comes back."""
_ID = re.compile(r"(\d{1,15})?\.(?:(\d{1,15})-(\d{1,19}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Up to where a client has seen everything. It says the same at every server."""

    as_of_ms: int | None
    """Of the last `kpis` event."""
    change: StreamEntryId | None
    """The last change of an alert; None: none, and where they stood was not known."""

    def __str__(self) -> str:
        """As an event's id.

        >>> str(Seen(1764590400000, (1764590399500, 0)))
        '1764590400000.1764590399500-0'
        """
        change = "" if self.change is None else f"{self.change[0]}-{self.change[1]}"
        return f"{'' if self.as_of_ms is None else self.as_of_ms}.{change}"


def parse_event_id(text: str) -> StreamPosition:
    """What an id says.

    Raises:
        ValueError: it is none of ours.

    >>> parse("1764590400000.")
    Seen(as_of_ms=1764590400000, change=None)
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no id of an event of this stream")
    as_of, ms, number = found.groups()
    return StreamPosition(None if as_of is None else int(as_of), None if ms is None else (int(ms), int(number)))


def event(name: str, data: bytes, seen: StreamPosition | None = None) -> bytes:
    """One event. `data`: JSON, which has no line breaks; `seen`: what the client has seen with it."""
    at = b"" if seen is None else f"id: {seen}\n".encode()
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), at, data)
