"""The as-of that a worker goes by: what is too late on the event clock, and what may be forgotten."""

from __future__ import annotations

from redis.asyncio import Redis

from streams.clock import now_ms
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.state import read_state
from streams.view.reached import newest
from streams.worker.holding import Holding


class WorkerClock:
    """Keeps the as-of current in what a worker holds."""

    def __init__(self, settings: Settings, redis: Redis, keys: Keys, holding: Holding) -> None:
        self._settings = settings
        self._redis = redis
        self._keys = keys
        self._holding = holding
        self.followed = False
        """Whether Redis was asked: no event may be judged before, for the as-of of what is counted would be missing."""

    async def follow(self) -> None:
        """Ask where all partitions stand."""
        state = await read_state(self._redis, self._keys)
        self._holding.as_of_ms = newest(state, now_ms(), self._settings).ms
        self.followed = True
