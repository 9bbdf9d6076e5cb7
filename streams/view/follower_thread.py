"""The view, kept current in a thread and event loop of its own, so that HTTP never waits for its work.

`_poll` reads the deltas applied since the last poll. When that advances the as-of, `_build_snapshot` answers all hot
queries and publishes an `AnswerSnapshot` at once. All other queries run in the same loop, in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.masking import mask_secrets
from streams.clock import now_ms as machine_ms
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.types import Model
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, Access, connect, endpoint_of
from streams.store.errors import to_user_error
from streams.store.keys import Keys
from streams.store.process_reports import ProcessReports, refusal_reports
from streams.store.reader import PaneReader
from streams.store.reference_clock import ReferenceClock
from streams.store.refusal_kinds import PERMISSION_REFUSALS, REFUSAL_TEXTS, RedisRefusal, refusal_of
from streams.store.state import StoreState
from streams.store.write_probe import write_probe
from streams.view.answer_status import RefusedWrites, any_heard
from streams.view.cached_queries import ALWAYS_HOT, CachedQuery
from streams.view.fair_queue import SERVER_CLIENT, Budgets, FairQueue, TimedCoroutine, TokenBucket
from streams.view.precomputed import AnswerSnapshot, HotQueries, state_key
from streams.view.query import NotAnswerableError, NotReadyError
from streams.view.rolling import RollingView

log = structlog.get_logger()
T = TypeVar("T")

Answers = dict[CachedQuery[Any], Any]

_SLOWEST_RETRY_S = 1.0
"""Longest pause between failed polls."""
_METRICS_EVERY_S = 1.0
"""Interval between reads of `RedisMetrics`."""
_CORRECT_EVERY_S = 1.0
"""How often late events update the snapshot while the as-of does not advance."""
_WARM_EVERY_S = 5.0
"""See `CachedQuery.warm_s`."""
_PRECOMPUTE_BUDGET = (0.3, 0.5)
"""Computing time for precomputing clients' queries: per second, and in one burst."""
_LOOP_ALIVE_EVERY_S = 0.1
_PING_EVERY_S = 0.5
_LONGEST_PAUSE_S = 1.0
"""Polling pauses while hot queries are answered, so that all share one as-of, but no longer than this."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of a poll."""

    state: StoreState
    polled_ms: int
    """When the poll began, by Redis's clock; queries use this time."""


@dataclass(frozen=True, slots=True)
class RedisMetrics:
    """Totals and reports, read once a second."""

    totals: Mapping[str, int] = field(default_factory=dict)
    reports: ProcessReports = field(default_factory=dict)
    refused: RefusedWrites | None = None
    """Set while Redis refuses writes."""


def _ignore(_: int | None) -> None:
    """The default of `on_publish`."""


