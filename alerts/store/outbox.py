"""The outbox of queued notices, with one sending process per receiver.

A process claims a receiver, records the start of each attempt, which extends the claim, and its outcome, which ends the
claim. If the process dies, another one claims the receiver after the lease, and a notice that was delivered without a
recorded outcome is sent again.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from alerts.state.notices import AttemptResult, DueNotices, Notice, ReceiverBlocked, ReceiverBusy
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
        answer = await self._take(
            keys=[keys.turn(receiver), keys.due(receiver), keys.outbox(receiver), keys.sent(receiver)],
            args=[
                self._owner,
                min(self._lease_ms, CLAIM_LEASE_MS),
                now_ms,
                now_ms - rate_window_ms,
                MAX_DUE_NOTICES,
            ],
        )
        match answer[0]:
            case b"busy":
                return ReceiverBusy()
            case b"blocked":
                return ReceiverBlocked(int(answer[1]))
            case _:
                _, failures, attempts, notices = answer
                return DueNotices(
                    tuple(decode(Notice, text) for text in notices),
                    int(failures),
                    tuple(int(float(at)) for at in attempts),
                )

    async def begin_attempt(self, receiver: str, now_ms: int, rate_window_ms: int) -> bool:
        """Record the start of an attempt. False: the claim was lost; send nothing."""
        begun = await self._attempt(
            keys=[self._keys.turn(receiver), self._keys.sent(receiver)],
            args=[self._owner, self._lease_ms, now_ms, uuid4().hex, 2 * rate_window_ms],
        )
        return bool(begun)

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
