"""Deleting what is kept no longer: blocks of panes, orders."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from redis.asyncio import Redis

from streams.settings import Settings, limits
from streams.store.keeper import Keeper
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.sweep import RecordSweep
from streams.store.writer import PaneWriter
from streams.worker.holding import Holding
from streams.worker.lateness import clocks

_EXPIRE_EVERY_S = 10.0


class Forgetting:
    """One worker's part in it; others may do the same at the same time."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        keys: Keys,
        writer: PaneWriter,
        holding: Holding,
        now_ms: Callable[[], int],
    ) -> None:
        self._now_ms = now_ms
        self._settings = settings
        self._writer = writer
        self._holding = holding
        self._keeper = Keeper(redis, keys, levels(settings), settings)
        self._sweep = RecordSweep(
            redis, keys, 1000 * limits(settings).horizon_s, settings.delivered_horizon_d * 86_400_000
        )
        self._expired_s = 0.0

    async def turn(self) -> None:
        """Once a second. What may be dropped is said before it is."""
        as_of_ms = self._holding.as_of_ms
        if as_of_ms is None or self._settings.retain == "all":
            return
        if monotonic() - self._expired_s > _EXPIRE_EVERY_S:
            self._expired_s = monotonic()
            now = clocks(self._settings, as_of_ms, self._now_ms())
            self._holding.kept = await self._keeper.say(oldest_s=now.oldest_s["m"], as_of_s=as_of_ms // 1000)
            await self._writer.expire(now.keeping(self._holding.kept).oldest_s, self._holding.kept)
        await self._sweep.turn(as_of_ms)
