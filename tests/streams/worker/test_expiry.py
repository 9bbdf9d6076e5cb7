"""What a worker deletes over time, and what it retains for years."""

from __future__ import annotations

import asyncio

import pytest

from streams.store.retained_spans import KEPT_LEVELS
from streams.worker.expiry import RetentionKeeper
from tests.streams.shop import CLICKS_0, ORDERS_0, Shop, opened
from tests.streams.worker.conftest import Clock
from tests.streams.worker.conftest import opened as worker_at
from tests.support.events import T0, click, ms, paid, promotion

pytestmark = pytest.mark.anyio

HOUR_S, DAY_S = 3_600, 86_400


async def test_expires_minutes_except_those_of_promotions(redis_url: str) -> None:
    clock = Clock()
    async with opened(redis_url, retain="") as shop, worker_at(redis_url, clock.machine, retain="") as office:

        async def left() -> set[int]:
            return {int(start) - T0 for start in await shop.redis.zrange(shop.keys.blocks(0, "m"), 0, -1)}

        await shop.feed(CLICKS_0, [click(at=at) for at in range(0, 10 * HOUR_S, 300)])
        await shop.compact(CLICKS_0)
        await shop.announce(promotion(starts=2 * HOUR_S, ends=3 * HOUR_S))
        await office.worker.tick()
        assert await left() == set(range(0, 10 * HOUR_S, 600))
        await shop.feed(CLICKS_0, [click(at=365 * DAY_S)])
        await shop.compact(CLICKS_0)
        clock.advance(11)
        await office.worker.tick()
        assert await left() == {*range(HOUR_S, 3 * HOUR_S, 600), 365 * DAY_S}
        assert (await shop.reader(shop.rows).retained_spans()).dropped_s == T0 + 362 * DAY_S


YEAR_S = 365 * DAY_S


async def minutes(shop: Shop) -> dict[int, int]:
    """# <start of an existing minute block, seconds after T0: TTL>"""
    starts = [int(start) for start in await shop.redis.zrange(shop.keys.blocks(0, "m"), 0, -1)]
    return {start - T0: await shop.redis.ttl(shop.keys.block(0, "m", start)) for start in starts}


async def counted(shop: Shop, *times: float, as_of: float | None = None) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in times])
    await shop.compact(CLICKS_0, None if as_of is None else ms(as_of))


async def test_after_a_year_only_minutes_of_promotions_remain(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, *range(0, 4 * DAY_S, 300))
        await shop.announce(promotion(starts=DAY_S, ends=DAY_S + 7_200))
        await shop.drop(ms(DAY_S))
        assert await shop.drop(ms(YEAR_S)) > 0
        left = await minutes(shop)
        assert set(left) == set(range(DAY_S - 3_600, DAY_S + 7_200, 600))
        assert min(left.values()) > 3 * YEAR_S - DAY_S, "their TTL is long"
        assert await shop.drop(ms(YEAR_S)) == 0


async def test_blocks_of_retained_spans_get_the_long_ttl(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=DAY_S, ends=DAY_S + 7_200))
        await shop.drop(ms(0))
        await counted(shop, *range(0, 2 * DAY_S, 300), as_of=DAY_S)
        for start, live_s in (await minutes(shop)).items():
            kept = DAY_S - 3_600 <= start < DAY_S + 7_200
            assert (live_s > 3 * YEAR_S - DAY_S) == kept, start


async def test_late_events_count_only_in_retained_spans(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(promotion(starts=0, ends=7_200))
        await shop.drop(ms(7_200))
        await counted(shop, 60, 120, 30 * DAY_S, as_of=30 * DAY_S)
        await shop.drop(ms(30 * DAY_S))
        await counted(shop, 61, 6_000, 20 * DAY_S, as_of=30 * DAY_S)
        held = (await shop.stored("m"))[CLICKS_0].cells
        assert sorted(set(held.panes.tolist())) == [T0 + 60, T0 + 120, T0 + 6_000, T0 + 30 * DAY_S]
        assert (await shop.stored("h"))[CLICKS_0].cells.between(T0 + 20 * DAY_S, T0 + 21 * DAY_S).keys.size


async def test_a_deleted_promotion_keeps_its_retained_minutes(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await counted(shop, *range(0, 2 * DAY_S, 300))
        await shop.announce(promotion(starts=0, ends=DAY_S))
        await shop.drop(ms(DAY_S))
        await shop.redis.delete(shop.keys.promotions)
        await shop.drop(ms(YEAR_S))
        assert set(await minutes(shop)) == set(range(0, DAY_S, 600))
        await shop.drop(ms(3 * YEAR_S + 3 * DAY_S))
        assert await minutes(shop) == {}, "and expires after its retention"


@pytest.mark.parametrize("shards", [1, 3])
async def test_extends_retention_in_every_shard(redis_url: str, shards: int) -> None:
    async with opened(redis_url, retain="", shards=shards) as shop:
        for partition, kind in ((CLICKS_0, click), (ORDERS_0, paid)):
            await shop.feed(partition, [kind(at=at) for at in range(0, DAY_S, 600)])
            await shop.compact(partition)
        await shop.announce(promotion(starts=0, ends=7_200))
        await shop.drop(ms(DAY_S))
        await shop.drop(ms(YEAR_S))
        for partition, held in (await shop.stored("m")).items():
            assert set(held.cells.panes.tolist()) == set(range(T0, T0 + 7_200, 600)), partition


async def test_concurrent_workers_publish_the_same_spans(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.announce(*(promotion(f"p{i}", starts=i * DAY_S, ends=i * DAY_S + 600) for i in range(5)))
        keepers = [RetentionKeeper(shop.redis, shop.keys, shop.levels, shop.settings) for _ in range(8)]
        published = await asyncio.gather(
            *(keeper.publish(oldest_s=T0 - DAY_S + i, as_of_s=T0 + i) for i, keeper in enumerate(keepers))
        )
        stored = await shop.reader(shop.rows).retained_spans()
        assert stored.dropped_s == max(one.dropped_s for one in published) == T0 - DAY_S + 7
        assert {one.spans for one in published} == {stored.spans}
        assert len(stored.spans) == 5


def test_kept_levels_exist(redis_url: str) -> None:
    assert set(KEPT_LEVELS) <= {level.name for level in Shop(redis_url).levels}
