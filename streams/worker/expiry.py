"""Deletes expired panes and order records, and publishes which minutes are retained longer.

Expiry of minutes and new retained spans are published in one key by compare-and-set. So a published span was complete
when published, and no worker expires it afterwards, whatever the order of their calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import randrange

from redis.asyncio import Redis

from consumers.contract.events import Promotion
from streams.clock import MachineClock
from streams.settings import Settings, shipping_limits
from streams.shipping.facts import OrderFacts
from streams.shipping.record import BUCKETS, decode
from streams.store.connection import script
from streams.store.keys import Keys
from streams.store.levels import PaneLevel, levels
from streams.store.retained_spans import (
    KEPT_LEVELS,
    NO_RETAINED_SPANS,
    PromotionRetention,
    RetainedSpans,
    from_json,
    revise_retained,
    spans_to_retain,
    to_json,
)
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.registry import PartitionRegistry

_EXPIRE_EVERY_S = 10.0
_LENGTHEN_EVERY_S = 3600.0
"""Interval after which the TTLs of retained blocks are extended again."""
_AT_ONCE = 1000
"""Blocks whose TTL is extended per round trip."""
AT_ONCE = 4
"""Buckets scanned per second: a scan of a whole shard takes ten hours."""


class RetentionKeeper:
    """Publishes the retained spans of promotions, and extends the TTL of their blocks."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        levels: Sequence[PaneLevel],
        settings: Settings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self.retained_spans = NO_RETAINED_SPANS
        """The spans as last published."""
        self._redis = redis
        self._keys = keys
        self._levels = [level for level in levels if level.name in KEPT_LEVELS]
        self._keeping = PromotionRetention.of(settings)
        self._set_retained = script(redis, "set_retained")
        self._lengthened = NO_RETAINED_SPANS.spans
        self._lengthened_at = 0.0

    async def publish(self, *, oldest_s: int, as_of_s: int) -> RetainedSpans:
        """Publish the retained spans and the limit of expiry elsewhere; only then may minutes expire.

        `oldest_s`: event time from which on all minutes are retained.
        """
        while True:
            stored = await self._redis.get(self._keys.retained_spans)
            definitions = await self._redis.hvals(self._keys.promotions)
            spans = spans_to_retain(map(Promotion.model_validate_json, definitions), self._keeping)
            self.retained_spans = revise_retained(
                from_json(stored), spans, self._keeping, oldest_s=oldest_s, as_of_s=as_of_s
            )
            if await self._set_retained(
                keys=[self._keys.retained_spans], args=[stored or b"", to_json(self.retained_spans)]
            ):
                break  # else another worker published meanwhile
        await self._lengthen()
        return self.retained_spans

    async def _lengthen(self) -> None:
        """Extend the TTL of retained blocks, most of which were written before the span was known.

        Repeated, for blocks of workers that did not know the span yet.
        """
        now = self._monotonic()
        if self.retained_spans.spans == self._lengthened and now - self._lengthened_at < _LENGTHEN_EVERY_S:
            return
        for level in self._levels:
            for shard in range(self._keys.shards):
                await self._lengthen_level(shard, level)
        self._lengthened, self._lengthened_at = self.retained_spans.spans, now

    async def _lengthen_level(self, shard: int, level: PaneLevel) -> None:
        ttl_s = self.retained_spans.keep_s + level.block_s
        for span in self.retained_spans.spans:
            first, last = span.start_s - level.block_s + 1, span.end_s - 1
            index = self._keys.blocks(shard, level.name)
            listed: list[bytes] = await self._redis.zrangebyscore(index, first, last)  # type: ignore[assignment]
            starts = [int(start) for start in listed]
            for i in range(0, len(starts), _AT_ONCE):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for start in starts[i : i + _AT_ONCE]:
                        pipe.expire(self._keys.block(shard, level.name, start), ttl_s, gt=True)
                    await pipe.execute()


class Expiry:
    """Expires data for one worker; the expiries of several workers may run concurrently."""

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
        """Run once a second. Publishes the new limits before deleting, so that readers know which data has expired."""
        as_of_ms = self._registry.as_of_ms
        if as_of_ms is None or self._settings.retain == "all":
            return
        if self._machine.monotonic() - self._expired_s > _EXPIRE_EVERY_S:
            self._expired_s = self._machine.monotonic()
            bounds = event_time_bounds(self._settings, as_of_ms, self._now_ms())
            self._registry.retained_spans = await self._keeper.publish(
                oldest_s=bounds.oldest_s["m"], as_of_s=as_of_ms // 1000
            )
            await self._writer.expire(
                bounds.with_retained(self._registry.retained_spans).oldest_s, self._registry.retained_spans
            )
        await self._sweep.run_once(as_of_ms)


class RecordSweep:
    """Deletes expired order records in a slow, endless scan over their buckets. Workers may scan concurrently."""

    def __init__(self, redis: Redis, keys: Keys, horizon_ms: int, delivered_ms: int) -> None:
        """`horizon_ms`: retention after an order's last event; `delivered_ms`: retention if the order is delivered,
        or neither paid nor shipped."""
        self._redis = redis
        self._keys = keys
        self._horizon_ms = horizon_ms
        self._delivered_ms = delivered_ms
        self._delete_records = script(redis, "delete_records")
        self._next = randrange(BUCKETS * keys.shards)

    async def run_once(self, as_of_ms: int, buckets: int = AT_ONCE) -> int:
        """Scan the next buckets; returns the number of deleted records."""
        deleted = 0
        for _ in range(buckets):
            self._next = (self._next + 1) % (BUCKETS * self._keys.shards)
            shard, bucket = divmod(self._next, BUCKETS)
            deleted += await self._bucket(self._keys.orders(shard, bucket), as_of_ms)
        return deleted

    async def _bucket(self, key: str, as_of_ms: int) -> int:
        records: dict[bytes, bytes] = await self._redis.hgetall(key)  # type: ignore[assignment]
        expired = [part for record in records.items() if self._is_over(decode(record[1]), as_of_ms) for part in record]
        return int(await self._delete_records(keys=[key], args=expired)) if expired else 0

    def _is_over(self, facts: OrderFacts, as_of_ms: int) -> bool:
        awaits_delivery = facts.delivered is None and (facts.paid is not None or facts.dispatched is not None)
        keep_ms = self._horizon_ms if awaits_delivery else self._delivered_ms
        return facts.newest_ms < as_of_ms - keep_ms
