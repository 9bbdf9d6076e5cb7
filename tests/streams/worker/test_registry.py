"""Memory of a worker is bounded, whatever labels arrive."""

from __future__ import annotations

import pytest

from streams.clock import MACHINE, now_ms
from streams.worker.metrics import WorkerMetrics
from streams.worker.redis_retry import RedisRetry
from streams.worker.registry import PartitionRegistry
from tests.streams.fold.test_wire import named
from tests.streams.shop import LOGISTICS_0, opened
from tests.streams.worker.topics import Topics
from tests.support.events import records, stock_level, wire

pytestmark = pytest.mark.anyio


async def test_resets_the_row_index_before_it_holds_too_many_stock_names(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.worker.registry._MAX_NAMES", 20)
    async with opened(redis_url) as shop:
        registry = PartitionRegistry(
            shop.settings,
            RedisRetry(Topics(), WorkerMetrics(), MACHINE),
            shop.writer,
            shop.compactor,
            now_ms=now_ms,
            machine=MACHINE,
        )
        work = await registry.get_loaded(LOGISTICS_0)
        held = []
        for turn in range(10):
            registry.limit_memory(work)
            if turn in (3, 6):
                await work.compact(registry.event_time_bounds())
            counts = [stock_level(1, at=turn, warehouse=f"w-{turn}-{number}") for number in range(8)]
            batch = records(LOGISTICS_0.topic, 0, work.position or 0, list(map(wire, counts)))
            assert await work.apply(work.prepare(batch, registry.event_time_bounds())) is None
            held.append(len(registry._rows.stock))
        assert max(held) < 40
        _, levels, _ = named((await shop.stored("stock"))[LOGISTICS_0].stock, shop.rows.stock)
        assert len(levels) == 80
