"""Incomplete marks after a restart of the embedded broker."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.local.stack.reset_positions import reset_positions
from tests.streams.shop import Shop, opened

PROMOTIONS = Partition(Topic.PROMOTIONS, 0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def heard(shop: Shop, lag: int) -> None:
    """One promotion was read, and the worker reported a lag."""
    await shop.writer.apply_promotions(PROMOTIONS, 0, 1, True, [("d11", b"{}")])
    assert await shop.writer.heartbeat({PROMOTIONS: (1, lag)}) == set()


@pytest.mark.anyio
@pytest.mark.parametrize(("lag", "missing"), [(0, False), (2, True)])
async def test_promotions_are_incomplete_only_if_there_was_lag(redis_url: str, lag: int, missing: bool) -> None:
    async with opened(redis_url) as shop:
        await heard(shop, lag)
        assert await reset_positions(shop.settings) == 1
        state = await shop.redis.hgetall(shop.keys.state(shop.keys.shard(PROMOTIONS)))
        assert (state[b"pos:promotions/0"], b"incomplete:promotions/0" in state) == (b"0", missing)
        assert await shop.redis.hexists(shop.keys.promotions, "d11"), "what was read stays in force"


@pytest.mark.anyio
async def test_promotions_stay_incomplete_until_confirmed(redis_url: str) -> None:
    async with opened(redis_url) as shop:
        await heard(shop, lag=2)
        await reset_positions(shop.settings)
        state = shop.keys.state(shop.keys.shard(PROMOTIONS))
        await shop.writer.apply_promotions(PROMOTIONS, 0, 2, True, [("d11", b"{}"), ("d10", None)])
        assert await shop.redis.hexists(state, "incomplete:promotions/0"), "others may be missing still"
        await shop.writer.clear_incomplete(PROMOTIONS)
        assert not await shop.redis.hexists(state, "incomplete:promotions/0")
