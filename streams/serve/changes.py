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

from consumers.masking import mask_secrets
from streams.serve.change_notifier import ChangeNotifier, wait_for_signal
from streams.serve.sse import StreamEntryId
from streams.store.connection import UNREACHABLE

log = structlog.get_logger()

_EVERY_S = 0.25
_PAGE = 200
_MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class AlertStreamEntry:
    """One change."""

    entry_id: StreamEntryId
    json: bytes
    """One line."""


class ChangeLog(Protocol):
    """Changes in an order that all servers see alike; the oldest are dropped some time. Errors are those of Redis."""

    async def end(self) -> StreamEntryId:
        """A place that nothing stands after yet."""

    async def oldest(self) -> StreamEntryId | None:
        """The first change that is kept."""

    async def after(self, entry_id: StreamEntryId, most: int) -> Sequence[AlertStreamEntry]:
        """The first changes after a place."""


class ChangeFeed:
    """The newest changes of a log, in memory; who is further behind is given them from the log itself."""

    def __init__(self, log: ChangeLog, notifier: ChangeNotifier) -> None:
        self.read_to: StreamEntryId | None = None
        """What was read up to; None: Redis has not answered yet."""
        self._log = log
        self._notifier = notifier
        self._ending = asyncio.Event()
        self._held: deque[AlertStreamEntry] = deque()
        self._from: StreamEntryId = (0, 0)
        """Everything after this and up to `read_to` is held."""
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
            await wait_for_signal(self._ending, _EVERY_S)

    def end(self) -> None:
        """Follow no longer. By this and not by cancelling, which a client of Redis may swallow."""
        self._ending.set()

    async def after(self, entry_id: StreamEntryId) -> Sequence[AlertStreamEntry]:
        """The first changes after a place, none when there is nothing new. Errors are those of Redis."""
        if self.read_to is None or entry_id >= self.read_to:
            return ()
        if entry_id < self._from:
            return await self._log.after(entry_id, _PAGE)
        held = list(self._held)
        first = bisect_right(held, entry_id, key=lambda change: change.entry_id)
        return held[first : first + _PAGE]

    async def reaches_back(self, entry_id: StreamEntryId) -> bool:
        """Whether every change after a place is still there. Errors are those of Redis."""
        if entry_id >= self._from:
            return True
        oldest = await self._log.oldest()
        return oldest is None or oldest <= entry_id

    async def _read(self) -> None:
        if self.read_to is None:
            self.read_to = self._from = await self._log.end()
        while found := await self._log.after(self.read_to, _PAGE):
            self._held.extend(found)
            while len(self._held) > _MOST_HELD:
                self._from = self._held.popleft().entry_id
            self.read_to = found[-1].entry_id
            self._notifier.signal()

    def _failed(self, error: Exception) -> None:
        """Said once, until another failure or none."""
        why = mask_secrets(f"{type(error).__name__}: {error}")
        if why != self._failure:
            foreseen = isinstance(error, (RedisError, *UNREACHABLE))
            log.warning("changes of alerts cannot be read; trying again", error=why, exc_info=not foreseen)
        self._failure = why
