"""The view for routes: answers, precomputed where possible, and their status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from consumers.settings import Clock
from consumers.topics import Partition
from streams.dictionary.types import Model
from streams.serve.changes import ChangeNotifier
from streams.settings import Settings
from streams.store.as_of import blocking_as_of
from streams.store.setup_differences import setup_difference
from streams.store.state import StoreState, newest_as_of, queryable_until_ms
from streams.store.stuck_partitions import UnmovedPosition, stuck_partitions
from streams.view.answer_status import DOWN_AFTER_MS, AnswerStatus, ServerState, answer_status, is_redis_silent
from streams.view.cached_queries import CachedQuery
from streams.view.fair_queue import SERVER_CLIENT, OverloadedError, OverloadReason, current_client
from streams.view.follower_thread import FollowerThread, PollResult, RedisMetrics
from streams.view.precomputed import AnswerSnapshot, HotQueries
from streams.view.query import NotReadyError
from streams.view.rolling import RollingView

T = TypeVar("T")

_EXPIRED_MS = 2_000
"""A snapshot this far behind the last poll is not used; the view is queried instead."""
DEADLINE_S = 10.0
"""A query that takes longer is cancelled."""
_NOTHING = StoreState((), {}, 0)


class Live:
    """The view of one server, for the event loop of HTTP. Nothing here blocks.

    While Redis does not answer, everything keeps its last value, and `answer_status` has the reason.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.notifier = ChangeNotifier()
        """Signals each new as-of."""
        self.as_of_count = 0
        """Number of as-ofs published since the start."""
        self._hot = HotQueries()
        self._following = FollowerThread(settings, self._hot, self._published)
        self._published_ms: int | None = None

    async def start(self) -> None:
        """Start following, without waiting for Redis."""
        self._loop = asyncio.get_running_loop()
        self._following.start()

    async def stop(self) -> None:
        """Stop following and disconnect."""
        await asyncio.to_thread(self._following.stop)

    @property
    def alive(self) -> bool:
        """Whether the view's thread runs."""
        return self._following.alive

    def _published(self, as_of_ms: int | None) -> None:
        """Called in the view's thread."""
        self._loop.call_soon_threadsafe(self._new, as_of_ms)

    def _new(self, as_of_ms: int | None) -> None:
        if as_of_ms != self._published_ms:
            self._published_ms = as_of_ms
            self.as_of_count += 1
            self.notifier.signal()

    # Queries ---------------------------------------------------------------------------------------------------------

    async def get_answer(self, cached_query: CachedQuery[T]) -> T:
        """The answer from the newest snapshot, or computed by the view. Raises OverloadedError."""
        client = current_client.get()
        if cached_query.newest:
            self._hot.record_use(cached_query, time.monotonic(), followed=client == SERVER_CLIENT)
            last_poll, snapshot = self._following.last_poll, self._following.snapshot
            if last_poll is not None and last_poll.polled_ms - snapshot.read_ms <= _EXPIRED_MS:
                answer = snapshot.answer(cached_query)
                if answer is not None:
                    return answer
        computation = self._following.compute(cached_query, client)
        return await (
            asyncio.wrap_future(computation) if self._hot.is_internal(cached_query) else _in_time(computation)
        )

    def precompute(self, cached_query: CachedQuery[Any]) -> None:
        """Precompute a query of the server itself."""
        self._hot.precompute(cached_query, time.monotonic())

    async def ask(self, query: Callable[[RollingView, int], Awaitable[T]], *, pause_polling: bool = False) -> T:
        """Query the view in its thread: calls `query` with the view and the time of the last poll.

        `pause_polling`: keep one as-of over several queries, for a second at most.

        Raises:
            OverloadedError: the client's budget is spent, the queue is full, or it takes too long.
        """
        return await _in_time(self._following.ask(query, current_client.get(), pause_polling=pause_polling))

    # State -----------------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> AnswerSnapshot:
        """The newest snapshot."""
        return self._following.snapshot

    @property
    def redis_metrics(self) -> RedisMetrics:
        """Other metrics in Redis."""
        return self._following.redis_metrics

    @property
    def last_poll(self) -> PollResult:
        """The last poll.

        Queries use its time, not the present: while Redis is down, the as-of must not advance over unread time.
        """
        last_poll = self._following.last_poll
        if last_poll is None:
            raise NotReadyError(f"Redis has not answered yet: {self._following.failure or 'connecting'}")
        return last_poll

    @property
    def state(self) -> StoreState:
        """The state of all partitions at the last poll."""
        last_poll = self._following.last_poll
        return _NOTHING if last_poll is None else last_poll.state

    @property
    def model(self) -> Model:
        """The model in force."""
        return self._following.model

    def now_ms(self) -> int:
        """The present by Redis's clock, which ages are measured with."""
        return self._following.now_ms()

    @property
    def clock_ahead_ms(self) -> float:
        """How far this machine's clock is ahead of Redis's; negative if behind."""
        return self._following.clock_ahead_ms

    def newest_ms(self) -> int | None:
        """The newest as-of; None if there is none yet."""
        return newest_as_of(self.last_poll.state, self.last_poll.polled_ms, self.settings).ms

    def queryable_until_ms(self) -> int | None:
        """The newest as-of that can be queried, epoch ms; None if there is none."""
        return queryable_until_ms(self.last_poll.state, self.last_poll.polled_ms, self.settings)

    def stuck(self) -> dict[Partition, UnmovedPosition]:
        """# {partition with waiting records: its position that does not advance}"""
        last_poll = self._following.last_poll
        at_ms = self.now_ms() if last_poll is None else last_poll.polled_ms
        return stuck_partitions(self.state.unmoved, self.state.paused, at_ms, self.settings.stale_after_s)

    def answer_status(self, as_of_ms: int | None = None) -> AnswerStatus:
        """The status of an answer with this as-of; None: of the newest snapshot."""
        now, last_poll = self.now_ms(), self._following.last_poll
        polled_ms = None if last_poll is None else last_poll.polled_ms
        state_ms = now if polled_ms is None else polled_ms
        ping_answered_ms, loop_alive_ms = self._following.ping_answered_ms, self._following.loop_alive_ms
        failure = self._following.failure
        last_answer_ms = max((at_ms for at_ms in (ping_answered_ms, polled_ms) if at_ms is not None), default=None)
        late = polled_ms is not None and failure is None and now - polled_ms > DOWN_AFTER_MS
        busy = late and not is_redis_silent(
            last_answer_ms, loop_alive_ms, now
        )  # heartbeats that were not read are not missing
        server_state = ServerState(
            newest=newest_as_of(self.state, state_ms, self.settings),
            partitions=self.state.existing_partitions,
            stale=newest_as_of(self.state, polled_ms if busy and polled_ms else now, self.settings).stale,
            polled_ms=polled_ms,
            last_answer_ms=last_answer_ms,
            loop_alive_ms=loop_alive_ms,
            failure=failure,
            prepared=self.snapshot.as_of_ms is not None,
            wall=self.settings.clock is Clock.WALL,
            unread=self.state.unread,
            missing=self.state.missing_topics,
            differing=self.state.partition_count_mismatch,
            refused=self.redis_metrics.refused,
            paused=self.state.paused,
            blocking_as_of=tuple(
                blocking_as_of(self.state.existing_partitions, state_ms, self.settings, self.state.feeds)
            ),
            stuck=self.stuck(),
            setup_difference=setup_difference(
                self.state.setups,
                self.redis_metrics.reports,
                now,
                changing=self.state.setup_changing,
                loaded_generation=self.model.generation,
            ),
            answer_as_of_ms=self.snapshot.as_of_ms if as_of_ms is None else as_of_ms,
        )
        return answer_status(server_state, now)


async def _in_time(answer: Future[T]) -> T:
    """The answer. Raises OverloadedError, and cancels the query, if it takes too long."""
    try:
        async with asyncio.timeout(DEADLINE_S) as limit:
            return await asyncio.wrap_future(answer)
    except TimeoutError:
        if not limit.expired():
            raise
        raise OverloadedError(
            OverloadReason.DEADLINE,
            f"no answer within {DEADLINE_S:.0f} s: this server is busy, or the query takes too long; retry, or query "
            "less: fewer values, a shorter window, fewer points",
        ) from None
