"""What routes know of the view: answers, at once where they were made ahead, and how things stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from consumers.settings import Clock
from consumers.topics import Partition
from streams.feeds import held_back
from streams.serve.change_notifier import Bell
from streams.serve.refused import HttpRefusal
from streams.serve.standing import DOWN_AFTER_MS, Facts, Standing, is_silent, standing
from streams.serve.turns import SERVER, OverloadedError, asking
from streams.settings import Settings
from streams.store.state import State
from streams.stuck import Waiting, stuck
from streams.view.asking import NotReadyError
from streams.view.follower_thread import Aside, Following, Look
from streams.view.precomputed import Hot, Snapshot
from streams.view.queries import Ask
from streams.view.reached import newest, reached_ms
from streams.view.rolling import RollingView

T = TypeVar("T")

_EXPIRED_MS = 2_000
"""A snapshot that is so far behind the last look is not answered from: the view itself is asked."""
DEADLINE_S = 10.0
"""A question that takes longer is given up, and no longer computed."""
_NOTHING = State((), {}, 0)


class Live:
    """One server's view, for the event loop that serves HTTP. Nothing here takes long.

    While Redis does not answer, everything keeps its last content, and `standing` says since when and why.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bell = Bell()
        """Rung at each new as-of."""
        self.turn = 0
        """How many as-ofs there were."""
        self._hot = Hot()
        self._following = Following(settings, self._hot, self._published)
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
            self.turn += 1
            self.bell.ring()

    # Asking ----------------------------------------------------------------------------------------------------------

    async def tell(self, ask: Ask[T]) -> T:
        """The answer: of the newest snapshot, else of the view itself. Raises OverloadedError."""
        who = asking.get()
        if ask.newest:
            self._hot.note(ask, time.monotonic(), followed=who == SERVER)
            look, snapshot = self._following.look, self._following.snapshot
            if look is not None and look.polled_ms - snapshot.read_ms <= _EXPIRED_MS:
                answer = snapshot.answer(ask)
                if answer is not None:
                    return answer
        making = self._following.make(ask, who)
        return await (asyncio.wrap_future(making) if self._hot.is_ours(ask) else _in_time(making))

    def expect(self, ask: Ask[Any]) -> None:
        """The server itself asks for it: it is answered ahead."""
        self._hot.expect(ask, time.monotonic())

    async def ask(self, question: Callable[[RollingView, int], Awaitable[T]], *, still: bool = False) -> T:
        """Ask the view itself: the question is called with it and the clock of questions, in the view's thread.

        `still`: it asks several times and wants one as-of, so that nothing is taken in meanwhile, for a second at most.

        Raises:
            OverloadedError: its token's computing time is spent, too many wait, or it takes too long.
        """
        return await _in_time(self._following.ask(question, asking.get(), still=still))

    # How things stand ------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The newest that is finished."""
        return self._following.snapshot

    @property
    def aside(self) -> Aside:
        """What else Redis holds for metrics."""
        return self._following.aside

    @property
    def look(self) -> Look:
        """The last look into Redis.

        Its clock is that of questions, not the present: while Redis is away, the as-of must not move on over time that
        nothing was heard of.
        """
        look = self._following.look
        if look is None:
            raise NotReadyError(f"Redis has not answered yet: {self._following.failure or 'it was only just asked'}")
        return look

    @property
    def state(self) -> State:
        """Where every partition stood at the last look."""
        look = self._following.look
        return _NOTHING if look is None else look.state

    def now_ms(self) -> int:
        """The present by Redis's clock, which ages go by: this machine's may be wrong."""
        return self._following.now_ms()

    @property
    def clock_ahead_ms(self) -> float:
        """How far this machine's clock is ahead of Redis's; behind: negative."""
        return self._following.clock_ahead_ms

    def newest_ms(self) -> int | None:
        """The newest as-of; None while nothing can be said of the present."""
        return newest(self.look.state, self.look.polled_ms, self.settings).ms

    def reached_ms(self) -> int | None:
        """Up to where earlier moments can be asked about."""
        return reached_ms(self.look.state, self.look.polled_ms, self.settings)

    def stuck(self) -> dict[Partition, Waiting]:
        """Partitions in which records wait, and whose position does not move."""
        look = self._following.look
        at_ms = self.now_ms() if look is None else look.polled_ms
        return stuck(self.state.waiting, self.state.stopped, at_ms, self.settings.stale_after_s)

    def standing(self, as_of_ms: int | None = None) -> Standing:
        """How things stand now for an answer of this as-of; None: for those that are made ahead."""
        now, look = self.now_ms(), self._following.look
        polled_ms = None if look is None else look.polled_ms
        state_ms = now if polled_ms is None else polled_ms
        answered_ms, turned_ms = self._following.answered_ms, self._following.turned_ms
        failure = self._following.failure
        heard_ms = max((at_ms for at_ms in (answered_ms, polled_ms) if at_ms is not None), default=None)
        late = polled_ms is not None and failure is None and now - polled_ms > DOWN_AFTER_MS
        busy = late and not is_silent(heard_ms, turned_ms, now)  # and what was not read says nothing of workers
        facts = Facts(
            newest=newest(self.state, state_ms, self.settings),
            partitions=self.state.current,
            stale=newest(self.state, polled_ms if busy and polled_ms else now, self.settings).stale,
            polled_ms=polled_ms,
            heard_ms=heard_ms,
            listened_ms=turned_ms,
            failure=failure,
            prepared=self.snapshot.as_of_ms is not None,
            wall=self.settings.clock is Clock.WALL,
            unread=self.state.unread,
            missing=self.state.missing,
            differing=self.state.differing,
            refused=self.aside.refused,
            stopped=self.state.stopped,
            held_back=tuple(held_back(self.state.current, state_ms, self.settings)),
            stuck=self.stuck(),
            shown_ms=self.snapshot.as_of_ms if as_of_ms is None else as_of_ms,
        )
        return standing(facts, now)


async def _in_time(answer: Future[T]) -> T:
    """The answer. Raises OverloadedError where it takes too long; it is no longer computed then."""
    try:
        async with asyncio.timeout(DEADLINE_S) as limit:
            return await asyncio.wrap_future(answer)
    except TimeoutError:
        if not limit.expired():
            raise
        raise OverloadedError(
            HttpRefusal.DEADLINE,
            f"no answer within {DEADLINE_S:.0f} s: this server is busy, or the question takes too long; ask again, or "
            "about less: fewer values, a shorter window, fewer points",
        ) from None
