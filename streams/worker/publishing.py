"""A worker's own metrics: measured every second, and left in Redis where `serve` finds them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import monotonic

from prometheus_client import generate_latest
from redis.asyncio import Redis

from consumers.topics import EVENT_TOPICS
from streams.ahead import AheadSources
from streams.metrics import WorkerMetrics
from streams.store.keys import Keys
from streams.store.reference_clock import ReferenceClock
from streams.store.refusal_kinds import OURS, RedisRefusal
from streams.worker.holding import Holding

_GONE_MS = 600_000
_LOOK_FOR_GONE_S = 60.0


class Publishing:
    """Measures and publishes for one worker."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        worker_id: str,
        *,
        holding: Holding,
        ahead: AheadSources,
        clock: ReferenceClock,
        refusals: Callable[[], Collection[RedisRefusal]],
        metrics: WorkerMetrics,
    ) -> None:
        """`refusals`: what Redis refuses this worker now."""
        self._redis = redis
        self._keys = keys
        self._id = worker_id
        self._holding = holding
        self._ahead = ahead
        self._clock = clock
        self._refusals = refusals
        self._metrics = metrics
        self._looked_s = monotonic()

    async def publish(self) -> None:
        """Leave our metrics; once a minute take away those of workers long gone."""
        self._measure()
        text = b"%d\n" % self._clock.now_ms() + generate_latest(self._metrics.registry)
        await self._redis.hset(self._keys.workers, self._id, text)
        if monotonic() - self._looked_s > _LOOK_FOR_GONE_S:
            self._looked_s = monotonic()
            await self._forget_gone()

    async def _forget_gone(self) -> None:
        published: dict[bytes, bytes] = await self._redis.hgetall(self._keys.workers)  # type: ignore[assignment]
        oldest_ms = self._clock.now_ms() - _GONE_MS
        gone = [name for name, said in published.items() if int(said.split(b"\n", 1)[0]) < oldest_ms]
        if gone:
            await self._redis.hdel(self._keys.workers, *gone)

    def _measure(self) -> None:
        works, as_of_ms = self._holding.works, self._holding.as_of_ms
        self._metrics.partitions.set(len(works))
        self._metrics.clock_offset.set(self._clock.offset_ms / 1000)
        refusals = self._refusals()
        for refusal in OURS:
            self._metrics.redis_refuses.labels(refusal).set(refusal in refusals)
        self._metrics.source_ahead.clear()
        for one in self._ahead.named(self._clock.now_ms()):
            self._metrics.source_ahead.labels(one.topic, one.source).set(one.ahead_ms / 1000)
        for topic in EVENT_TOPICS:
            seen = [work.seen for partition, work in works.items() if partition.topic is topic]
            self._metrics.dedup_ids.labels(topic).set(sum(map(len, seen)))
            cut = [ids.cut_at_ms for ids in seen if ids.cut_at_ms is not None]
            horizon = (seen[0].horizon_ms if seen else 0) / 1000
            if cut and as_of_ms is not None:
                horizon = min(horizon, max(0.0, (as_of_ms - max(cut)) / 1000))
            self._metrics.dedup_horizon.labels(topic).set(horizon)
            if seen:
                self._metrics.dedup_promised.labels(topic).set(seen[0].horizon_ms / 1000)
