"""Cancels the computation of answers whose client has disconnected."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}


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
    return _NO_BODY
