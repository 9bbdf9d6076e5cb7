"""What a worker deletes over time, and what it retains for years."""

from __future__ import annotations

import pytest

from tests.streams.shop import CLICKS_0, opened
from tests.streams.worker.conftest import Clock
from tests.streams.worker.conftest import opened as worker_at
from tests.support.events import T0, click, promotion

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
