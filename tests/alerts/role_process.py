"""`python -m tests.alerts.role_process`: an alerts process with findings that a test stores in Redis.

Settings come from the environment. The key `condition` holds `bad` or `fine` for conversion in the app, or `nothing`
for no as-of. With `STORE_RULES` in the environment the default rules about Redis are included.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from redis.asyncio import Redis

from alerts.app import run
from alerts.engine import EvaluationRun
from alerts.findings import Series
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules
from streams.process.logs import configure_role_logs
from streams.settings import Settings
from tests.alerts.scripted import Scripted
from tests.alerts.state.alert_play import BAD, FINE


class FromRedis(Scripted):
    """Evaluates the condition in the key."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._redis = redis

    def rules(self) -> Rules:
        return load(default_text(), "rules").rules if "STORE_RULES" in os.environ else super().rules()

    async def evaluate(self, watched: Collection[Series], now_ms: int) -> EvaluationRun | None:
        condition = await self._redis.get("condition")
        if condition == b"nothing":
            return None
        self.found = (BAD,) if condition == b"bad" else (FINE,)
        return await super().evaluate(watched, now_ms)


if __name__ == "__main__":
    configure_role_logs()
    run(Settings(), lambda settings, redis: FromRedis(redis))
