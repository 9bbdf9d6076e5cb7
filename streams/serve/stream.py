"""`/api/v1/stream`: what is new, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from redis.exceptions import RedisError
from starlette.responses import StreamingResponse
from starlette.types import Send

from streams.panes.scopes import Scope
from streams.serve.asking import LiveView, ScopeParam, ValueParam, WindowParam, one_value
from streams.serve.asks import OfEach, OfOne
from streams.serve.bell import rings
from streams.serve.broadcast import Broadcast
from streams.serve.errors import ERRORS, ApiError
from streams.serve.follower import Follower
from streams.serve.sse import HEARTBEAT, RETRY, parse
from streams.store.connection import UNREACHABLE
from streams.view.asking import NotReadyError, Question
from streams.windows import Window

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)

HEARTBEAT_S = 10.0
_LONGEST_S = 600.0
_TAKEN_WITHIN_S = 60.0
"""How long after its end a stream may still be waiting for its client to take what was sent."""
_SPREAD = (0.8, 1.2)
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_EVENTS = "text/event-stream"


async def broadcast_of(request: Request) -> Broadcast:
    """The news of this app."""
    broadcast: Broadcast = request.app.state.broadcast
    return broadcast


async def followed(
    broadcast: Annotated[Broadcast, Depends(broadcast_of)],
    window: WindowParam = Window.M1,
    scope: ScopeParam = Scope.ALL,
    value: ValueParam = None,
) -> AsyncIterator[OfOne | OfEach]:
    """What is asked; a place to follow it is taken until the answer has been sent."""
    question, name = Question(window, scope, None, None), one_value(scope, value)
    ask = OfEach(question) if name is None else OfOne(question, name)
    with broadcast.place(ask):
        yield ask


class _Events(StreamingResponse):
    """Given up after a while, though its client has not taken everything: else one that never reads stays for ever."""

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_S * _SPREAD[1] + _TAKEN_WITHIN_S):
                await super().stream_response(send)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {_EVENTS: {"schema": {"type": "string"}}}, "description": "Events, without an end."}},
)
async def stream(
    live: LiveView,
    broadcast: Annotated[Broadcast, Depends(broadcast_of)],
    ask: Annotated[OfOne | OfEach, Depends(followed)],
    last_event_id: Annotated[
        str | None, Header(max_length=64, description="Go on after this event, whichever server sent it.")
    ] = None,
) -> StreamingResponse:
    """What is new, as server-sent events.

    `kpis`, at each new as-of: what /api/v1/kpis answers. `alert`, at each change of an alert: a message of the topic
    `alerts`. `gap`, `{of, after, before}` in epoch ms: what is not sent; of `kpis`, as-ofs in between (a series has
    them), of `alerts`, changes that are no longer kept (read /api/v1/alerts). `heartbeat`, `{}`: nothing was new for
    10 s. It ends now and then: come back with the id of the last event.
    """
    try:
        resumed = parse(last_event_id) if last_event_id else None
    except ValueError as error:
        raise ApiError(422, "invalid_parameter", f"Last-Event-ID: {error}; leave it out to begin anew") from None
    # What cannot be answered is told as such; what is just not there yet will come.
    with contextlib.suppress(NotReadyError, RedisError, *UNREACHABLE):
        await live.tell(ask)
    follower = Follower(broadcast, ask, resumed)
    return _Events(_sent(follower, broadcast), media_type=_EVENTS, headers=_HEADERS)


async def _sent(follower: Follower, broadcast: Broadcast) -> AsyncIterator[bytes]:
    """What goes out to one client. It ends some time: tokens are looked at anew, and load moves to other servers."""
    ends_s = time.monotonic() + _LONGEST_S * random.uniform(*_SPREAD)
    before = RETRY
    while not broadcast.closed and not follower.over and time.monotonic() < ends_s:
        ring = broadcast.bell.next
        async for news in follower.news():
            yield before + news
            before = b""
        if not await rings(ring, HEARTBEAT_S):
            yield HEARTBEAT
