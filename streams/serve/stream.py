"""`/api/v1/stream`: new numbers and alert changes as server-sent events."""

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

from streams.dictionary.names import ALL
from streams.model.windows import Window
from streams.serve.answers import LiveView, ScopeParam, ValueParam, WindowParam, scope_value
from streams.serve.broadcast import Broadcast
from streams.serve.changes import wait_for_signal
from streams.serve.errors import ERRORS, ApiError
from streams.serve.sse import HEARTBEAT, RETRY, StreamEntryId, StreamPosition, event, parse_event_id
from streams.store.as_of import STEP_MS
from streams.store.connection import UNREACHABLE
from streams.view.cached_queries import CachedQuery, EachValueQuery, EncodedAnswer, OneValueQuery
from streams.view.fair_queue import OverloadedError
from streams.view.query import KpiQuery, NotAnswerableError, NotReadyError

router = APIRouter(prefix="/api/v1", tags=["KPIs"], responses=ERRORS)

BEHIND_S = 10.0
"""How long a server may lag the one that the client left; after that, an earlier as-of means that it went back."""
HEARTBEAT_S = 10.0
_LONGEST_S = 600.0
_TAKEN_WITHIN_S = 60.0
"""How long a stream may take after its end to send buffered events."""
_SPREAD = (0.8, 1.2)
"""Range of the factor on `_LONGEST_S`, so that streams do not end together."""
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_EVENTS = "text/event-stream"
_encode = msgspec.json.Encoder().encode


class SseSubscriber:
    """The events for one client. `resumed`: its position at another server."""

    def __init__(
        self, broadcast: Broadcast, cached_query: CachedQuery[EncodedAnswer], resumed: StreamPosition | None
    ) -> None:
        self.ended = False
        """Whether the stream must end."""
        self._broadcast = broadcast
        self._cached_query = cached_query
        self._resumed = resumed is not None
        self._began_s = time.monotonic()
        self._sent_as_of_count: int | None = None
        """`Live.as_of_count` of the last `kpis` event."""
        self._as_of_ms = resumed.as_of_ms if resumed else None
        self._change = resumed.change if resumed else self._newest_change()
        self._gap_unchecked = self._resumed
        """Whether entries after the client's position may have been trimmed."""

    @property
    def position(self) -> StreamPosition:
        """The position up to which the client has received everything."""
        return StreamPosition(self._as_of_ms, self._change)

    async def new_events(self) -> AsyncIterator[bytes]:
        """All new events."""
        try:
            async for alert_event in self._alert_events():
                yield alert_event
            async for kpi_event in self._kpi_events():
                yield kpi_event
        except NotAnswerableError:  # the client gets the error when it reconnects
            self.ended = True
        except (NotReadyError, OverloadedError, RedisError, *UNREACHABLE):
            return  # retried at the next signal
        except Exception as error:
            self._broadcast.failed(error)
            self.ended = True

    async def _alert_events(self) -> AsyncIterator[bytes]:
        feed = self._broadcast.alerts
        if feed is None or feed.read_to is None:
            return
        if self._gap_unchecked and not (self._change and await feed.reaches_back(self._change)):
            yield _gap_event("alerts", self._change and self._change[0], feed.read_to[0])
        self._gap_unchecked = False
        if self._change is None:
            self._change = feed.read_to
        while entries := await feed.after(self._change):
            for change in entries:
                self._change = change.entry_id
                yield event("alert", change.json, self.position)

    async def _kpi_events(self) -> AsyncIterator[bytes]:
        live, before_ms = self._broadcast.live, self._as_of_ms
        as_of_count = live.as_of_count
        if as_of_count == self._sent_as_of_count:
            return
        newest_kpis = await self._broadcast.newest_kpis(self._cached_query)
        as_of_ms = newest_kpis.as_of_ms
        if self._sent_as_of_count is None and before_ms is not None:
            if as_of_ms < before_ms and time.monotonic() - self._began_s < BEHIND_S:
                return
            missed = as_of_ms > before_ms + STEP_MS
        else:
            missed = self._sent_as_of_count is not None and as_of_count > self._sent_as_of_count + 1
        self._sent_as_of_count = as_of_count
        if as_of_ms == before_ms:
            return
        if missed:
            yield _gap_event("kpis", before_ms, as_of_ms)
        self._as_of_ms = as_of_ms
        yield event("kpis", newest_kpis.json, self.position)

    def _newest_change(self) -> StreamEntryId | None:
        feed = self._broadcast.alerts
        return None if feed is None else feed.read_to


