"""Notices on their way: who may send to a receiver now, and what became of it.

A process takes its turn with a receiver, says before each attempt that it begins, which makes the turn last as long as
the lease, and afterwards what became of it, which ends the turn. Dying in between leaves the notices where they are:
another process takes the turn when the lease has ended, and what had arrived without being settled is sent once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from redis.asyncio import Redis

from alerts.state.telling import Notice
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys
from streams.store.connection import script

MOST_AT_ONCE = 500
CHOOSING_MS = 3000
"""How long a turn lasts before an attempt begins."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another process sends to the receiver."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The receiver is to be left alone."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    """What may be sent now; empty: nothing."""

    notices: tuple[Notice, ...]
    failures: int
    """Attempts in a row that have failed."""
    attempts_ms: tuple[int, ...]
    """When was sent, within the window of the rate limit, in order."""


@dataclass(frozen=True, slots=True)
class Settling:
    """What became of notices."""

    gone: Sequence[str]
    """Ids of those that have arrived or are given up."""
    kept: Sequence[Notice]
    """Those that are to be tried again, as they are then."""
    failures: int
    blocked_ms: int
    """Nothing more to this receiver before this."""


class NoticeQueue(Protocol):
    """Where notices wait to be sent."""

    async def take(self, receiver: str, now_ms: int, rate_window_ms: int) -> Busy | Blocked | Due: ...
    async def attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool: ...
    async def settle(self, receiver: str, what: Settling) -> None: ...
    async def waiting(self, receiver: str) -> int: ...


class Outbox:
    """The notices on their way, for one process."""

    def __init__(self, redis: Redis, keys: AlertKeys, owner: str, *, lease_ms: int) -> None:
        self._redis: Any = redis  # redis-py's own types fit neither of its two kinds of client
        self._keys = keys
        self._owner = owner
        self._lease_ms = lease_ms
        self._take = script(redis, "take", "alerts.store")
        self._attempt = script(redis, "attempt", "alerts.store")
        self._settle = script(redis, "settle", "alerts.store")

    async def take(self, receiver: str, now_ms: int, rate_window_ms: int) -> Busy | Blocked | Due:
        """Take the turn with a receiver, if there is anything to send to it."""
        keys = self._keys
        answer = await self._take(
            keys=[keys.turn(receiver), keys.due(receiver), keys.outbox(receiver), keys.sent(receiver)],
            args=[
                self._owner,
                min(self._lease_ms, CHOOSING_MS),
                now_ms,
                now_ms - rate_window_ms,
                MOST_AT_ONCE,
            ],
        )
        match answer[0]:
            case b"busy":
                return Busy()
            case b"blocked":
                return Blocked(int(answer[1]))
            case _:
                _, failures, attempts, notices = answer
                return Due(
                    tuple(decode(Notice, text) for text in notices),
                    int(failures),
                    tuple(int(float(at)) for at in attempts),
                )

    async def attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool:
        """Say that an attempt begins. False: the turn is another's by now, and nothing may be sent."""
        begun = await self._attempt(
            keys=[self._keys.turn(receiver), self._keys.sent(receiver)],
            args=[self._owner, self._lease_ms, now_ms, uuid4().hex, 2 * rate_window_ms],
        )
        return bool(begun)

    async def settle(self, receiver: str, what: Settling) -> None:
        """Say what became of an attempt."""
        keys = self._keys
        await self._settle(
            keys=[keys.turn(receiver), keys.due(receiver), keys.outbox(receiver)],
            args=[
                self._owner,
                what.failures,
                what.blocked_ms,
                len(what.gone),
                *what.gone,
                *(part for notice in what.kept for part in (notice.id, encode(notice), notice.due_ms)),
            ],
        )

    async def waiting(self, receiver: str) -> int:
        """How many notices are on their way to a receiver."""
        return int(await self._redis.hlen(self._keys.outbox(receiver)))
