"""Deletes expired order records in a slow, endless scan over their buckets."""

from __future__ import annotations

from random import randrange

from redis.asyncio import Redis

from streams.shipping.facts import OrderFacts
from streams.shipping.record import decode
from streams.shipping.record_keys import BUCKETS
from streams.store.connection import script
from streams.store.keys import Keys

AT_ONCE = 4
"""Buckets scanned per second: a whole shard takes ten hours."""


class RecordSweep:
    """One worker's scan. Several workers may scan concurrently."""

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
