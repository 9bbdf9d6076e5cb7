"""Shares new answers and alert changes among all subscribers of this server; each is encoded once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import structlog

from consumers.masking import mask_secrets
from streams.serve.answers import answer_fields
from streams.serve.changes import ChangeFeed, ChangeLog
from streams.serve.errors import ApiError
from streams.serve.live import Live
from streams.view.cached_queries import CachedQuery, EncodedAnswer
from streams.view.fair_queue import SERVER_CLIENT, current_client

log = structlog.get_logger()

MAX_SUBSCRIBERS = 1000
"""Maximum number of streams, also limited to half of all connections, so that other requests can connect."""
MAX_SUBSCRIBED_QUERIES = 128
"""Maximum number of different queries, each of which is answered at each new as-of."""
_AS_NEW_S = 1.0
"""How long an encoded answer is reused: not longer, since it carries its age and whether it is live."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class EncodedKpis:
    """An answer about KPIs, as JSON."""

    as_of_ms: int
    json: bytes


@dataclass(frozen=True, slots=True)
class _CachedKpis:
    as_of_count: int
    computed_s: float
    newest_kpis: asyncio.Future[EncodedKpis]


class Broadcast:
    """The subscriptions of one server, in its event loop."""

    def __init__(self, live: Live, connections: int) -> None:
        self.live = live
        self._half = connections // 2
        self.notifier = live.notifier
        self.alerts: ChangeFeed | None = None
        """Changes of alerts, if a log of them is relayed."""
        self.closed = False
        self._subscribers: Counter[CachedQuery[EncodedAnswer]] = Counter()
        self._made: dict[CachedQuery[EncodedAnswer], _CachedKpis] = {}
        """Of subscribed queries."""
        self._failure: str | None = None

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self.notifier.signal()

    def failed(self, error: Exception) -> None:
        """Log a failed stream once, until the error changes: its client reconnects and fails again."""
        why = mask_secrets(f"{type(error).__name__}: {error}")
        if why != self._failure:
            log.error("SSE stream failed; closing it", exc_info=error)
        self._failure = why

    @contextlib.contextmanager
    def subscription(self, cached_query: CachedQuery[EncodedAnswer]) -> Iterator[None]:
        """Subscribe to a query.

        Raises:
            ApiError: there are too many subscriptions.
        """
        most = min(MAX_SUBSCRIBERS, self._half)
        if self._subscribers.total() >= most:
            raise ApiError(503, "too_many_streams", f"all {most} streams are in use: connect to another server")
        if cached_query not in self._subscribers and len(self._subscribers) >= MAX_SUBSCRIBED_QUERIES:
            raise ApiError(
                503,
                "too_many_questions",
                f"this server already streams {MAX_SUBSCRIBED_QUERIES} different queries: connect to another server",
            )
        self._subscribers[cached_query] += 1
        try:
            yield
        finally:
            self._subscribers[cached_query] -= 1
            if not self._subscribers[cached_query]:
                del self._subscribers[cached_query]
                self._made.pop(cached_query, None)

    @contextlib.asynccontextmanager
    async def relay_alerts(self, log: ChangeLog) -> AsyncIterator[None]:
        """Relay changes of alerts while the context is open."""
        feed = self.alerts = ChangeFeed(log, self.notifier)
        following = asyncio.create_task(feed.follow())
        try:
            yield
        finally:
            feed.end()
            await following

    async def newest_kpis(self, cached_query: CachedQuery[EncodedAnswer]) -> EncodedKpis:
        """The newest answer to a subscribed query.

        Raises:
            NotReadyError: there is no as-of yet.
            NotAnswerableError: it cannot be answered.
        """
        cached, now_s = self._made.get(cached_query), time.monotonic()
        if cached is None or cached.as_of_count != self.live.as_of_count or now_s - cached.computed_s > _AS_NEW_S:
            cached = self._made[cached_query] = _CachedKpis(
                self.live.as_of_count, now_s, asyncio.ensure_future(self._make(cached_query))
            )
        return await asyncio.shield(cached.newest_kpis)

    async def _make(self, cached_query: CachedQuery[EncodedAnswer]) -> EncodedKpis:
        current_client.set(SERVER_CLIENT)  # in this task only
        fields = await answer_fields(self.live, cached_query)
        return EncodedKpis(fields["as_of"], _encode(fields))
