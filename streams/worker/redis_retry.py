"""Retries Redis calls until they succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from consumers.kafka.consumer import WorkerConsumer
from consumers.topics import Partition
from streams.clock import MachineClock
from streams.log_pace import LogPace
from streams.store.connection import UNREACHABLE
from streams.store.refusal_kinds import REFUSAL_TEXTS, RedisRefusal, refusal_of
from streams.worker.metrics import WorkerMetrics

T = TypeVar("T")
log = structlog.get_logger()

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
"""Pauses between retries, which double from the first to the longest."""


class RevokedError(Exception):
    """The partition was revoked."""


@dataclass(eq=False)
class RedisRetry:
    """Retries the Redis calls of a partition until they succeed, and pauses fetching meanwhile."""

    reading: WorkerConsumer
    metrics: WorkerMetrics
    machine: MachineClock

    def __post_init__(self) -> None:
        self.refused: dict[Partition, RedisRefusal] = {}
        """# <partition whose call Redis refuses now: reason>"""
        self._pace = LogPace()

    async def __call__(self, name: str, partition: Partition, call: Callable[[], Awaitable[T]]) -> T:
        """Retry a call until Redis answers. Raises RevokedError if the partition is revoked."""
        pause_s = _FIRST_PAUSE_S
        while True:
            started = self.machine.monotonic()
            try:
                answer = await call()
            except (RedisError, *UNREACHABLE) as error:
                self._failed(name, partition, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                if partition not in self.reading.assigned():
                    self.refused.pop(partition, None)
                    raise RevokedError from None
            else:
                self.refused.pop(partition, None)
                self.metrics.redis_seconds.labels(name).observe(self.machine.monotonic() - started)
                return answer

    def _failed(self, name: str, partition: Partition, error: Exception) -> None:
        self.metrics.redis_errors.inc()
        refusal = refusal_of(error)
        if refusal is None:
            self.refused.pop(partition, None)
        else:
            self.refused[partition] = refusal
            self.metrics.redis_refusals.labels(refusal).inc()
        if self._pace.is_due(refusal.value if refusal else str(error), self.machine.monotonic()):
            fix = REFUSAL_TEXTS[refusal].fix if refusal else ""
            log.warning("Redis call failed; retrying", call=name, error=str(error), partition=str(partition), fix=fix)
