"""What workers report in their metrics of a Redis that does not let them write: only they know whom it lets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.metrics import WORKER_REFUSED
from streams.store.refusal_kinds import RedisRefusal
from streams.worker_reports import reported

HEARD_WITHIN_MS = 15_000
"""What a worker reported longer ago says nothing of now."""


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """A worker that may not write."""

    worker: str
    why: RedisRefusal


def refusal_reports(workers: Mapping[str, tuple[int, str]], since_ms: int) -> list[RefusalReport]:
    """From what each worker left at a moment; of those that were heard of since then.

    >>> refusal_reports({"w": (9, 'salepulse_worker_redis_refuses{reason="noperm"} 1.0')}, 5)
    [RefusalReport(worker='w', why=<RedisRefusal.NOPERM: 'noperm'>)]
    """
    return [
        RefusalReport(worker, RedisRefusal(labels["reason"]))
        for worker, _, labels, value in reported(workers, since_ms, (WORKER_REFUSED,))
        if value
    ]
