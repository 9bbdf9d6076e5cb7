"""What is new, for everyone who follows this server: made once, however many they are."""

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
from streams.serve.fair_queue import SERVER_CLIENT, current_client
from streams.serve.live import Live
from streams.view.cached_queries import CachedQuery, EncodedAnswer

log = structlog.get_logger()

MAX_SUBSCRIBERS = 1000
"""And no more than half of the connections, so that there is room for those who ask."""
MAX_SUBSCRIBED_QUERIES = 128
"""That are followed at once: each is answered at each new as-of, and its newest answer is held."""
_AS_NEW_S = 1.0
"""An answer says whether it is live and how old it is: it may be passed on for so long."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class EncodedKpis:
    """An answer about KPIs."""

    as_of_ms: int
    json: bytes


@dataclass(frozen=True, slots=True)
class _CachedKpis:
    as_of_count: int
    computed_s: float
    newest_kpis: asyncio.Future[EncodedKpis]


class Broadcast:
    """News of one server, in the event loop that serves."""

    def __init__(self, live: Live, connections: int) -> None:
        self.live = live
        self._half = connections // 2
        self.notifier = live.notifier
        self.alerts: ChangeFeed | None = None
        """Changes of alerts, where something is installed that keeps them."""
        self.closed = False
        self._subscribers: Counter[CachedQuery[EncodedAnswer]] = Counter()
        self._made: dict[CachedQuery[EncodedAnswer], _CachedKpis] = {}
        """Only what is followed."""
        self._failure: str | None = None

    def close(self) -> None:
        """Nothing follows from now on: whoever follows is let go."""
        self.closed = True
        self.notifier.signal()

    def failed(self, error: Exception) -> None:
        """A fault of ours ends a stream: said once, until another, since its client comes back and meets it again."""
        why = mask_secrets(f"{type(error).__name__}: {error}")
        if why != self._failure:
            log.error("what is new could not be told: a stream ends", exc_info=error)
        self._failure = why

    @contextlib.contextmanager
    def subscription(self, cached_query: CachedQuery[EncodedAnswer]) -> Iterator[None]:
        """A place for one who follows this question, meanwhile.

        Raises:
            ApiError: all are taken.
        """
        most = min(MAX_SUBSCRIBERS, self._half)
        if self._subscribers.total() >= most:
            raise ApiError(503, "too_many_streams", f"{most} follow this server already: ask another one")
        if cached_query not in self._subscribers and len(self._subscribers) >= MAX_SUBSCRIBED_QUERIES:
            raise ApiError(
                503,
                "too_many_questions",
                f"{MAX_SUBSCRIBED_QUERIES} questions are followed here already: ask another server",
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
        """Pass changes of alerts on, meanwhile."""
        feed = self.alerts = ChangeFeed(log, self.notifier)
        following = asyncio.create_task(feed.follow())
        try:
            yield
        finally:
            feed.end()
            await following

    async def newest_kpis(self, cached_query: CachedQuery[EncodedAnswer]) -> EncodedKpis:
        """The newest answer to a question that somebody has a place for.

        Raises:
            NotReadyError: while there is no as-of.
            NotAnswerableError: it cannot be answered.
        """
        held, now_s = self._made.get(cached_query), time.monotonic()
        if held is None or held.as_of_count != self.live.as_of_count or now_s - held.computed_s > _AS_NEW_S:
            held = self._made[cached_query] = _CachedKpis(
                self.live.as_of_count, now_s, asyncio.ensure_future(self._make(cached_query))
            )
        return await asyncio.shield(held.newest_kpis)

    async def _make(self, cached_query: CachedQuery[EncodedAnswer]) -> EncodedKpis:
        current_client.set(SERVER_CLIENT)  # of this task alone
        told = await answer_fields(self.live, cached_query)
        return EncodedKpis(told["as_of"], _encode(told))
