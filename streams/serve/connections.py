"""Limits the number of connections and how long clients may keep them idle.

A connection is idle while it has no complete request, or while its client does not read the response. Idle connections
are closed after a timeout. When there are too many, the longest idle one of the client with the most connections is
closed, so that clients that send requests promptly are served.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, cast

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from streams.serve.http_limits import HttpLimit, HttpLimitCounts

REQUEST_WITHIN_S = 10.0
"""From connecting, or the previous response, to the end of the request's headers."""
MAX_UNREAD = 64
"""Responses that clients do not read: each is held in memory."""
MAX_HEAD_BYTES = 32_768
RESERVED_FILES = 128
"""For Redis, listening sockets and the interpreter."""
_LINGER_S = 1.0
"""Time that a client has to read the final response."""
_STREAM = "/api/v1/stream"


def most_connections(wanted: int, file_limit: int) -> int:
    """The number of connections that fits the limit of open files.

    >>> most_connections(2000, 65536), most_connections(2000, 1024)
    (2000, 896)
    """
    return max(16, min(wanted, file_limit - RESERVED_FILES))


class Connections:
    """The open connections of one server."""

    def __init__(self, most: int, limit_counts: HttpLimitCounts) -> None:
        self.most = most
        self.limit_counts = limit_counts
        self._open: Counter[str] = Counter()
        """# {client address: its connections}"""
        self._waiting: dict[str, OrderedDict[BoundedConnection, None]] = {}
        """# {client address: its idle connections, the longest idle first}"""
        self._unread: OrderedDict[BoundedConnection, None] = OrderedDict()

    def __len__(self) -> int:
        return self._open.total()

    def add(self, connection: BoundedConnection) -> None:
        """Add a new, idle connection. Over the limit, drop the longest idle one, or refuse this one."""
        self._open[connection.address] += 1
        if len(self) > self.most:
            longest = self._longest_waiting()
            if longest is None:
                connection.refuse(HttpLimit.CONNECTIONS_FULL)
                return
            longest.drop(HttpLimit.CONNECTION_DROPPED)
        self.wait(connection)

    def remove(self, connection: BoundedConnection) -> None:
        """Remove a closed connection."""
        self.answer(connection)
        self.read(connection)
        self._open[connection.address] -= 1
        if self._open[connection.address] <= 0:
            del self._open[connection.address]

    def wait(self, connection: BoundedConnection) -> None:
        """Mark a connection idle."""
        self._waiting.setdefault(connection.address, OrderedDict()).setdefault(connection)

    def answer(self, connection: BoundedConnection) -> None:
        """Mark a connection busy."""
        waiting = self._waiting.get(connection.address)
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del self._waiting[connection.address]

    def unread(self, connection: BoundedConnection) -> None:
        """Mark a connection whose client does not read. Over the limit, drop the oldest one."""
        self._unread[connection] = None
        if len(self._unread) > MAX_UNREAD:
            next(iter(self._unread)).drop(HttpLimit.ANSWER_NOT_READ)

    def read(self, connection: BoundedConnection) -> None:
        """Mark a connection whose client reads again."""
        self._unread.pop(connection, None)

    def _longest_waiting(self) -> BoundedConnection | None:
        if not self._waiting:
            return None
        address = max(self._waiting, key=self._open.__getitem__)
        return next(iter(self._waiting[address]))


class BoundedConnection(H11Protocol):
    """One connection."""

    def __init__(self, *, connections: Connections, **rest: Any) -> None:
        super().__init__(**rest)
        self.address = ""
        self._held = connections
        self._gone = False
        self._lingers = False
        """Whether the final response was sent; further data is ignored."""
        self._overdue: asyncio.TimerHandle | None = None

    # Callbacks of uvicorn and asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called when the connection is open."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._expect_request()
        self._held.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the connection is closed."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called with received data."""
        if not self._lingers:
            super().data_received(data)

    def handle_events(self) -> None:
        """Called after data was received or a response was sent."""
        super().handle_events()
        self._settle()

    def on_response_complete(self) -> None:
        """Called when a response was sent."""
        super().on_response_complete()
        self._settle()

    def pause_writing(self) -> None:
        """Called when the client reads too slowly."""
        super().pause_writing()
        if not self._gone:
            self._held.wait(self)
            if self.scope is None or self.scope["path"] != _STREAM:  # streams pause until the client has read
                self._held.unread(self)

    def resume_writing(self) -> None:
        """Called when the client has caught up."""
        super().resume_writing()
        self._held.read(self)
        self._settle()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed or oversized request."""
        error = sys.exception()
        if getattr(error, "error_status_hint", 400) == 431:
            self._held.limit_counts[HttpLimit.HEAD_TOO_LARGE] += 1
            in_first_line = b"\n" not in self.conn.trailing_data[0]
            self._answer(*(_LONG_TARGET if in_first_line else _LONG_HEAD))
        else:
            self._answer(400, "no_request", "malformed HTTP/1.1 request")

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore upgrade requests without logging each."""

    # Called by `Connections` ------------------------------------------------------------------------------------------

    def drop(self, why: HttpLimit) -> None:
        """Close the connection at once."""
        self._held.limit_counts[why] += 1
        self._forget()
        self.transport.abort()

    def refuse(self, why: HttpLimit) -> None:
        """Answer 503 and close the connection."""
        self._held.limit_counts[why] += 1
        self._forget()
        self._answer(503, why, f"all {self._held.most} connections of this server are busy: retry in a few seconds")

    # ------------------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Update whether the connection is idle."""
        if self._gone:
            return
        at_rest = self.cycle is None or self.cycle.response_complete
        if not at_rest:
            self._expected()
        elif self._overdue is None:
            self._expect_request()
        if at_rest or self.cycle.more_body or self.flow.write_paused:
            self._held.wait(self)
        else:
            self._held.answer(self)

    def _expect_request(self) -> None:
        self._overdue = self.loop.call_later(REQUEST_WITHIN_S, self._request_overdue)

    def _expected(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _request_overdue(self) -> None:
        self._held.limit_counts[HttpLimit.HEAD_OVERDUE] += 1
        if self.conn.trailing_data[0] and self.conn.our_state is h11.IDLE:
            self._answer(408, HttpLimit.HEAD_OVERDUE, f"no complete request within {REQUEST_WITHIN_S:.0f} s")
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if not self._gone:
            self._gone = True
            self._expected()
            self._held.remove(self)

    def _answer(self, status: int, code: str, message: str) -> None:
        """Send an error and close the connection."""
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        try:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # a response was being sent
            self.transport.abort()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close after the client has had time to read the response: a reset on unread data would discard it."""
        self._forget()
        if self.transport.can_write_eof():
            self._lingers = True
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()


_LONG_TARGET = (414, HttpLimit.HEAD_TOO_LARGE, "the address of this request is too long")
_LONG_HEAD = (431, HttpLimit.HEAD_TOO_LARGE, "the headers of this request are too large")


def bounded_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn."""

    def make_connection(**rest: Any) -> BoundedConnection:
        return BoundedConnection(connections=connections, **rest)

    return cast(type[asyncio.Protocol], cast(Callable[..., object], make_connection))
