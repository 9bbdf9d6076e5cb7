"""The view, followed in a thread and an event loop of its own: HTTP never waits for its work.

Each look into Redis (`_look`) takes in what was counted since. When that has moved the as-of, all hot questions are
answered (`_prepare`) and published at once as a new `Snapshot`. Whatever else is asked runs here too, in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.masking import masked
from streams.clock import now_ms as machine_ms
from streams.panes.rows import Rows
from streams.refusal_reports import HEARD_WITHIN_MS, refusal_reports
from streams.serve.allowance import Accounts, Allowance
from streams.serve.standing import RefusedWrites, any_heard
from streams.serve.turns import SERVER, Paced, Turns
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, Access, connect, visit
from streams.store.keys import Keys
from streams.store.reader import PaneReader
from streams.store.reference_clock import ReferenceClock
from streams.store.refusal_kinds import OURS, TEXTS, RedisRefusal, refusal_of
from streams.store.refusals import told
from streams.store.state import State
from streams.store.write_probe import write_probe
from streams.view.asking import NotAnswerableError, NotReadyError
from streams.view.precomputed import Hot, Snapshot, content
from streams.view.queries import ALWAYS, Ask
from streams.view.rolling import RollingView

log = structlog.get_logger()
T = TypeVar("T")

Answers = dict[Ask[Any], Any]

_SLOWEST_RETRY_S = 1.0
_SWITCH_S = 0.0005
"""So long the view's thread may keep the interpreter from others: those that serve or send."""
_ASIDE_EVERY_S = 1.0
_CORRECT_EVERY_S = 1.0
"""While the as-of stays, late events are taken into the snapshot so often."""
_WARM_EVERY_S = 5.0
"""See `Ask.warm_s`."""
_AHEAD = (0.3, 0.5)
"""Of each second, and at once: computing time for answers that are made ahead since clients asked for them lately."""
_TURN_EVERY_S = 0.1
_LISTEN_EVERY_S = 0.5
_LONGEST_PAUSE_S = 1.0
"""While hot questions are answered nothing is taken in, so that all are of one as-of; but no longer than this."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look into Redis found."""

    state: State
    polled_ms: int
    """When it began, by Redis's clock: the clock of questions."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What else Redis holds for metrics, read once a second."""

    totals: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    refused: RefusedWrites | None = None
    """Whether Redis refuses writes."""


def _nobody(_: int | None) -> None:
    """Nobody wants to be told of snapshots."""


