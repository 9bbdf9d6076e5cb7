"""Time of the last evaluation of the alert rules: written by `alerts`, read by servers and `salepulse doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from streams.settings import Settings
from streams.store.keys import Keys

EVALUATED_WITHIN_MS = 15_000
"""Rules whose last evaluation is older than this no longer watch the shop."""
_MISSED = 3
"""Number of evaluations that may be missed if `alerts_interval_s` is long."""


@dataclass(frozen=True, slots=True)
class LastEvaluation:
    """The last evaluation."""

    at_ms: int | None
    """Epoch ms; None if there was none."""
    awaiting_ms: int | None = None
    """When the leader last had no as-of to evaluate the rules at, epoch ms; None: never."""

    def awaits_events(self, now_ms: int, settings: Settings) -> bool:
        """Whether there is a leader that waits for the first as-of."""
        since_ms = self.awaiting_ms
        return (
            since_ms is not None
            and since_ms > (self.at_ms or 0)
            and LastEvaluation(since_ms).is_recent(now_ms, settings)
        )

    def is_recent(self, now_ms: int, settings: Settings) -> bool:
        """Whether the last evaluation is recent enough for the stored alerts to be current."""
        within_ms = max(EVALUATED_WITHIN_MS, round(_MISSED * settings.alerts_interval_s * 1000))
        return self.at_ms is not None and now_ms - self.at_ms <= within_ms


async def read_last_evaluation(redis: Redis, keys: Keys) -> LastEvaluation:
    """Read the last evaluation."""
    client: Any = redis  # redis-py's types fit neither kind of client
    # Not MGET, which needs another permission.
    times_ms = [await client.get(key) for key in (keys.evaluated, keys.awaiting_events)]
    return LastEvaluation(*(None if at_ms is None else int(at_ms) for at_ms in times_ms))


async def write_last_evaluation(redis: Redis, keys: Keys, at_ms: int) -> None:
    """Record an evaluation whose results are written."""
    client: Any = redis
    await client.set(keys.evaluated, at_ms)


async def write_awaiting_events(redis: Redis, keys: Keys, at_ms: int) -> None:
    """Record that the leader has no as-of to evaluate the rules at."""
    client: Any = redis
    await client.set(keys.awaiting_events, at_ms)