class FollowerThread:
    """Runs the view and publishes its results for other threads. Each result is immutable and replaced by the next."""

    def __init__(self, settings: Settings, hot: HotQueries, on_publish: Callable[[int | None], None] = _ignore) -> None:
        self.last_poll: PollResult | None = None
        self.snapshot = AnswerSnapshot()
        self.redis_metrics = RedisMetrics()
        self.failure: str | None = None
        """Why polls have failed since `last_poll`."""
        self.ping_answered_ms: int | None = None
        """When Redis last answered a ping."""
        self.loop_alive_ms: int | None = None
        """When this thread's loop last ran: until then an answer from Redis would have been seen."""
        self._settings = settings
        self._hot = hot
        self._on_publish = on_publish
        """Called in this thread with the as-of of each published snapshot."""
        self._clock: ReferenceClock | None = None
        self._began = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    # From other threads ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start following, without waiting for Redis."""
        self._thread.start()
        self._began.wait()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopping = True
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the thread ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; False only after a bug."""
        return self._thread.is_alive()

    @property
    def model(self) -> Model:
        """The model of the panes that the view follows."""
        return self._view.model if self._began.is_set() else BUILT_IN

    def now_ms(self) -> int:
        """The present by Redis's clock; by the machine's until that is measured."""
        return machine_ms() if self._clock is None else self._clock.now_ms()

    @property
    def clock_ahead_ms(self) -> float:
        """How far this machine's clock is ahead of Redis's; negative if behind."""
        return 0.0 if self._clock is None else self._clock.offset_ms

    def ask(
        self,
        query: Callable[[RollingView, int], Awaitable[T]],
        client: str = SERVER_CLIENT,
        *,
        pause_polling: bool = False,
    ) -> Future[T]:
        """Query the view, at the time of the last poll. Raises RuntimeError when the thread has ended.

        `client`: whose turn and budget it uses, see `FairQueue`, whose errors it also raises.
        `pause_polling`: the next poll waits for the answer, for `_LONGEST_PAUSE_S` at most.
        """
        return asyncio.run_coroutine_threadsafe(self._answer(query, client, pause_polling), self._loop)

    def compute(self, cached_query: CachedQuery[T], client: str = SERVER_CLIENT) -> Future[T]:
        """Compute an answer that the snapshot does not hold; it is added to a snapshot of the same state."""
        return asyncio.run_coroutine_threadsafe(self._answer_cached(cached_query, client), self._loop)

    # In the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._snapshot_published = asyncio.Event()
        self._snapshot_published.set()
        redis, rows = connect(self._settings, Access.READ), RowIndex()
        self._visit = endpoint_of(redis)
        keys = Keys(self._settings.redis_prefix, self._settings.shards)
        self._clock = clock = ReferenceClock(redis, keys)
        self._measure = clock.measure
        self._reader = PaneReader(redis, keys, rows)
        self._view = RollingView(self._reader, rows, self._settings)
        share = self._settings.http_work_s / 10
        self._queue = FairQueue(Budgets(share, self._settings.http_work_s))
        self._precompute_budget = TokenBucket(*_PRECOMPUTE_BUDGET)
        self._poll_blockers: set[asyncio.Future[Any]] = set()
        """Queries that the next poll waits for."""
        self._in_progress: dict[CachedQuery[Any], asyncio.Future[Any]] = {}
        """Slow queries that are being precomputed; a future is done when its answer is in the snapshot, or failed."""
        self._building: asyncio.Task[None] | None = None
        self._adding_slow_answers: asyncio.Task[None] | None = None
        self._prepared_s = 0.0
        self._warmed_s = 0.0
        self._metrics_read_s = -_METRICS_EVERY_S
        self._began.set()
        background = [asyncio.create_task(self._record_loop_alive()), asyncio.create_task(self._ping_redis(redis))]
        try:
            async with write_probe(redis, self._settings) as self._probe:
                await self._follow(redis)
        finally:
            for background_task in background:
                background_task.cancel()
            await redis.aclose()

    async def _record_loop_alive(self) -> None:
        while True:
            self.loop_alive_ms = self.now_ms()
            await asyncio.sleep(_LOOP_ALIVE_EVERY_S)

    async def _ping_redis(self, redis: Redis) -> None:
        """Measure Redis's liveness apart from the time that polls take."""
        while True:
            with contextlib.suppress(RedisError, *UNREACHABLE):
                await redis.ping()
                self.ping_answered_ms = self.now_ms()
            await asyncio.sleep(_PING_EVERY_S)

    async def _follow(self, redis: Redis) -> None:
        delay = interval = self._settings.poll_ms / 1000
        while not self._stopping:
            if self._poll_blockers:
                _, late = await asyncio.wait(self._poll_blockers, timeout=_LONGEST_PAUSE_S)
                self._poll_blockers -= late
            self._queue.pause()
            try:
                await self._poll()
                await self._refresh_snapshot()
            except Exception as error:
                self._log_failure(error)
                delay = min(max(2 * delay, 0.1), _SLOWEST_RETRY_S)
            else:
                if self.failure is not None:
                    log.info("Redis connection recovered")
                self.failure, delay = None, interval
            finally:
                self._queue.resume()
            await asyncio.sleep(delay)

    async def _poll(self) -> None:
        """Read the deltas applied since the last poll."""
        if time.monotonic() - self._metrics_read_s >= _METRICS_EVERY_S:
            reader = self._reader
            reports = await reader.reports()
            refused = await self._refused(self.now_ms(), reports)
            self.redis_metrics = RedisMetrics(await reader.totals(), reports, refused)
            self._metrics_read_s = time.monotonic()
        await self._measure()
        await self._view.poll(self.now_ms())
        # No await between here and `_refresh_snapshot`: an as-of must not be visible before it is published.
        if self._view.polled_ms is not None:
            self.last_poll = PollResult(self._view.state, self._view.polled_ms)

    async def _refused(self, now: int, reports: ProcessReports) -> RefusedWrites | None:
        before, why = self.redis_metrics.refused, await self._probe.refusal()
        if why in PERMISSION_REFUSALS and any_heard(self._view.state.partitions.values(), now):
            why = None  # this login may lack rights that workers have
        denied = () if why else refusal_reports(reports, now)
        return self._noted(before, denied[0].why if denied else why, now)

    def _noted(self, before: RefusedWrites | None, why: RedisRefusal | None, now: int) -> RefusedWrites | None:
        if why is None:
            if before is not None:
                log.info("Redis accepts writes")
            return None
        if before is not None and before.why is why:
            return before
        log.warning("Redis refuses writes; counting stopped", reason=why.value, fix=REFUSAL_TEXTS[why].fix)
        return RefusedWrites(why, now if before is None else before.since_ms)

    async def _refresh_snapshot(self) -> None:
        """Build a new snapshot if this one is outdated, and wait for it for a while."""
        if self.last_poll is None or (self._building is not None and not self._building.done()):
            return
        old, cache_key, now_s = self.snapshot, state_key(self.last_poll.state), time.monotonic()
        as_of_ms = self._view.as_of(self.last_poll.polled_ms).ms
        if old.matches(as_of_ms, cache_key):
            self.snapshot = replace(old, read_ms=self.last_poll.polled_ms)
            return
        if as_of_ms == old.as_of_ms and now_s - self._prepared_s < _CORRECT_EVERY_S:
            return
        self._prepared_s = now_s
        positions = {
            str(name): partition.position
            for name, partition in self.last_poll.state.partitions.items()
            if partition.position
        }
        fresh = AnswerSnapshot(as_of_ms, cache_key, self.last_poll.polled_ms, positions)
        self._snapshot_published.clear()
        self._building = asyncio.create_task(self._build_snapshot(fresh))
        try:
            await asyncio.wait({self._building}, timeout=_LONGEST_PAUSE_S)
        finally:
            self._snapshot_published.set()

    async def _build_snapshot(self, fresh: AnswerSnapshot) -> None:
        """Answer all hot queries at one as-of. Publishes when they are done or the pause ends."""
        now_s, answers = time.monotonic(), Answers()
        has_as_of = fresh.as_of_ms is not None
        publish = asyncio.get_running_loop().call_later(
            _LONGEST_PAUSE_S, lambda: self._publish(replace(fresh, answers=dict(answers)))
        )
        await self._compute_all(
            self._hot.fast_queries(now_s, self._precompute_budget.left_s(now_s)) if has_as_of else (), fresh, answers
        )
        publish.cancel()
        self._publish(replace(fresh, answers=answers))
        warm = now_s - self._warmed_s >= _WARM_EVERY_S
        slow_queries = (
            self._hot.slow_queries(now_s, self._precompute_budget.left_s(now_s), warm=warm) if has_as_of else []
        )
        if slow_queries and (self._adding_slow_answers is None or self._adding_slow_answers.done()):
            self._warmed_s = now_s
            self._adding_slow_answers = asyncio.create_task(self._add_slow_answers(slow_queries, fresh))
            self._block_next_poll(self._adding_slow_answers)

    async def _add_slow_answers(self, cached_queries: list[CachedQuery[Any]], fresh: AnswerSnapshot) -> None:
        """Add slow answers to the snapshot one by one, until there is a newer snapshot."""
        loop = asyncio.get_running_loop()
        self._in_progress = {cached_query: loop.create_future() for cached_query in cached_queries}
        try:
            for cached_query, pending in self._in_progress.items():
                answers = Answers()
                await self._compute_all((cached_query,), fresh, answers)
                if cached_query in answers and self.snapshot.matches(fresh.as_of_ms, fresh.cache_key):
                    self.snapshot = self.snapshot.with_answer(cached_query, answers[cached_query])
                pending.set_result(None)
        finally:
            for pending in self._in_progress.values():
                pending.cancel()
            self._in_progress = {}

    async def _compute_all(
        self, cached_queries: Iterable[CachedQuery[Any]], fresh: AnswerSnapshot, answers: Answers
    ) -> None:
        try:
            for cached_query in cached_queries:
                with contextlib.suppress(NotAnswerableError, NotReadyError):  # a client that asks gets the error
                    answers[cached_query], took_s = await _measure_cpu(
                        cached_query.compute(self._view, fresh.read_ms, fresh.as_of_ms)
                    )
                    self._hot.record_cost(cached_query, took_s)
                    if cached_query not in ALWAYS_HOT and not self._hot.is_internal(cached_query):
                        self._precompute_budget.use(took_s, time.monotonic())
                await asyncio.sleep(0)
        except (RedisError, *UNREACHABLE) as error:
            log.warning("precomputing answers failed", error=str(error))
        except Exception:
            log.exception("precomputing answers failed")

    def _publish(self, snapshot: AnswerSnapshot) -> None:
        self.snapshot = snapshot
        self._snapshot_published.set()
        self._on_publish(snapshot.as_of_ms)

    async def _answer(self, query: Callable[[RollingView, int], Awaitable[T]], client: str, pause_polling: bool) -> T:
        """Answer a query when its turn comes."""
        self._require_polled()

        async def run_query() -> T:
            if not pause_polling:
                return await self._ask_view(query)
            ended = asyncio.get_running_loop().create_future()
            self._block_next_poll(ended)
            try:
                return await self._ask_view(query)
            finally:
                ended.cancel()

        return await self._queue.run(client, run_query)

    async def _ask_view(self, query: Callable[[RollingView, int], Awaitable[T]]) -> T:
        """Answer after the pending snapshot is published: no as-of may be visible before."""
        await self._snapshot_published.wait()
        return await query(self._view, self._require_polled())

    def _require_polled(self) -> int:
        if self._view.polled_ms is None:
            raise NotReadyError(f"Redis has not answered yet: {self.failure or 'connecting'}")
        return self._view.polled_ms

    def _block_next_poll(self, query: asyncio.Future[Any]) -> None:
        """Let the next poll wait for a query, for `_LONGEST_PAUSE_S` at most."""
        self._poll_blockers.add(query)
        query.add_done_callback(self._poll_blockers.discard)

    async def _answer_cached(self, cached_query: CachedQuery[T], client: str) -> T:
        """Answer a cached query; the server's own queries skip the queue."""
        self._require_polled()
        pending = self._in_progress.get(cached_query)
        if pending is not None:
            await asyncio.wait({pending})
            answer = self.snapshot.answer(cached_query)
            if answer is not None:
                return answer

        async def run_query() -> T:
            return await self._ask_view(lambda view, at_ms: self._compute_and_keep(cached_query, view, at_ms))

        return await (run_query() if self._hot.is_internal(cached_query) else self._queue.run(client, run_query))

    async def _compute_and_keep(self, cached_query: CachedQuery[T], view: RollingView, at_ms: int) -> T:
        began_with = (view.as_of(at_ms).ms, state_key(view.state))
        answer, took_s = await _measure_cpu(cached_query.compute(view, at_ms, None))
        self._hot.record_cost(cached_query, took_s)
        # If a late event arrived meanwhile, the answer lacks it: do not add it to a snapshot that has the event.
        if cached_query.newest and self.snapshot.matches(*began_with) and state_key(view.state) == began_with[1]:
            self.snapshot = self.snapshot.with_answer(cached_query, answer)
        return answer

    def _log_failure(self, error: Exception) -> None:
        """Log an error once, until it changes."""
        if isinstance(error, (RedisError, OSError)):
            why = str(to_user_error(error, self._visit))
            if (refusal := refusal_of(error)) in PERMISSION_REFUSALS:
                self.redis_metrics = replace(
                    self.redis_metrics, refused=self._noted(self.redis_metrics.refused, refusal, self.now_ms())
                )
            if why != self.failure:
                log.warning("Redis poll failed; keeping the last view, not live", error=why)
        else:
            why = mask_secrets(f"{type(error).__name__}: {error}")
            if why != self.failure:
                log.exception("poll failed; retrying")
        self.failure = why


async def _measure_cpu(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """The result, and the CPU seconds that it took."""
    took: list[float] = []
    answer = await TimedCoroutine(work, took.append)
    return answer, sum(took)
