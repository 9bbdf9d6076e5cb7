"""What is new, for everyone who follows this server: made once, however many they are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from streams.serve.asking import answer
from streams.serve.asks import Ask, Told
from streams.serve.changes import ChangeLog, Tail
from streams.serve.live import Live

_MOST_HELD = 64
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

    def __init__(self, live: Live) -> None:
        self.live = live
        self.bell = live.bell
        self.alerts: Tail | None = None
        """Changes of alerts, where something is installed that keeps them."""
        self.followers = 0
        self.closed = False
        self._made: dict[Ask[Told], _Made] = {}

    def close(self) -> None:
        """Nothing follows from now on: whoever follows is let go."""
        self.closed = True
        self.bell.ring()

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
        """The newest answer to a question.

        Raises:
            NotReadyError: while there is no as-of.
            NotAnswerableError: it cannot be answered.
        """
        held, now_s = self._made.pop(ask, None), time.monotonic()
        if held is None or held.turn != self.live.turn or now_s - held.made_s > _AS_NEW_S:
            held = _Made(self.live.turn, now_s, asyncio.ensure_future(self._make(ask)))
        self._made[ask] = held
        if len(self._made) > _MOST_HELD:
            del self._made[next(iter(self._made))]
        return await asyncio.shield(held.numbers)

    async def _make(self, ask: Ask[Told]) -> Numbers:
        told = await answer(self.live, ask)
        return Numbers(told["as_of"], _encode(told))
