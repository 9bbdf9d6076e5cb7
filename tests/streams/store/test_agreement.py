"""What was counted under other settings cannot be corrected, so such settings are refused."""

from __future__ import annotations

import pytest

from consumers.errors import SalepulseError
from consumers.topics import Topic
from streams.store.agreement import agree
from tests.streams.shop import Shop

pytestmark = pytest.mark.anyio

ALIKE = dict.fromkeys(Topic, 4)


async def test_the_same_settings_agree_again_and_others_do_not(shop: Shop) -> None:
    await agree(shop.redis, shop.settings, ALIKE)
    await agree(shop.redis, shop.settings, ALIKE)
    other = shop.settings.model_copy(update={"overdue_after_h": 24})
    with pytest.raises(SalepulseError, match=r"overdue_after_h=0\.1 .* not with overdue_after_h=24"):
        await agree(shop.redis, other, ALIKE)


async def test_a_redis_that_lets_nobody_write_is_told_in_one_line(shop: Shop) -> None:
    await shop.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(SalepulseError, match=r"Redis at .* is out of memory and refuses writes; raise maxmemory"):
            await agree(shop.redis, shop.settings, ALIKE)
    finally:
        await shop.redis.config_set("maxmemory", "0")


async def test_over_several_shards_orders_and_logistics_need_as_many_partitions(shop: Shop) -> None:
    unlike = {**ALIKE, Topic.LOGISTICS: 2}
    await agree(shop.redis, shop.settings, unlike)
    with pytest.raises(SalepulseError, match="orders has 4 partitions and logistics 2"):
        await agree(shop.redis, shop.settings.model_copy(update={"shards": 2}), unlike)
