"""What routes know of the view: answers, at once where they were made ahead, and how things stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from consumers.settings import Clock
from consumers.topics import Partition
from streams.serve.answer_status import DOWN_AFTER_MS, AnswerStatus, ServerState, answer_status, is_redis_silent
from streams.serve.change_notifier import ChangeNotifier
from streams.serve.fair_queue import SERVER_CLIENT, OverloadedError, current_client
from streams.serve.http_limits import HttpLimit
from streams.settings import Settings
from streams.store.blocking_as_of import blocking_as_of
from streams.store.state import StoreState
from streams.store.stuck_partitions import UnmovedPosition, stuck_partitions
from streams.view.cached_queries import CachedQuery
from streams.view.follower_thread import FollowerThread, PollResult, RedisMetrics
from streams.view.newest_as_of import newest_as_of, queryable_until_ms
from streams.view.precomputed import AnswerSnapshot, HotQueries
from streams.view.query import NotReadyError
from streams.view.rolling import RollingView

T = TypeVar("T")

_EXPIRED_MS = 2_000
"""A snapshot that is so far behind the last look is not answered from: the view itself is asked."""
DEADLINE_S = 10.0
"""A question that takes longer is given up, and no longer computed."""
_NOTHING = StoreState((), {}, 0)


class Live:
    """One server's view, for the event loop that serves HTTP. Nothing here takes long.

    While Redis does not answer, everything keeps its last content, and `answer_status` says since when and why.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.notifier = ChangeNotifier()
        """Rung at each new as-of."""
        self.as_of_count = 0
        """How many as-ofs there were."""
        self._hot = HotQueries()
        self._following = FollowerThread(settings, self._hot, self._published)
        self._published_ms: int | None = None

    async def start(self) -> None:
        """Begin to follow; does not wait for Redis."""
        self._loop = asyncio.get_running_loop()
        self._following.start()

    async def stop(self) -> None:
        """End following and close the connection."""
        await asyncio.to_thread(self._following.stop)

    @property
    def alive(self) -> bool:
        """Whether the view is still followed."""
        return self._following.alive

    def _published(self, as_of_ms: int | None) -> None:
        """In the thread of the view."""
        self._loop.call_soon_threadsafe(self._new, as_of_ms)

    def _new(self, as_of_ms: int | None) -> None:
        if as_of_ms != self._published_ms:
            self._published_ms = as_of_ms
            self.as_of_count += 1
            self.notifier.signal()

    # Asking ----------------------------------------------------------------------------------------------------------

    async def get_answer(self, cached_query: CachedQuery[T]) -> T:
        """The answer: of the newest snapshot, else of the view itself. Raises OverloadedError."""
        client = current_client.get()
        if cached_query.newest:
            self._hot.record_use(cached_query, time.monotonic(), followed=client == SERVER_CLIENT)
            last_poll, snapshot = self._following.last_poll, self._following.snapshot
            if last_poll is not None and last_poll.polled_ms - snapshot.read_ms <= _EXPIRED_MS:
                answer = snapshot.answer(cached_query)
                if answer is not None:
                    return answer
        making = self._following.compute(cached_query, client)
        return await (asyncio.wrap_future(making) if self._hot.is_internal(cached_query) else _in_time(making))

    def precompute(self, cached_query: CachedQuery[Any]) -> None:
        """The server itself asks for it: it is answered ahead."""
        self._hot.precompute(cached_query, time.monotonic())

    async def ask(self, query: Callable[[RollingView, int], Awaitable[T]], *, pause_polling: bool = False) -> T:
        """Ask the view itself: the question is called with it and the clock of questions, in the view's thread.

        `pause_polling`: it asks several times and wants one as-of, so that nothing is taken in meanwhile, for a
        second at most.

        Raises:
            OverloadedError: its token's computing time is spent, too many wait, or it takes too long.
        """
        return await _in_time(self._following.ask(query, current_client.get(), pause_polling=pause_polling))

    # How things stand ------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> AnswerSnapshot:
        """The newest that is finished."""
        return self._following.snapshot

    @property
    def redis_metrics(self) -> RedisMetrics:
        """What else Redis holds for metrics."""
        return self._following.redis_metrics

    @property
    def last_poll(self) -> PollResult:
        """The last look into Redis.

        Its clock is that of questions, not the present: while Redis is away, the as-of must not move on over time that
        nothing was heard of.
        """
        last_poll = self._following.last_poll
        if last_poll is None:
            raise NotReadyError(f"Redis has not answered yet: {self._following.failure or 'it was only just asked'}")
        return last_poll

    @property
    def state(self) -> StoreState:
        """Where every partition stood at the last look."""
        last_poll = self._following.last_poll
        return _NOTHING if last_poll is None else last_poll.state

    def now_ms(self) -> int:
        """The present by Redis's clock, which ages go by: this machine's may be wrong."""
        return self._following.now_ms()

    @property
    def clock_ahead_ms(self) -> float:
        """How far this machine's clock is ahead of Redis's; behind: negative."""
        return self._following.clock_ahead_ms

    def newest_ms(self) -> int | None:
        """The newest as-of; None while nothing can be said of the present."""
        return newest_as_of(self.last_poll.state, self.last_poll.polled_ms, self.settings).ms

    def queryable_until_ms(self) -> int | None:
        """Up to where earlier moments can be asked about."""
        return queryable_until_ms(self.last_poll.state, self.last_poll.polled_ms, self.settings)

    def stuck(self) -> dict[Partition, UnmovedPosition]:
        """Partitions in which records wait, and whose position does not move."""
        last_poll = self._following.last_poll
        at_ms = self.now_ms() if last_poll is None else last_poll.polled_ms
        return stuck_partitions(self.state.unmoved, self.state.paused, at_ms, self.settings.stale_after_s)

    def answer_status(self, as_of_ms: int | None = None) -> AnswerStatus:
        """How things stand now for an answer of this as-of; None: for those that are made ahead."""
        now, last_poll = self.now_ms(), self._following.last_poll
        polled_ms = None if last_poll is None else last_poll.polled_ms
        state_ms = now if polled_ms is None else polled_ms
        ping_answered_ms, loop_alive_ms = self._following.ping_answered_ms, self._following.loop_alive_ms
        failure = self._following.failure
        last_answer_ms = max((at_ms for at_ms in (ping_answered_ms, polled_ms) if at_ms is not None), default=None)
        late = polled_ms is not None and failure is None and now - polled_ms > DOWN_AFTER_MS
        busy = late and not is_redis_silent(
            last_answer_ms, loop_alive_ms, now
        )  # and what was not read says nothing of workers
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
            blocking_as_of=tuple(blocking_as_of(self.state.existing_partitions, state_ms, self.settings)),
            stuck=self.stuck(),
            answer_as_of_ms=self.snapshot.as_of_ms if as_of_ms is None else as_of_ms,
        )
        return answer_status(server_state, now)


async def _in_time(answer: Future[T]) -> T:
    """The answer. Raises OverloadedError where it takes too long; it is no longer computed then."""
    try:
        async with asyncio.timeout(DEADLINE_S) as limit:
            return await asyncio.wrap_future(answer)
    except TimeoutError:
        if not limit.expired():
            raise
        raise OverloadedError(
            HttpLimit.DEADLINE,
            f"no answer within {DEADLINE_S:.0f} s: this server is busy, or the question takes too long; ask again, or "
            "about less: fewer values, a shorter window, fewer points",
        ) from None
