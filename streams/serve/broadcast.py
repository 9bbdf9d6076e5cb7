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

from consumers.masking import masked
from streams.serve.asking import answer
from streams.serve.changes import ChangeLog, Tail
from streams.serve.errors import ApiError
from streams.serve.live import Live
from streams.serve.turns import SERVER, asking
from streams.view.queries import Ask, Told

log = structlog.get_logger()

MOST_FOLLOWERS = 1000
"""And no more than half of the connections, so that there is room for those who ask."""
MOST_QUESTIONS = 128
"""That are followed at once: each is answered at each new as-of, and its newest answer is held."""
_AS_NEW_S = 1.0
"""An answer says whether it is live and how old it is: it may be passed on for so long."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Numbers:
    """An answer about KPIs."""

    as_of_ms: int
    json: bytes


@dataclass(frozen=True, slots=True)
class _Made:
    turn: int
    made_s: float
    numbers: asyncio.Future[Numbers]


class Broadcast:
    """News of one server, in the event loop that serves."""

    def __init__(self, live: Live, connections: int) -> None:
        self.live = live
        self._half = connections // 2
        self.bell = live.bell
        self.alerts: Tail | None = None
        """Changes of alerts, where something is installed that keeps them."""
        self.closed = False
        self._followers: Counter[Ask[Told]] = Counter()
        self._made: dict[Ask[Told], _Made] = {}
        """Only what is followed."""
        self._failure: str | None = None

    def close(self) -> None:
        """Nothing follows from now on: whoever follows is let go."""
        self.closed = True
        self.bell.ring()

    def failed(self, error: Exception) -> None:
        """A fault of ours ends a stream: said once, until another, since its client comes back and meets it again."""
        why = masked(f"{type(error).__name__}: {error}")
        if why != self._failure:
            log.error("what is new could not be told: a stream ends", exc_info=error)
        self._failure = why

    @contextlib.contextmanager
    def place(self, ask: Ask[Told]) -> Iterator[None]:
        """A place for one who follows this question, meanwhile.

        Raises:
            ApiError: all are taken.
        """
        most = min(MOST_FOLLOWERS, self._half)
        if self._followers.total() >= most:
            raise ApiError(503, "too_many_streams", f"{most} follow this server already: ask another one")
        if ask not in self._followers and len(self._followers) >= MOST_QUESTIONS:
            raise ApiError(
                503, "too_many_questions", f"{MOST_QUESTIONS} questions are followed here already: ask another server"
            )
        self._followers[ask] += 1
        try:
            yield
        finally:
            self._followers[ask] -= 1
            if not self._followers[ask]:
                del self._followers[ask]
                self._made.pop(ask, None)

    @contextlib.asynccontextmanager
    async def alerts_from(self, log: ChangeLog) -> AsyncIterator[None]:
        """Pass changes of alerts on, meanwhile."""
        tail = self.alerts = Tail(log, self.bell)
        following = asyncio.create_task(tail.follow())
        try:
            yield
        finally:
            tail.end()
            await following

    async def numbers(self, ask: Ask[Told]) -> Numbers:
        """The newest answer to a question that somebody has a place for.

        Raises:
            NotReadyError: while there is no as-of.
            NotAnswerableError: it cannot be answered.
        """
        held, now_s = self._made.get(ask), time.monotonic()
        if held is None or held.turn != self.live.turn or now_s - held.made_s > _AS_NEW_S:
            held = self._made[ask] = _Made(self.live.turn, now_s, asyncio.ensure_future(self._make(ask)))
        return await asyncio.shield(held.numbers)

    async def _make(self, ask: Ask[Told]) -> Numbers:
        asking.set(SERVER)  # of this task alone
        told = await answer(self.live, ask)
        return Numbers(told["as_of"], _encode(told))
