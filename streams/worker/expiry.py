"""Deletes expired panes and order records."""

from __future__ import annotations

from collections.abc import Callable
from random import randrange

from redis.asyncio import Redis

from streams.clock import MachineClock
from streams.settings import Settings, shipping_limits
from streams.shipping.facts import OrderFacts
from streams.shipping.record import decode
from streams.shipping.record_keys import BUCKETS
from streams.store.connection import script
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.retention_keeper import RetentionKeeper
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.registry import PartitionRegistry

_EXPIRE_EVERY_S = 10.0
AT_ONCE = 4
"""Buckets scanned per second: a whole shard takes ten hours."""


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
            self._registry.retained_spans = await self._keeper.publish(
                oldest_s=now.oldest_s["m"], as_of_s=as_of_ms // 1000
            )
            await self._writer.expire(
                now.with_retained(self._registry.retained_spans).oldest_s, self._registry.retained_spans
            )
        await self._sweep.run_once(as_of_ms)


class RecordSweep:
    """Deletes expired order records in a slow, endless scan over their buckets. Workers may scan concurrently."""

    def __init__(self, redis: Redis, keys: Keys, horizon_ms: int, delivered_ms: int) -> None:
        """`horizon_ms`: retention after an order's last event; `delivered_ms`: if delivered, or neither paid nor
        shipped."""
        self._redis = redis
        self._keys = keys
        self._horizon_ms = horizon_ms
        self._delivered_ms = delivered_ms
        self._delete_records = script(redis, "delete_records")
        self._next = randrange(BUCKETS * keys.shards)

    async def run_once(self, as_of_ms: int, buckets: int = AT_ONCE) -> int:
        """Scan the next buckets; returns the number of deleted records."""
        forgotten = 0
        for _ in range(buckets):
            self._next = (self._next + 1) % (BUCKETS * self._keys.shards)
            shard, bucket = divmod(self._next, BUCKETS)
            forgotten += await self._bucket(self._keys.orders(shard, bucket), as_of_ms)
        return forgotten

    async def _bucket(self, key: str, as_of_ms: int) -> int:
        held: dict[bytes, bytes] = await self._redis.hgetall(key)  # type: ignore[assignment]
        old = [part for item in held.items() if self._is_over(decode(item[1]), as_of_ms) for part in item]
        return int(await self._delete_records(keys=[key], args=old)) if old else 0

    def _is_over(self, facts: OrderFacts, as_of_ms: int) -> bool:
        waits = facts.delivered is None and (facts.paid is not None or facts.dispatched is not None)
        keep_ms = self._horizon_ms if waits else self._delivered_ms
        return facts.newest_ms < as_of_ms - keep_ms
