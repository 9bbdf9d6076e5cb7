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
class Evaluated:
    """The last evaluation, epoch ms; None: there was none."""

    at_ms: int | None

    def lately(self, now_ms: int, settings: Settings) -> bool:
        """Whether what is known of alerts may be taken for the present."""
        within_ms = max(EVALUATED_WITHIN_MS, round(_MISSED * settings.alerts_interval_s * 1000))
        return self.at_ms is not None and now_ms - self.at_ms <= within_ms


async def read_evaluated(redis: Redis, keys: Keys) -> Evaluated:
    """What was left last."""
    client: Any = redis  # redis-py's own types fit neither of its two kinds of client
    held = await client.get(keys.evaluated)
    return Evaluated(None if held is None else int(held))


async def leave_evaluated(redis: Redis, keys: Keys, at_ms: int) -> None:
    """Say that the rules have been evaluated, and what that comes to is written."""
    client: Any = redis
    await client.set(keys.evaluated, at_ms)
