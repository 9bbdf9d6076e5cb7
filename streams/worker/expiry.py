"""Deletes expired panes and order records."""

from __future__ import annotations

from collections.abc import Callable

from redis.asyncio import Redis

from streams.clock import MachineClock
from streams.settings import Settings, shipping_limits
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.retention_keeper import RetentionKeeper
from streams.store.sweep import RecordSweep
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.registry import PartitionRegistry

_EXPIRE_EVERY_S = 10.0


class Expiry:
    """Expires data for one worker; several workers may do so concurrently."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        keys: Keys,
        writer: PaneWriter,
        registry: PartitionRegistry,
        now_ms: Callable[[], int],
        machine: MachineClock,
    ) -> None:
        self._machine = machine
        self._now_ms = now_ms
        self._settings = settings
        self._writer = writer
        self._registry = registry
        self._keeper = RetentionKeeper(redis, keys, levels(settings), settings, monotonic=machine.monotonic)
        self._sweep = RecordSweep(
            redis, keys, 1000 * shipping_limits(settings).horizon_s, settings.delivered_horizon_d * 86_400_000
        )
        self._expired_s = -_EXPIRE_EVERY_S

    async def run_once(self) -> None:
        """Run once a second. Publishes the new limits before deleting, so that readers never miss data unannounced."""
        as_of_ms = self._registry.as_of_ms
        if as_of_ms is None or self._settings.retain == "all":
            return
        if self._machine.monotonic() - self._expired_s > _EXPIRE_EVERY_S:
            self._expired_s = self._machine.monotonic()
            now = event_time_bounds(self._settings, as_of_ms, self._now_ms())
            self._registry.kept = await self._keeper.publish(oldest_s=now.oldest_s["m"], as_of_s=as_of_ms // 1000)
            await self._writer.expire(now.with_retained(self._registry.kept).oldest_s, self._registry.kept)
        await self._sweep.run_once(as_of_ms)
