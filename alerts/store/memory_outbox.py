"""The outbox in memory, for notices about Redis itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alerts.state.notices import AttemptResult, DueNotices, Notice, ReceiverBlocked, ReceiverBusy


@dataclass(slots=True)
class _Queue:
    notices: dict[str, Notice] = field(default_factory=dict)
    """# <by id>"""
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
