"""The outbox of queued notices, with one sending process per receiver.

A process claims a receiver, records the start of each attempt, which extends the claim, and its outcome, which ends the
claim. If the process dies, another one claims the receiver after the lease, and a notice that was delivered without a
recorded outcome is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from alerts.state.notices import AttemptResult, DueNotices, Notice, ReceiverBlocked, ReceiverBusy, WithdrawnNotice
from alerts.store.codec import decode, encode
from alerts.store.keys import AlertKeys
from streams.store.connection import script

MAX_DUE_NOTICES = 500
CLAIM_LEASE_MS = 3000
"""Duration of a claim before an attempt starts."""


class Outbox:
    """The outbox in Redis, for one process."""

    def __init__(self, redis: Redis, keys: AlertKeys, owner: str, *, lease_ms: int) -> None:
        self._redis: Any = redis  # redis-py's types fit neither kind of its clients
        self._keys = keys
        self._owner = owner
        self._lease_ms = lease_ms
        self._take = script(redis, "take", "alerts.store")
        self._attempt = script(redis, "attempt", "alerts.store")
        self._settle = script(redis, "settle", "alerts.store")

    async def claim_due(
        self, receiver: str, now_ms: int, rate_window_ms: int
    ) -> ReceiverBusy | ReceiverBlocked | DueNotices:
        """Claim the receiver if it has due notices."""
        keys = self._keys
        reply = await self._take(
            keys=[keys.turn(receiver), keys.due(receiver), keys.outbox(receiver), keys.sent(receiver)],
            args=[
                self._owner,
                min(self._lease_ms, CLAIM_LEASE_MS),
                now_ms,
                now_ms - rate_window_ms,
                MAX_DUE_NOTICES,
            ],
        )
        match reply[0]:
            case b"busy":
                return ReceiverBusy()
            case b"blocked":
                return ReceiverBlocked(int(reply[1]))
            case _:
                _, failures, attempts, notices = reply
                return DueNotices(
                    tuple(decode(Notice, text) for text in notices),
                    int(failures),
                    tuple(int(float(at)) for at in attempts),
                )

    async def begin_attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool:
        """Record the start of an attempt. False: the claim was lost; send nothing."""
        has_claim = await self._attempt(
            keys=[self._keys.turn(receiver), self._keys.sent(receiver)],
            args=[self._owner, self._lease_ms, now_ms, uuid4().hex, 2 * rate_window_ms],
        )
        return bool(has_claim)

    async def record_outcome(self, receiver: str, result: AttemptResult) -> None:
        """Record the outcome of an attempt."""
        keys = self._keys
        await self._settle(
            keys=[keys.turn(receiver), keys.due(receiver), keys.outbox(receiver)],
            args=[
                self._owner,
                result.failures,
                result.blocked_ms,
                len(result.finished_ids),
                *result.finished_ids,
                *(part for notice in result.retries for part in (notice.id, encode(notice), notice.due_ms)),
            ],
        )

    async def waiting(self, receiver: str) -> int:
        """Number of queued notices of a receiver."""
        return int(await self._redis.hlen(self._keys.outbox(receiver)))


@dataclass(slots=True)
class _Queue:
    notices: dict[str, Notice] = field(default_factory=dict)
    """# id: notice"""
    failures: int = 0
    blocked_ms: int = 0
    attempts_ms: list[int] = field(default_factory=list)


class MemoryOutbox:
    """`Outbox` for one process, without Redis."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def put(self, notices: Iterable[Notice]) -> None:
        """Queue notices."""
        for notice in notices:
            self._queue(notice.receiver).notices[notice.id] = notice

    def withdraw(self, notices: Iterable[WithdrawnNotice]) -> None:
        """Remove notices that are not due yet."""
        for notice in notices:
            self._queue(notice.receiver).notices.pop(notice.id, None)

    def receivers(self) -> list[str]:
        """Receivers with queued notices."""
        return [name for name, queue in self._queues.items() if queue.notices]

    async def claim_due(
        self, receiver: str, now_ms: int, rate_window_ms: int
    ) -> ReceiverBusy | ReceiverBlocked | DueNotices:
        """Return the notices that are due."""
        queue = self._queue(receiver)
        queue.attempts_ms = [at for at in queue.attempts_ms if at > now_ms - rate_window_ms]
        if queue.blocked_ms > now_ms:
            return ReceiverBlocked(queue.blocked_ms)
        due = tuple(notice for notice in queue.notices.values() if notice.due_ms <= now_ms)
        return DueNotices(due, queue.failures, tuple(queue.attempts_ms))

    async def begin_attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool:
        """Record the start of an attempt."""
        self._queue(receiver).attempts_ms.append(now_ms)
        return True

    async def record_outcome(self, receiver: str, result: AttemptResult) -> None:
        """Record the outcome of an attempt."""
        queue = self._queue(receiver)
        for name in result.finished_ids:
            queue.notices.pop(name, None)
        queue.notices |= {notice.id: notice for notice in result.retries}
        queue.failures, queue.blocked_ms = result.failures, result.blocked_ms

    async def waiting(self, receiver: str) -> int:
        """Number of queued notices of a receiver."""
        return len(self._queue(receiver).notices)

    def _queue(self, receiver: str) -> _Queue:
        return self._queues.setdefault(receiver, _Queue())
