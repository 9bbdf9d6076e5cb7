"""Notifies waiting tasks of changes, and reads a log of changes in Redis once for all subscribers."""

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
from streams.serve.sse import StreamEntryId
from streams.store.connection import UNREACHABLE

log = structlog.get_logger()

_EVERY_S = 0.25
"""Interval between reads of the log."""
_PAGE = 200
"""Maximum number of entries per read."""
_MOST_HELD = 1000
"""Maximum number of entries in memory."""


class ChangeNotifier:
    """Notifies all waiting tasks of one event loop.

    Take `next_signal` before checking for changes, then wait for it: no change is missed.
    """

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next_signal(self) -> asyncio.Event:
        """Set at the next change."""
        return self._next

    def signal(self) -> None:
        """Notify all waiting tasks."""
        current, self._next = self._next, asyncio.Event()
        current.set()


async def wait_for_signal(signal: asyncio.Event, within_s: float) -> bool:
    """Wait for a signal; False on timeout."""
    try:
        async with asyncio.timeout(within_s):
            await signal.wait()
    except TimeoutError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class AlertStreamEntry:
    """One change of an alert."""

    entry_id: StreamEntryId
    json: bytes
    """One line."""


class ChangeLog(Protocol):
    """An ordered log, the same for all servers; old entries are trimmed. Methods raise Redis errors."""

    async def end(self) -> StreamEntryId:
        """The id of the newest entry."""

    async def oldest(self) -> StreamEntryId | None:
        """The id of the oldest entry kept."""

    async def after(self, entry_id: StreamEntryId, most: int) -> Sequence[AlertStreamEntry]:
        """The first entries after an id."""


class ChangeFeed:
    """The newest entries of a log, in memory. Subscribers further behind read the log itself."""

    def __init__(self, log: ChangeLog, notifier: ChangeNotifier) -> None:
        self.read_to: StreamEntryId | None = None
        """Id of the newest entry read; None before Redis first answers."""
        self._log = log
        self._notifier = notifier
        self._ending = asyncio.Event()
        self._held: deque[AlertStreamEntry] = deque()
        self._from: StreamEntryId = (0, 0)
        """All entries after this, up to `read_to`, are in memory."""
        self._failure: str | None = None

    async def follow(self) -> None:
        """Read new entries until `end`, retrying after errors."""
        while not self._ending.is_set():
            try:
                await self._read()
            except Exception as error:
                self._failed(error)
            else:
                self._failure = None
            await wait_for_signal(self._ending, _EVERY_S)

    def end(self) -> None:
        """Stop following. Cancelling would not do: redis-py may swallow it."""
        self._ending.set()

    async def after(self, entry_id: StreamEntryId) -> Sequence[AlertStreamEntry]:
        """The first entries after an id; empty if there are none. Raises Redis errors."""
        if self.read_to is None or entry_id >= self.read_to:
            return ()
        if entry_id < self._from:
            return await self._log.after(entry_id, _PAGE)
        entries = list(self._held)
        first = bisect_right(entries, entry_id, key=lambda change: change.entry_id)
        return entries[first : first + _PAGE]

    async def reaches_back(self, entry_id: StreamEntryId) -> bool:
        """Whether no entry after an id was trimmed. Raises Redis errors."""
        if entry_id >= self._from:
            return True
        oldest = await self._log.oldest()
        return oldest is None or oldest <= entry_id

    async def _read(self) -> None:
        if self.read_to is None:
            self.read_to = self._from = await self._log.end()
        while entries := await self._log.after(self.read_to, _PAGE):
            self._held.extend(entries)
            while len(self._held) > _MOST_HELD:
                self._from = self._held.popleft().entry_id
            self.read_to = entries[-1].entry_id
            self._notifier.signal()

    def _failed(self, error: Exception) -> None:
        """Log an error once, until it changes."""
        why = mask_secrets(f"{type(error).__name__}: {error}")
        if why != self._failure:
            is_expected = isinstance(error, (RedisError, *UNREACHABLE))
            log.warning("reading alert changes failed; retrying", error=why, exc_info=not is_expected)
        self._failure = why
