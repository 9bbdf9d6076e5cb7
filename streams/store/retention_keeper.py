"""Publishes and extends the retention of minutes.

Expiry of minutes and new retained spans are published in one key by compare-and-set. So a published span was complete
when published, and no worker expires it afterwards, whatever the order of their calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from redis.asyncio import Redis

from consumers.contract.events import Promotion
from streams.settings import Settings
from streams.store.connection import script
from streams.store.keys import Keys
from streams.store.levels import PaneLevel
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

_LENGTHEN_EVERY_S = 3600.0
_AT_ONCE = 1000


class RetentionKeeper:
    """Retains the minutes of promotions for one worker."""

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
        """Publish what is retained and the limit of expiry elsewhere; only then may minutes expire.

        `oldest_s`: event time from which on all minutes are retained.
        """
        while True:
            held = await self._redis.get(self._keys.retained_spans)
            definitions = await self._redis.hvals(self._keys.promotions)
            spans = spans_to_retain(map(Promotion.model_validate_json, definitions), self._keeping)
            self.retained_spans = revise_retained(
                from_json(held), spans, self._keeping, oldest_s=oldest_s, as_of_s=as_of_s
            )
            if await self._set_retained(
                keys=[self._keys.retained_spans], args=[held or b"", to_json(self.retained_spans)]
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
        live_s = self.retained_spans.keep_s + level.block_s
        for span in self.retained_spans.spans:
            first, last = span.start_s - level.block_s + 1, span.end_s - 1
            index = self._keys.blocks(shard, level.name)
            found: list[bytes] = await self._redis.zrangebyscore(index, first, last)  # type: ignore[assignment]
            starts = [int(start) for start in found]
            for i in range(0, len(starts), _AT_ONCE):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for start in starts[i : i + _AT_ONCE]:
                        pipe.expire(self._keys.pane(shard, level.name, start), live_s, gt=True)
                    await pipe.execute()
