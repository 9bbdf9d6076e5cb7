"""`/api/v1/stream`: what is new, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from redis.exceptions import RedisError
from starlette.responses import StreamingResponse
from starlette.types import Send

from streams.asof import STEP_MS
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.serve.asking import LiveView, ScopeParam, ValueParam, WindowParam, one_value
from streams.serve.broadcast import Broadcast
from streams.serve.change_notifier import rings
from streams.serve.errors import ERRORS, ApiError
from streams.serve.sse import HEARTBEAT, RETRY, Place, Seen, event, parse
from streams.serve.turns import OverloadedError
from streams.store.connection import UNREACHABLE
from streams.view.asking import NotAnswerableError, NotReadyError, Question
from streams.view.queries import Ask, OfEach, OfOne, Told

BEHIND_S = 10.0
"""A server may be behind the one that a client comes from for so long; an as-of that is earlier still has gone back."""
_encode = msgspec.json.Encoder().encode


class Follower:
    """Between two calls of `news` anything may happen. `resumed`: what the client has seen elsewhere."""

    def __init__(self, broadcast: Broadcast, ask: Ask[Told], resumed: Seen | None) -> None:
        self.over = False
        """Nothing can be told any more: the stream ends."""
        self._broadcast = broadcast
        self._ask = ask
        self._resumed = resumed is not None
        self._began_s = time.monotonic()
        self._turn: int | None = None
        """Of the as-of that was sent last."""
        self._as_of_ms = resumed.as_of_ms if resumed else None
        self._change = resumed.change if resumed else self._newest_change()
        self._to_check = self._resumed
        """Whether changes may have been dropped since the client saw the last one."""

    @property
    def seen(self) -> Seen:
        """What the client has seen."""
        return Seen(self._as_of_ms, self._change)

    async def news(self) -> AsyncIterator[bytes]:
        """Everything that is new, as events."""
        try:
            async for told in self._alerts():
                yield told
            async for told in self._kpis():
                yield told
        except NotAnswerableError:  # asked again, the client is told why
            self.over = True
        except (NotReadyError, OverloadedError, RedisError, *UNREACHABLE):
            return  # not now
        except Exception as error:
            self._broadcast.failed(error)
            self.over = True

    async def _alerts(self) -> AsyncIterator[bytes]:
        tail = self._broadcast.alerts
        if tail is None or tail.upto is None:
            return
        if self._to_check and not (self._change and await tail.reaches_back(self._change)):
            yield _gap("alerts", self._change and self._change[0], tail.upto[0])
        self._to_check = False
        if self._change is None:
            self._change = tail.upto
        while found := await tail.after(self._change):
            for change in found:
                self._change = change.place
                yield event("alert", change.json, self.seen)

    async def _kpis(self) -> AsyncIterator[bytes]:
        live, before_ms = self._broadcast.live, self._as_of_ms
        turn = live.turn
        if turn == self._turn:
            return
        numbers = await self._broadcast.numbers(self._ask)
        as_of_ms = numbers.as_of_ms
        if self._turn is None and before_ms is not None:
            if as_of_ms < before_ms and time.monotonic() - self._began_s < BEHIND_S:
                return
            missed = as_of_ms > before_ms + STEP_MS
        else:
            missed = self._turn is not None and turn > self._turn + 1
        self._turn = turn
        if as_of_ms == before_ms:
            return
        if missed:
            yield _gap("kpis", before_ms, as_of_ms)
        self._as_of_ms = as_of_ms
        yield event("kpis", numbers.json, self.seen)

    def _newest_change(self) -> Place | None:
        tail = self._broadcast.alerts
        return None if tail is None else tail.upto


def _gap(of: str, after_ms: int | None, before_ms: int) -> bytes:
    """Says that events between two moments are not sent, or may be missing."""
    return event("gap", _encode({"of": of, "after": after_ms, "before": before_ms}))


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
