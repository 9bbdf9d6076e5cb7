"""Permissions that Redis denies workers, as the workers report in their metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from streams.store.refusal_kinds import RedisRefusal
from streams.worker.metrics import WORKER_REFUSED

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
    found = []
    for worker, (published_ms, text) in sorted(workers.items()):
        lines = (
            [line for line in text.splitlines() if line.startswith(WORKER_REFUSED)] if published_ms >= since_ms else []
        )
        for family in text_string_to_metric_families("\n".join((*lines, ""))):
            found += [
                RefusalReport(worker, RedisRefusal(sample.labels["reason"]))
                for sample in family.samples
                if sample.value
            ]
    return found
