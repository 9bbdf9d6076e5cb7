"""Permissions that Redis denies workers, as the workers report in their metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.store.refusal_kinds import RedisRefusal
from streams.worker.metrics import WORKER_REFUSED
from streams.worker.published_metrics import published_samples

HEARD_WITHIN_MS = 15_000
"""Older reports are ignored."""


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """A worker that may not write."""

    worker: str
    why: RedisRefusal


def refusal_reports(workers: Mapping[str, tuple[int, str]], since_ms: int) -> list[RefusalReport]:
    """Read the reports from metrics that workers published since `since_ms`; keys are worker ids.

    >>> refusal_reports({"w": (9, 'salepulse_worker_redis_refuses{reason="noperm"} 1.0')}, 5)
    [RefusalReport(worker='w', why=<RedisRefusal.NOPERM: 'noperm'>)]
    """
    return [
        RefusalReport(worker, RedisRefusal(labels["reason"]))
        for worker, _, labels, value in published_samples(workers, since_ms, (WORKER_REFUSED,))
        if value
    ]
