"""When the rules of alerts were last evaluated: left by who evaluates, read by servers and `salepulse doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from streams.settings import Settings
from streams.store.keys import Keys

EVALUATED_WITHIN_MS = 15_000
"""Rules that were not evaluated for so long do not watch the shop any more."""
_MISSED = 3
"""Where the settings have them evaluated seldom, so many evaluations may fail to come."""


@dataclass(frozen=True, slots=True)
class LastEvaluation:
    """The last evaluation."""

    at_ms: int | None
    """Epoch ms; None: there was none."""
    awaiting_ms: int | None = None
    """When a process that leads last found no as-of to evaluate the rules at, epoch ms; None: never."""

    def awaits_events(self, now_ms: int, settings: Settings) -> bool:
        """Whether a process leads, and evaluates from the first as-of on."""
        since_ms = self.awaiting_ms
        return (
            since_ms is not None
            and since_ms > (self.at_ms or 0)
            and LastEvaluation(since_ms).is_recent(now_ms, settings)
        )

    def is_recent(self, now_ms: int, settings: Settings) -> bool:
        """Whether what is known of alerts may be taken for the present."""
        within_ms = max(EVALUATED_WITHIN_MS, round(_MISSED * settings.alerts_interval_s * 1000))
        return self.at_ms is not None and now_ms - self.at_ms <= within_ms


async def read_last_evaluation(redis: Redis, keys: Keys) -> LastEvaluation:
    """What was left last."""
    client: Any = redis  # redis-py's own types fit neither of its two kinds of client
    held = [await client.get(key) for key in (keys.evaluated, keys.awaiting_events)]  # MGET is one right more
    return LastEvaluation(*(None if at_ms is None else int(at_ms) for at_ms in held))


async def write_last_evaluation(redis: Redis, keys: Keys, at_ms: int) -> None:
    """Say that the rules have been evaluated, and what that comes to is written."""
    client: Any = redis
    await client.set(keys.evaluated, at_ms)


async def write_awaiting_events(redis: Redis, keys: Keys, at_ms: int) -> None:
    """Record that a process leads and has no as-of to evaluate the rules at."""
    client: Any = redis
    await client.set(keys.awaiting_events, at_ms)
