"""A log of changes that other packages keep in Redis, read once for everyone who follows this server."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from consumers.masking import masked
from streams.serve.change_notifier import Bell, rings
from streams.serve.sse import Place
from streams.store.connection import UNREACHABLE

log = structlog.get_logger()

_EVERY_S = 0.25
_PAGE = 200
_MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    place: Place
    json: bytes
    """One line."""


class ChangeLog(Protocol):
    """Changes in an order that all servers see alike; the oldest are dropped some time. Errors are those of Redis."""

    async def end(self) -> Place:
        """A place that nothing stands after yet."""

    async def oldest(self) -> Place | None:
        """The first change that is kept."""

    async def after(self, place: Place, most: int) -> Sequence[Change]:
        """The first changes after a place."""


class Tail:
    """The newest changes of a log, in memory; who is further behind is given them from the log itself."""

    def __init__(self, log: ChangeLog, bell: Bell) -> None:
        self.upto: Place | None = None
        """What was read up to; None: Redis has not answered yet."""
        self._log = log
        self._bell = bell
        self._ending = asyncio.Event()
        self._held: deque[Change] = deque()
        self._from: Place = (0, 0)
        """Everything after this and up to `upto` is held."""
        self._failure: str | None = None

    async def follow(self) -> None:
        """Read what comes, until told to end, whatever fails meanwhile. While Redis is away nothing comes."""
        while not self._ending.is_set():
            try:
                await self._read()
            except Exception as error:
                self._failed(error)
            else:
                self._failure = None
            await rings(self._ending, _EVERY_S)

    def end(self) -> None:
        """Follow no longer. By this and not by cancelling, which a client of Redis may swallow."""
        self._ending.set()

    async def after(self, place: Place) -> Sequence[Change]:
        """The first changes after a place, none when there is nothing new. Errors are those of Redis."""
        if self.upto is None or place >= self.upto:
            return ()
        if place < self._from:
            return await self._log.after(place, _PAGE)
        held = list(self._held)
        first = bisect_right(held, place, key=lambda change: change.place)
        return held[first : first + _PAGE]

    async def reaches_back(self, place: Place) -> bool:
        """Whether every change after a place is still there. Errors are those of Redis."""
        if place >= self._from:
            return True
        oldest = await self._log.oldest()
        return oldest is None or oldest <= place

    async def _read(self) -> None:
        if self.upto is None:
            self.upto = self._from = await self._log.end()
        while found := await self._log.after(self.upto, _PAGE):
            self._held.extend(found)
            while len(self._held) > _MOST_HELD:
                self._from = self._held.popleft().place
            self.upto = found[-1].place
            self._bell.ring()

    def _failed(self, error: Exception) -> None:
        """Said once, until another failure or none."""
        why = masked(f"{type(error).__name__}: {error}")
        if why != self._failure:
            foreseen = isinstance(error, (RedisError, *UNREACHABLE))
            log.warning("changes of alerts cannot be read; trying again", error=why, exc_info=not foreseen)
        self._failure = why