class Following:
    """What the thread leaves for others to read, each replaced as a whole; and a way to ask the view itself."""

    def __init__(self, settings: Settings, hot: Hot, on_publish: Callable[[int | None], None] = _nobody) -> None:
        self.look: Look | None = None
        self.snapshot = Snapshot()
        self.aside = Aside()
        self.failure: str | None = None
        """Why Redis was not read since `look`."""
        self.answered_ms: int | None = None
        """When Redis last answered anything."""
        self.turned_ms: int | None = None
        """When the loop of this thread was last seen to turn: up to then a Redis that had answered was heard."""
        self._settings = settings
        self._hot = hot
        self._on_publish = on_publish
        """Called in the thread, with the as-of of each snapshot that is there."""
        self._clock: ReferenceClock | None = None
        self._began = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    # From other threads ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; does not wait for Redis. From then on threads of this process change places more often."""
        sys.setswitchinterval(_SWITCH_S)
        self._thread.start()
        self._began.wait()

    def stop(self) -> None:
        """End it, and wait for that."""
        self._stopping = True
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has ended just now
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the view is still followed: it always is, but for a fault of ours."""
        return self._thread.is_alive()

    def now_ms(self) -> int:
        """The present by Redis's clock, as it was last measured; by the machine's while it never was."""
        return machine_ms() if self._clock is None else self._clock.now_ms()

    @property
    def clock_ahead_ms(self) -> float:
        """How far this machine's clock is ahead of Redis's; behind: negative."""
        return 0.0 if self._clock is None else self._clock.offset_ms

    def ask(
        self, question: Callable[[RollingView, int], Awaitable[T]], who: str = SERVER, *, still: bool = False
    ) -> Future[T]:
        """Ask the view, at the clock of its last look. Raises RuntimeError when the thread has ended.

        `who`: whose turn and whose account it is, see `Turns`, of which it also has the errors. `still`: the next look
        waits for the answer, for a while.
        """
        return asyncio.run_coroutine_threadsafe(self._answer(question, who, still), self._loop)

    def make(self, ask: Ask[T], who: str = SERVER) -> Future[T]:
        """Have the view answer what no snapshot holds; kept in the snapshot where it is of the same state."""
        return asyncio.run_coroutine_threadsafe(self._answer_one(ask, who), self._loop)

    # In the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._settled = asyncio.Event()
        self._settled.set()
        redis, rows = connect(self._settings, Access.READ), Rows()
        self._visit = visit(redis)
        keys = Keys(self._settings.redis_prefix, self._settings.shards)
        self._clock = clock = ReferenceClock(redis, keys)
        self._measure = clock.measure
        self._reader = PaneReader(redis, keys, rows)
        self._view = RollingView(self._reader, rows, self._settings)
        share = self._settings.http_work_s / 10
        self._turns = Turns(Accounts(share, self._settings.http_work_s))
        self._ahead = Allowance(*_AHEAD)
        self._still: set[asyncio.Future[Any]] = set()
        """Questions that the next look waits for."""
        self._coming: dict[Ask[Any], asyncio.Future[Any]] = {}
        """Questions that take long to answer and are being answered ahead; done: in the snapshot, unless it failed."""
        self._preparing: asyncio.Task[None] | None = None
        self._preparing_slow: asyncio.Task[None] | None = None
        self._prepared_s = 0.0
        self._warmed_s = 0.0
        self._aside_s = -_ASIDE_EVERY_S
        self._began.set()
        beside = [asyncio.create_task(self._turn()), asyncio.create_task(self._listen(redis))]
        try:
            async with write_probe(redis, self._settings) as self._probe:
                await self._follow(redis)
        finally:
            for one in beside:
                one.cancel()
            await redis.aclose()

    async def _turn(self) -> None:
        while True:
            self.turned_ms = self.now_ms()
            await asyncio.sleep(_TURN_EVERY_S)

    async def _listen(self, redis: Redis) -> None:
        """Whether Redis answers, told apart from how long it takes to read and add up what it holds."""
        while True:
            with contextlib.suppress(RedisError, *UNREACHABLE):
                await redis.ping()
                self.answered_ms = self.now_ms()
            await asyncio.sleep(_LISTEN_EVERY_S)

    async def _follow(self, redis: Redis) -> None:
        delay = interval = self._settings.poll_ms / 1000
        while not self._stopping:
            if self._still:
                _, late = await asyncio.wait(self._still, timeout=_LONGEST_PAUSE_S)
                self._still -= late
            self._turns.pause()
            try:
                await self._look()
                await self._answer_ahead()
            except Exception as error:
                self._failed(error)
                delay = min(max(2 * delay, 0.1), _SLOWEST_RETRY_S)
            else:
                if self.failure is not None:
                    log.info("Redis answers again")
                self.failure, delay = None, interval
            finally:
                self._turns.resume()
            await asyncio.sleep(delay)

    async def _look(self) -> None:
        """Take in what was counted since the last look."""
        if time.monotonic() - self._aside_s >= _ASIDE_EVERY_S:
            reader = self._reader
            workers = await reader.workers()
            refused = await self._refused(self.now_ms(), workers)
            self.aside = Aside(await reader.totals(), workers, refused)
            self._aside_s = time.monotonic()
        await self._measure()
        await self._view.poll(self.now_ms())
        # From here on nothing is waited for before `_answer_ahead`: nobody is to see an as-of that is not published.
        if self._view.polled_ms is not None:
            self.look = Look(self._view.state, self._view.polled_ms)

    async def _refused(self, now: int, workers: Mapping[str, tuple[int, str]]) -> RefusedWrites | None:
        before, why = self.aside.refused, await self._probe.refusal()
        if why in OURS and any_heard(self._view.state.partitions.values(), now):
            why = None  # our login may do less than that of workers
        reports = () if why else refusal_reports(workers, now - HEARD_WITHIN_MS)
        return self._noted(before, reports[0].why if reports else why, now)

    def _noted(self, before: RefusedWrites | None, why: RedisRefusal | None, now: int) -> RefusedWrites | None:
        if why is None:
            if before is not None:
                log.info("Redis takes writes")
            return None
        if before is not None and before.why is why:
            return before
        log.warning("Redis refuses writes: nothing is counted", reason=why.value, fix=TEXTS[why].fix)
        return RefusedWrites(why, now if before is None else before.since_ms)

    async def _answer_ahead(self) -> None:
        """Have a new snapshot made if this one is behind; wait for it, for a while."""
        if self.look is None or (self._preparing is not None and not self._preparing.done()):
            return
        old, rests_on, now_s = self.snapshot, content(self.look.state), time.monotonic()
        as_of_ms = self._view.as_of(self.look.polled_ms).ms
        if old.is_of(as_of_ms, rests_on):
            self.snapshot = replace(old, read_ms=self.look.polled_ms)
            return
        if as_of_ms == old.as_of_ms and now_s - self._prepared_s < _CORRECT_EVERY_S:
            return
        self._prepared_s = now_s
        positions = {str(name): held.position for name, held in self.look.state.partitions.items() if held.position}
        fresh = Snapshot(as_of_ms, rests_on, self.look.polled_ms, positions)
        self._settled.clear()
        self._preparing = asyncio.create_task(self._prepare(fresh))
        try:
            await asyncio.wait({self._preparing}, timeout=_LONGEST_PAUSE_S)
        finally:
            self._settled.set()

    async def _prepare(self, fresh: Snapshot) -> None:
        """Answer what is hot, all at one as-of. Published when it is there, or the pause is over."""
        now_s, made = time.monotonic(), Answers()
        known = fresh.as_of_ms is not None
        publish = asyncio.get_running_loop().call_later(
            _LONGEST_PAUSE_S, lambda: self._publish(replace(fresh, made=dict(made)))
        )
        await self._make(self._hot.quick(now_s, self._ahead.left_s(now_s)) if known else (), fresh, made)
        publish.cancel()
        self._publish(replace(fresh, made=made))
        warm = now_s - self._warmed_s >= _WARM_EVERY_S
        slow = self._hot.slow(now_s, self._ahead.left_s(now_s), warm=warm) if known else []
        if slow and (self._preparing_slow is None or self._preparing_slow.done()):
            self._warmed_s = now_s
            self._preparing_slow = asyncio.create_task(self._prepare_slow(slow, fresh))
            self._wait_for(self._preparing_slow)

    async def _prepare_slow(self, asks: list[Ask[Any]], fresh: Snapshot) -> None:
        """Add what takes long to the snapshot, one by one, unless there is a newer one by then."""
        loop = asyncio.get_running_loop()
        self._coming = {ask: loop.create_future() for ask in asks}
        try:
            for ask, coming in self._coming.items():
                made = Answers()
                await self._make((ask,), fresh, made)
                if ask in made and self.snapshot.is_of(fresh.as_of_ms, fresh.rests_on):
                    self.snapshot = self.snapshot.having(ask, made[ask])
                coming.set_result(None)
        finally:
            for coming in self._coming.values():
                coming.cancel()
            self._coming = {}

    async def _make(self, asks: Iterable[Ask[Any]], fresh: Snapshot, made: Answers) -> None:
        try:
            for ask in asks:
                with contextlib.suppress(NotAnswerableError, NotReadyError):  # who asks is told why
                    made[ask], took_s = await _measured(ask.make(self._view, fresh.read_ms, fresh.as_of_ms))
                    self._hot.took(ask, took_s)
                    if ask not in ALWAYS and not self._hot.is_ours(ask):
                        self._ahead.use(took_s, time.monotonic())
                await asyncio.sleep(0)
        except (RedisError, *UNREACHABLE) as error:
            log.warning("precomputing answers failed", error=str(error))
        except Exception:
            log.exception("answers are not made ahead")

    def _publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._settled.set()
        self._on_publish(snapshot.as_of_ms)

    async def _answer(self, question: Callable[[RollingView, int], Awaitable[T]], who: str, still: bool) -> T:
        """What the view says to a question, when it is its turn."""
        self._require_read()

        async def asked() -> T:
            if not still:
                return await self._asked(question)
            ended = asyncio.get_running_loop().create_future()
            self._wait_for(ended)
            try:
                return await self._asked(question)
            finally:
                ended.cancel()

        return await self._turns.run(who, asked)

    async def _asked(self, question: Callable[[RollingView, int], Awaitable[T]]) -> T:
        """It waits for what is to be published: no as-of is seen before that."""
        await self._settled.wait()
        return await question(self._view, self._require_read())

    def _require_read(self) -> int:
        if self._view.polled_ms is None:
            raise NotReadyError(f"Redis has not answered yet: {self.failure or 'it was only just asked'}")
        return self._view.polled_ms

    def _wait_for(self, question: asyncio.Future[Any]) -> None:
        """Let the next look wait for it, for a while."""
        self._still.add(question)
        question.add_done_callback(self._still.discard)

    async def _answer_one(self, ask: Ask[T], who: str) -> T:
        """The server's own questions wait for no turn."""
        self._require_read()
        coming = self._coming.get(ask)
        if coming is not None:
            await asyncio.wait({coming})
            made = self.snapshot.answer(ask)
            if made is not None:
                return made

        async def asked() -> T:
            return await self._asked(lambda view, at_ms: self._made(ask, view, at_ms))

        return await (asked() if self._hot.is_ours(ask) else self._turns.run(who, asked))

    async def _made(self, ask: Ask[T], view: RollingView, at_ms: int) -> T:
        began_with = (view.as_of(at_ms).ms, content(view.state))
        answer, took_s = await _measured(ask.make(view, at_ms, None))
        self._hot.took(ask, took_s)
        # Meanwhile a late event may have been taken in, which it lacks, and a snapshot that has it published.
        if ask.newest and self.snapshot.is_of(*began_with) and content(view.state) == began_with[1]:
            self.snapshot = self.snapshot.having(ask, answer)
        return answer

    def _failed(self, error: Exception) -> None:
        """Said once, until another failure or none."""
        if isinstance(error, (RedisError, OSError)):
            why = str(told(error, self._visit))
            if (refusal := refusal_of(error)) in OURS:
                self.aside = replace(self.aside, refused=self._noted(self.aside.refused, refusal, self.now_ms()))
            if why != self.failure:
                log.warning("Redis does not answer; the last view is kept and no longer called live", error=why)
        else:
            why = masked(f"{type(error).__name__}: {error}")
            if why != self.failure:
                log.exception("following the view failed; trying again")
        self.failure = why


async def _measured(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """What it comes to, and the computing time that it took."""
    took: list[float] = []
    answer = await Paced(work, took.append)
    return answer, sum(took)
