"""Limits the size of requests and the time to receive them; cancels those whose client has disconnected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.serve.encoding import error_response
from streams.serve.http_limits import HttpLimit, HttpLimitCounts

MAX_TARGET_BYTES = 8_192
MAX_HEADER_BYTES = 16_384
MAX_BODY_BYTES = 262_144
MAX_HELD_BYTES = 16 * 2**20
"""Maximum total of all bodies being received."""
BODY_WITHIN_S = 10.0
_DISCARD_S = 2.0
"""How long a body that is too large is read: clients that are still sending would miss the response."""
_CLOSE = {"connection": "close"}


class RequestLimits:
    """ASGI middleware: the app gets whole bodies of limited size."""

    def __init__(self, app: ASGIApp, limit_counts: HttpLimitCounts) -> None:
        self._app = app
        self._limit_counts = limit_counts
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 408, 413, 414, 431 or 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._head(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            await self._with_body(headers, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _head(self, scope: Scope) -> Response | None:
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if target > MAX_TARGET_BYTES:
            text = f"the address of this request has {target:,} bytes, {MAX_TARGET_BYTES:,} is the limit"
            return self._refusal(414, HttpLimit.HEAD_TOO_LARGE, text)
        size = _size(scope["headers"])
        if size > MAX_HEADER_BYTES:
            text = f"the headers of this request have {size:,} bytes, {MAX_HEADER_BYTES:,} is the limit"
            return self._refusal(431, HttpLimit.HEAD_TOO_LARGE, text)
        return None

    async def _with_body(self, headers: dict[bytes, bytes], scope: Scope, receive: Receive, send: Send) -> None:
        body = _HeldBody()
        try:
            refusal = await self._received(body, headers, receive)
            if body.gone:
                return
            if refusal is None:
                await self._app(scope, _Replayed(b"".join(body.parts), receive), send)
            else:
                await refusal(scope, receive, send)
        finally:
            self._held -= body.size

    async def _received(self, body: _HeldBody, headers: dict[bytes, bytes], receive: Receive) -> Response | None:
        """Receive the whole body; returns the refusal, or None."""
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
            return await self._too_large(headers, receive)
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        body.gone = True
                        return None
                    more, part = message.get("more_body", False), message.get("body", b"")
                    body.parts.append(part)
                    body.size += len(part)
                    self._held += len(part)
                    if body.size > MAX_BODY_BYTES:
                        return await self._too_large(headers, receive)
                    if self._held > MAX_HELD_BYTES:
                        text = "too many request bodies are being received: retry in a few seconds"
                        return self._refusal(503, HttpLimit.BODIES_FULL, text, {"retry-after": "1"})
        except TimeoutError:
            text = f"no complete body within {BODY_WITHIN_S:.0f} s"
            return self._refusal(408, HttpLimit.BODY_OVERDUE, text)
        return None

    async def _too_large(self, headers: dict[bytes, bytes], receive: Receive) -> Response:
        if headers.get(b"expect", b"").lower() != b"100-continue":  # such a client has not sent the body yet
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DISCARD_S):
                    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                        pass
        text = f"the body of this request is too large: {MAX_BODY_BYTES:,} bytes is the limit"
        return self._refusal(413, HttpLimit.BODY_TOO_LARGE, text)

    def _refusal(self, status: int, why: HttpLimit, message: str, headers: dict[str, str] | None = None) -> Response:
        self._limit_counts[why] += 1
        return error_response(status, why, message, _CLOSE | (headers or {}))


@dataclass(slots=True)
class _HeldBody:
    """A body that is being received."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    gone: bool = False
    """Whether the client has disconnected."""


class _Replayed:
    """`receive` for a body that was already received."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """The body first, then the original messages."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(text) + 4 for name, text in headers)


class CancelOnDisconnect:
    """ASGI middleware: cancels a GET of the API when its client disconnects. Streams do that themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if not _may_be_given_up(scope):
            await self._app(scope, receive, send)
            return
        gone = asyncio.create_task(_gone(receive))
        answering = asyncio.ensure_future(self._app(scope, _nothing_to_receive, send))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                answering.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answering
                return
            await answering
        finally:
            answering.cancel()
            gone.cancel()


def _may_be_given_up(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path: str = scope["path"]
    return path.startswith("/api/") and not path.endswith("/stream")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing_to_receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
