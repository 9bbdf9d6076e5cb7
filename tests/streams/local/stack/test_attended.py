"""A start is ready by the word of its own workers."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.local.stack.attended import all_partitions_attended
from streams.settings import Settings
from tests.streams.shop import opened

CLICKS, ORDERS = Partition(Topic.CLICKS, 0), Partition(Topic.ORDERS, 0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_what_a_worker_said_before_is_no_word(redis_url: str) -> None:
    async with opened(redis_url) as shop:
        before_ms = now_ms()
        await shop.writer.heartbeat({CLICKS: (None, 0), ORDERS: (None, 0)})
        assert await all_partitions_attended(shop.settings, before_ms)
        later_ms = now_ms() + 1
        assert not await all_partitions_attended(shop.settings, later_ms)
        await shop.redis.hset(shop.keys.state(shop.keys.shard(CLICKS)), f"seen:{CLICKS}", later_ms)
        assert not await all_partitions_attended(shop.settings, later_ms), "one partition is still without"
        await shop.redis.hset(shop.keys.state(shop.keys.shard(ORDERS)), f"seen:{ORDERS}", later_ms)
        assert await all_partitions_attended(shop.settings, later_ms)


@pytest.mark.anyio
async def test_without_redis_nobody_is_at_work() -> None:
    assert not await all_partitions_attended(Settings(redis_url="redis://127.0.0.1:1/0"), 0)
