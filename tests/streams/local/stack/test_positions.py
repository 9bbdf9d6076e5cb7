"""Positions in Redis when an embedded broker starts empty."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.local.stack.positions import foreign_positions, reset_positions
from tests.streams.shop import Shop, opened

PROMOTIONS = Partition(Topic.PROMOTIONS, 0)
EMBEDDED, OTHER = "01a22c3c-fd6f-7633-a958-ea2db5cc72d2", "8f14e45f-ceea-467f-a0e6-1b1c7a1c9d33"


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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("state", "others"),
    [
        ({}, {}),
        ({"pos:orders/0": "0", "topic:orders/0": f"{OTHER} "}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{EMBEDDED} "}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{EMBEDDED} {OTHER}"}, {}),
        ({"pos:orders/0": "7", "topic:orders/0": f"{OTHER} {EMBEDDED}"}, {"orders/0": 7}),
        ({"pos:orders/0": "7"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": " 4"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": f"{OTHER} 4"}, {"orders/0": 7}),
        ({"pos:orders/0": "7", "broker,orders": f"{EMBEDDED} 4"}, {}),
        ({"pos:promotions/0": "7", "topic:promotions/0": f"{OTHER} "}, {"promotions/0": 7}),
        ({"pos:orders/0": "7", "pos:clicks/0": "3", "topic:clicks/0": f"{EMBEDDED} "}, {}),
        ({"pos:orders/0": "7", "pos:clicks/0": "3", "topic:clicks/0": f"{OTHER} "}, {"clicks/0": 3, "orders/0": 7}),
    ],
)
async def test_positions_of_other_brokers_are_found_by_topic_id(
    redis_url: str, state: dict[str, str], others: dict[str, int]
) -> None:
    async with opened(redis_url, shards=1) as shop:
        if state:
            await shop.redis.hset(shop.keys.state(0), mapping=state)
        foreign = await foreign_positions(shop.redis, shop.keys)
        assert {str(partition): position for partition, position in foreign.items()} == others
