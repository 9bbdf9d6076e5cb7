"""Settings that differ from the store's are rejected, since counts cannot be corrected."""

from __future__ import annotations

import pytest

from consumers.errors import SalepulseError
from consumers.topics import Topic
from streams.local.doctor.workers import check_currency
from streams.store.shared_settings import CURRENCY, require_same_settings
from tests.streams.shop import Shop

pytestmark = pytest.mark.anyio

ALIKE = dict.fromkeys(Topic, 4)


async def test_accepts_the_stored_settings_and_rejects_others(shop: Shop) -> None:
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    other = shop.settings.model_copy(update={"overdue_after_h": 24})
    with pytest.raises(SalepulseError, match=r"overdue_after_h=0\.1 .* not with overdue_after_h=24"):
        await require_same_settings(shop.redis, other, ALIKE)


async def test_rejects_another_currency(shop: Shop) -> None:
    await shop.redis.hset(shop.keys.state(0), "orders", "overdue_after_h=0.1 unshipped_horizon_d=180")  # as before
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    await require_same_settings(shop.redis, shop.settings.model_copy(update={"currency_exponent": 0}), ALIKE)
    yen = shop.settings.model_copy(update={"currency": "JPY"})
    with pytest.raises(SalepulseError, match="populated with currency=CNY, not with currency=JPY"):
        await require_same_settings(shop.redis, yen, ALIKE)
    noted = await shop.redis.hget(shop.keys.state(0), CURRENCY)
    (found,) = check_currency(noted, yen)
    assert (found.status, "counts are in CNY" in found.message) == ("error", True)
    assert list(check_currency(noted, shop.settings)) == []
    assert list(check_currency(None, yen)) == [], "nothing was counted"


async def test_reports_a_redis_that_refuses_writes_in_one_line(shop: Shop) -> None:
    await shop.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(SalepulseError, match=r"Redis at .* is out of memory and refuses writes; raise maxmemory"):
            await require_same_settings(shop.redis, shop.settings, ALIKE)
    finally:
        await shop.redis.config_set("maxmemory", "0")


async def test_with_several_shards_orders_and_logistics_need_equal_partition_counts(shop: Shop) -> None:
    unlike = {**ALIKE, Topic.LOGISTICS: 2}
    await require_same_settings(shop.redis, shop.settings, unlike)
    with pytest.raises(SalepulseError, match="orders has 4 partitions and logistics 2"):
        await require_same_settings(shop.redis, shop.settings.model_copy(update={"shards": 2}), unlike)
