"""The clock and the as-of that a worker goes by: what is too late or from the future, and what may be forgotten."""

from __future__ import annotations

from time import monotonic

from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from streams.store.state import read_state
from streams.view.reached import newest
from streams.worker.holding import Holding

JUMP_MS = 500
"""A clock that differs by more than this from what was thought has jumped."""


class WorkerClock:
    """Keeps the clock and the as-of current in what a worker holds."""

    def __init__(
        self, settings: Settings, redis: Redis, keys: Keys, holding: Holding, reference: ReferenceClock
    ) -> None:
        self._settings = settings
        self._reference = reference
        self._redis = redis
        self._keys = keys
        self._holding = holding
        self.followed = False
        """Whether Redis was asked: no event may be judged before, for the as-of of what is counted would be missing."""

    async def measure(self) -> None:
        """Ask Redis for its time."""
        await self._reference.measure()

    async def jumped(self, since_s: float) -> bool:
        """Whether the clock turns out to be another than was thought, where it was not measured since a moment.

        After a pause of the whole machine, what came in since would be judged by a clock that stood still. `since_s`:
        by `time.monotonic`.
        """
        if self._reference.measured_s is not None and self._reference.measured_s >= since_s:
            return False
        before_ms, before_s = self._reference.now_ms(), monotonic()
        await self.measure()
        passed_ms = (monotonic() - before_s) * 1000
        return abs(self._reference.now_ms() - before_ms - passed_ms) > JUMP_MS

    async def follow(self) -> None:
        """Ask where all partitions stand, and before the first time how late it is."""
        if self._reference.measured_s is None:
            await self.measure()
        state = await read_state(self._redis, self._keys)
        # Of all topics, also those that answers do not wait for: what is late there is remembered for its time, too.
        now = newest(state, self._reference.now_ms(), self._settings, waiting_for=EVENT_TOPICS)
        self._holding.as_of_ms = now.ms
        self.followed = True
