"""Writes a shop's events to Redis without Kafka: a worker's calls on one partition, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumers.contract.events import Promotion
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.clock import now_ms
from streams.fold.delta import PaneDelta, merge
from streams.model.windows import Window
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.settings import Settings, shipping_limits
from streams.store.compactor import Compactor
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.levels import levels, stock_keep_ms
from streams.store.reader import PaneReader
from streams.store.retained_spans import NO_RETAINED_SPANS
from streams.store.writer import OffsetMismatch, PaneWriter
from streams.view.query import KpiQuery
from streams.view.rolling import RollingView
from streams.worker.expiry import RetentionKeeper
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition
from tests.support.events import Event, records, wire
from tests.support.oracle import Number, Oracle, PromotionPeriod

CLICKS_0, CLICKS_1 = Partition(Topic.CLICKS, 0), Partition(Topic.CLICKS, 1)
ORDERS_0, ORDERS_1 = Partition(Topic.ORDERS, 0), Partition(Topic.ORDERS, 1)
LOGISTICS_0 = Partition(Topic.LOGISTICS, 0)
PROMOTIONS_0 = Partition(Topic.PROMOTIONS, 0)


class Shop:
    """The write side, and a record of everything counted. On the event clock by default."""

    def __init__(self, redis_url: str, *, present: Callable[[], int] = now_ms, **settings: Any) -> None:
        """`present`: the clock of worker and server, epoch ms."""
        self.present = present
        self.settings = Settings(
            **{"redis_url": redis_url, "clock": "event", "retain": "all", "overdue_after_h": 0.1, **settings}
        )
        self.redis = connect(self.settings)
        self.keys = Keys(self.settings.redis_prefix, self.settings.shards)
        self.levels = levels(self.settings)
        self.rows = RowIndex()
        self.writer = PaneWriter(self.redis, self.keys, self.levels, clock=present)
        self.compactor = Compactor(self.redis, self.keys, self.levels, self.settings.clock)
        self.works: dict[Partition, OwnedPartition] = {}
        self.counted: dict[Partition, list[Event]] = {}
        self.applied: dict[Partition, list[PaneDelta]] = {}
        """The deltas of all batches, rows numbered by `rows`."""
        self.promotions: dict[str, Promotion] = {}
        self.retained_spans = NO_RETAINED_SPANS
        """Retained spans as last published."""

    async def work(self, partition: Partition) -> OwnedPartition:
        """The loaded owner of a partition."""
        work = self.works.get(partition)
        if work is None:
            work = self.works[partition] = OwnedPartition(
                partition, self.settings, self.writer, self.compactor, self.rows
            )
        if not work.loaded:
            await work.load()
        return work

    async def feed(
        self, partition: Partition, events: Sequence[Event], *, lag: int = 0, begins: int = 0
    ) -> OffsetMismatch | None:
        """Count a batch, and send a heartbeat with `lag`. `begins`: first offset that Kafka still holds."""
        work = await self.work(partition)
        values = [wire(event) for event in events]
        batch = records(partition.topic, partition.number, begins if work.position is None else work.position, values)
        prepared = work.prepare(batch, event_time_bounds(self.settings, None, self.present()))
        moved = await work.apply(prepared)
        if moved is None:
            (applied,) = (await self.reader(self.rows).log({partition: batch.start_offset}))[partition]
            self.applied.setdefault(partition, []).append(applied.delta)
            self.counted.setdefault(partition, []).extend(events)
        await self.writer.heartbeat({partition: (work.position, lag)})
        return moved

    async def compact(self, partition: Partition, as_of_ms: int | None = None) -> bool:
        now = event_time_bounds(self.settings, as_of_ms, self.present())
        return await (await self.work(partition)).compact(
            now if self.retained_spans is NO_RETAINED_SPANS else now.with_retained(self.retained_spans)
        )

    async def drop(self, as_of_ms: int) -> int:
        """Publish retained spans, then delete what has expired; returns the number of blocks."""
        now = event_time_bounds(self.settings, as_of_ms, self.present())
        keeper = RetentionKeeper(self.redis, self.keys, self.levels, self.settings)
        self.retained_spans = await keeper.publish(oldest_s=now.oldest_s["m"], as_of_s=as_of_ms // 1000)
        return await self.writer.expire(now.with_retained(self.retained_spans).oldest_s, self.retained_spans)

    async def announce(self, *promotions: Promotion) -> None:
        """Apply promotions."""
        held = await self.writer.load(PROMOTIONS_0, self.rows)
        changes = [(promotion.promotion_id, promotion.model_dump_json().encode()) for promotion in promotions]
        at, first = held.position or 0, held.position is None
        assert await self.writer.apply_promotions(PROMOTIONS_0, at, at + len(changes), first, changes) is None
        self.promotions |= {promotion.promotion_id: promotion for promotion in promotions}

    def restart(self) -> None:
        """Another worker takes over: everything in memory is lost."""
        self.works.clear()
        self.rows = RowIndex()
        self.writer = PaneWriter(self.redis, self.keys, self.levels, clock=self.present)
        self.compactor = Compactor(self.redis, self.keys, self.levels, self.settings.clock)

    # Reading ---------------------------------------------------------------------------------------------------------

    def reader(self, rows: RowIndex) -> PaneReader:
        return PaneReader(self.redis, self.keys, rows)

    async def view(self, *, reader: type[PaneReader] = PaneReader) -> RollingView:
        """A view that has polled once."""
        rows = RowIndex()
        view = RollingView(reader(self.redis, self.keys, rows), rows, self.settings)
        await view.poll(self.present())
        return view

    def oracle(self) -> Oracle:
        """The expected answers, from the counted events."""
        by_topic: dict[str, list[Event]] = {topic.value: [] for topic in EVENT_TOPICS}
        for partition, events in self.counted.items():
            by_topic[partition.topic].extend(events)
        running = {
            name: PromotionPeriod(held.starts_at, held.ends_at, dict(held.targets or ()), held.skus or ())
            for name, held in self.promotions.items()
        }
        keep_ms = stock_keep_ms(self.settings)
        return Oracle(
            **by_topic,
            promotions=running,
            timezone=self.settings.timezone,
            keep_stock_ms=keep_ms,
            overdue_ms=shipping_limits(self.settings).overdue_ms,
        )

    async def stored(self, level: str) -> dict[Partition, PaneDelta]:
        """Content of blocks and logs, in panes of a level, rows numbered by `rows`."""
        step = next(held for held in self.levels if held.name == level)
        reader, state = self.reader(self.rows), await self.reader(self.rows).state()
        starts = [
            int(start)
            for shard in range(self.keys.shards)
            for start in await self.redis.zrange(self.keys.blocks(shard, level), 0, -1)
        ]
        blocks = await reader.blocks([(level, start) for start in sorted(set(starts))], list(state.partitions))
        logs = await reader.log({partition: held.compacted_to or 0 for partition, held in state.partitions.items()})
        return {
            partition: merge(
                [part for block in blocks.values() for owner, part in block.parts if owner == partition]
                + [step.coarsen(entry.delta) for entry in logs[partition]]
            )
            for partition in state.partitions
        }

    async def everything(self) -> dict[bytes, bytes]:
        """The whole content of Redis, to verify that nothing changed."""
        return {key: await self.redis.dump(key) for key in await self.redis.keys("*")}


@asynccontextmanager
async def opened(redis_url: str, *, present: Callable[[], int] = now_ms, **settings: Any) -> AsyncIterator[Shop]:
    """A shop whose connection is closed at the end."""
    shop = Shop(redis_url, present=present, **settings)
    try:
        yield shop
    finally:
        await shop.redis.aclose()


async def ask(
    view: RollingView,
    window: str,
    scope: str = "all",
    value: str = "",
    *,
    at: int | None = None,
    promotion: str | None = None,
    now: int | None = None,
) -> Mapping[str, Number]:
    """The KPIs of one value; `at` is the as-of in epoch ms, by default the newest; `now` the clock, epoch ms."""
    question = KpiQuery(Window(window), Scope(scope), at, promotion)
    return (await view.one(question, value, now_ms() if now is None else now)).items[0].values


async def listed(
    view: RollingView, window: str, scope: str, *, at: int | None = None, promotion: str | None = None
) -> dict[str, Mapping[str, Number]]:
    """All values of a scope with their KPIs, in the given order."""
    question = KpiQuery(Window(window), Scope(scope), at, promotion)
    return {item.value: item.values for item in (await view.every(question, now_ms())).items}