def _gap_event(of: str, after_ms: int | None, before_ms: int) -> bytes:
    """An event that reports missing events between two times, epoch ms."""
    return event("gap", _encode({"of": of, "after": after_ms, "before": before_ms}))


async def get_broadcast(request: Request) -> Broadcast:
    """The broadcast of this app."""
    broadcast: Broadcast = request.app.state.broadcast
    return broadcast


async def subscribe(
    broadcast: Annotated[Broadcast, Depends(get_broadcast)],
    window: WindowParam = Window.M1,
    scope: ScopeParam = ALL,
    value: ValueParam = None,
) -> AsyncIterator[OneValueQuery | EachValueQuery]:
    """The query, subscribed to until the response has ended."""
    query, name = KpiQuery(window, scope, None, None), scope_value(broadcast.live, scope, value)
    cached_query = EachValueQuery(query) if name is None else OneValueQuery(query, name)
    with broadcast.subscription(cached_query):
        yield cached_query


class _EventStreamResponse(StreamingResponse):
    """Ended after a while even if the client does not read."""

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_S * _SPREAD[1] + _TAKEN_WITHIN_S):
                await super().stream_response(send)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {_EVENTS: {"schema": {"type": "string"}}}, "description": "Server-sent events."}},
)
async def stream(
    live: LiveView,
    broadcast: Annotated[Broadcast, Depends(get_broadcast)],
    cached_query: Annotated[OneValueQuery | EachValueQuery, Depends(subscribe)],
    last_event_id: Annotated[
        str | None, Header(max_length=64, description="Resume after this event, of any server.")
    ] = None,
) -> StreamingResponse:
    """New numbers and alert changes, as server-sent events.

    `kpis`, at each new as-of: the answer of /api/v1/kpis. `alert`, at each change of an alert: a message of the topic
    `alerts`.
    `gap`, `{of, after, before}` in epoch ms: missing events; of `kpis`, as-ofs in between (get them from a series), of
    `alerts`, changes no longer kept (read /api/v1/alerts). `heartbeat`, `{}`: no event for 10 s. The server ends the
    stream from time to time: reconnect with the id of the last event.
    """
    try:
        resumed = parse_event_id(last_event_id) if last_event_id else None
    except ValueError as error:
        raise ApiError(422, "invalid_parameter", f"Last-Event-ID: {error}; omit it to start at the newest") from None
    # Queries that cannot be answered fail here; data that is not there yet will be streamed later.
    with contextlib.suppress(NotReadyError, RedisError, *UNREACHABLE):
        await live.get_answer(cached_query)
    subscriber = SseSubscriber(broadcast, cached_query, resumed)
    return _EventStreamResponse(_event_stream(subscriber, broadcast), media_type=_EVENTS, headers=_HEADERS)


async def _event_stream(subscriber: SseSubscriber, broadcast: Broadcast) -> AsyncIterator[bytes]:
    """The events for one client. Streams end after some minutes, so that tokens are checked again and load is
    balanced."""
    ends_s = time.monotonic() + _LONGEST_S * random.uniform(*_SPREAD)
    before = RETRY
    while not broadcast.closed and not subscriber.ended and time.monotonic() < ends_s:
        signal = broadcast.notifier.next_signal
        async for new_events in subscriber.new_events():
            yield before + new_events
            before = b""
        if not await wait_for_signal(signal, HEARTBEAT_S):
            yield HEARTBEAT
