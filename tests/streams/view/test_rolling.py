"""The view's numbers equal the metric dictionary for every window and scope, however events arrive."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from consumers.topics import Partition
from streams.clock import now_ms
from streams.model.windows import Window
from streams.view.blocks import Blocks
from streams.view.query import KpiQuery, NotAnswerableError, NotReadyError
from tests.streams.shop import CLICKS_0, CLICKS_1, LOGISTICS_0, ORDERS_0, ORDERS_1, Shop, ask, listed, opened
from tests.streams.view.comparing import assert_same, assert_true
from tests.support.events import click, line, ms, paid, promotion, some_events
from tests.support.oracle import SCOPES

pytestmark = pytest.mark.anyio

PARTITIONS = (CLICKS_0, CLICKS_1, ORDERS_0, ORDERS_1, LOGISTICS_0)
SHORT = ("1m", "5m", "15m")


async def feed_some(shop: Shop, chance: Random, now: float, *, n: int = 8, late: float = 30) -> Partition:
    """A few events around `now` on one partition, each up to `late` seconds late."""
    partition = chance.choice(PARTITIONS)
    orders = f"o-{partition.number}"  # like keyed events: all of an order in one partition
    events = some_events(partition.topic, n, chance.randrange(10**9), start=now - late, length=late, orders=orders)
    await shop.feed(partition, events)
    return partition


@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_of_apply_compaction_and_poll_equals_the_oracle(shop: Shop, seed: int) -> None:
    chance = Random(seed)
    await shop.announce(promotion("d11", starts=120, ends=5_000), promotion("d12", starts=1_800, ends=2_400))
    now = 3_600.0
    await feed_some(shop, chance, now, n=60, late=3_600)
    view = await shop.view()
    for _ in range(40):
        now += chance.choice((0, 0.4, 1, 1, 9, 70, 700))
        late = chance.choice((2, 2, 30, 4_000))
        partition = await feed_some(shop, chance, now, late=late)
        if chance.random() < 0.3:
            await shop.compact(partition)
        if chance.random() < 0.7:
            await view.poll(now_ms())
        if chance.random() < 0.5:
            await view.poll(now_ms())
            await assert_true(shop, view, windows=SHORT, scopes=["all"])
    await view.poll(now_ms())
    await assert_true(shop, view)
    for at in (int(now) - 1, int(now) - 600, 3_601):
        await assert_true(shop, view, at=ms(at), scopes=("all", "channel", "sku"))
    await assert_same(view, await shop.view())


@pytest.mark.parametrize("shards", [1, 4])
async def test_a_view_queried_every_second_equals_a_fresh_one(redis_url: str, shards: int) -> None:
    chance = Random(shards)
    async with opened(redis_url, shards=shards) as shop:
        await shop.announce(promotion("d11", starts=3_640, ends=3_680))
        await feed_some(shop, chance, 3_600, n=80, late=3_600)
        view = await shop.view()
        for second in range(3_601, 3_701):
            partition = await feed_some(shop, chance, second, n=3, late=chance.choice((1, 20, 200)))
            if second % 7 == 0:
                await shop.compact(partition)
            await view.poll(now_ms())
            for window in Window:
                await view.every(KpiQuery(window), now_ms())
            if second % 30 == 0:
                await assert_same(view, await shop.view())
        await assert_true(shop, view)


async def test_a_view_started_late_reads_everything_from_blocks(shop: Shop) -> None:
    for partition in PARTITIONS:
        for part in range(3):
            await shop.feed(partition, some_events(partition.topic, 40, part, length=5_000))
            await shop.compact(partition)
    await assert_true(shop, await shop.view())


async def test_a_view_behind_the_log_restarts(shop: Shop) -> None:
    chance = Random(1)
    await feed_some(shop, chance, 1_000, n=50, late=900)
    view = await shop.view()
    await assert_true(shop, view, scopes=["all"])
    for round_ in range(4):  # the log keeps only the last compaction
        for partition in PARTITIONS:
            await shop.feed(partition, some_events(partition.topic, 20, round_, start=1_000, length=300))
            await shop.compact(partition)
    for _ in range(2):
        await view.poll(now_ms())
    await assert_true(shop, view)


@pytest.mark.parametrize("block_limit", [1, 200, 5_000, 10**8])
async def test_a_small_cache_of_blocks_gives_the_same_answers(
    shop: Shop, block_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.view.followed.Blocks", partial(Blocks, limit=block_limit))
    chance = Random(2)
    for partition in PARTITIONS:
        await shop.feed(partition, some_events(partition.topic, 60, 5, length=4_000))
    view = await shop.view()
    for now in (4_001, 4_002, 4_055, 4_300, 8_000):
        await shop.compact(await feed_some(shop, chance, now, late=600))
        await view.poll(now_ms())
        await assert_true(shop, view, scopes=("all", "region"))


async def test_late_events_correct_cached_windows(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at, user=f"u-{at}", region="east") for at in range(0, 1_200, 10)])
    view = await shop.view()
    await assert_true(shop, view, scopes=("all", "region"))
    await shop.feed(CLICKS_0, [click(at=at, user=f"late-{at}", region="east") for at in (5, 299, 300.5, 899, 1_185)])
    await view.poll(now_ms())
    await assert_true(shop, view, scopes=("all", "region"))


async def test_a_partition_that_appears_later_is_counted(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=10), click(at=20)])
    view = await shop.view()
    await assert_true(shop, view, scopes=["all"])
    await shop.feed(ORDERS_1, [paid(at=12), paid(at=20)])
    await shop.compact(ORDERS_1)
    for _ in range(2):
        await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_a_partition_whose_first_records_were_deleted_is_counted(shop: Shop) -> None:
    """Kafka deleted its first records; before the first batch, only its worker's heartbeat exists."""
    await shop.writer.heartbeat({ORDERS_0: (None, 3)})
    await shop.feed(CLICKS_0, [click(at=20)])
    view = await shop.view()
    await shop.feed(ORDERS_0, [paid(at=5), paid(at=20)], begins=1_000)
    for _ in range(3):
        await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_a_wiped_redis_is_read_again(shop: Shop) -> None:
    first = [click(at=at) for at in range(100)]
    await shop.feed(CLICKS_0, first)
    await shop.compact(CLICKS_0)
    view = await shop.view()
    await assert_true(shop, view, scopes=["all"])
    await shop.redis.flushall()
    shop.restart()
    shop.counted.clear()
    await view.poll(now_ms())
    with pytest.raises(NotReadyError):
        await ask(view, "1m")
    await shop.feed(CLICKS_0, first[:60])
    await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])
    await shop.feed(CLICKS_0, first[60:])
    await shop.feed(ORDERS_0, [paid(at=50)])
    await shop.compact(CLICKS_0)
    for _ in range(2):
        await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_a_topic_recreated_between_polls_is_read_again(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=at) for at in range(0, 100, 2)])
    view = await shop.view()
    await assert_true(shop, view, scopes=["all"])
    await shop.compact(CLICKS_0)
    assert await shop.writer.reset_position(CLICKS_0, 50, 0, ms(100))
    shop.works.clear()
    await shop.feed(CLICKS_0, [click(at=at) for at in range(1, 100, 2)])
    for _ in range(2):
        await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_a_failover_that_lost_writes_is_followed(shop: Shop) -> None:
    """State and position go back together, in the same epoch; the worker replays in other batches."""
    await shop.feed(CLICKS_0, [click(at=at) for at in range(50)])
    await shop.compact(CLICKS_0)
    older = await shop.everything()
    lost = [click(at=at) for at in range(50, 100)]
    await shop.feed(CLICKS_0, lost)
    await shop.compact(CLICKS_0)
    view = await shop.view()
    await shop.redis.flushall()
    for key, content in older.items():
        await shop.redis.restore(key, 0, content)
    shop.restart()
    shop.counted[CLICKS_0] = shop.counted[CLICKS_0][:50]
    await view.poll(now_ms())
    await ask(view, "1m")  # blocks are cached now
    await shop.feed(CLICKS_0, lost)
    await view.poll(now_ms())
    await shop.feed(CLICKS_0, [click(at=at) for at in range(100, 120)])
    for _ in range(2):
        await view.poll(now_ms())
    await assert_true(shop, view, scopes=["all"])


async def test_numbers_at_an_as_of_change_only_by_late_events(shop: Shop) -> None:
    await shop.feed(CLICKS_0, some_events(CLICKS_0.topic, 100, 1, length=900))
    view = await shop.view()
    asked = [await listed(view, "5m", scope, at=ms(800)) for scope in SCOPES]
    for start in (900, 5_000, 90_000):
        await shop.feed(CLICKS_0, some_events(CLICKS_0.topic, 20, start, start=start, length=900))
        await shop.compact(CLICKS_0)
        await view.poll(now_ms())
        assert [await listed(view, "5m", scope, at=ms(800)) for scope in SCOPES] == asked


async def test_absent_numbers_are_null_and_empty_ones_zero(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1, discount=100, items=[line("s-1", unit_price=500, category="toys")])])
    await shop.feed(CLICKS_0, [click(at=2)])
    view = await shop.view()
    whole, toys, sku = [await ask(view, "1m", *at) for at in (("all", ""), ("category", "toys"), ("sku", "s-1"))]
    assert (whole["discounts"], whole["gmv"], whole["refund_rate"], whole["ctr"]) == (100, 400, 0, None)
    assert (toys["discounts"], toys["gmv"], toys["discount_rate"]) == (None, 500, None)
    assert (sku["buyers"], sku["conversion_rate"], sku["units"]) == (None, None, 1)
    never = await ask(view, "1m", "channel", "never-seen")
    assert (never["gmv"], never["visitors"], never["aov"]) == (0, 0, None)


async def test_a_view_without_data_is_not_ready(shop: Shop) -> None:
    view = await shop.view()
    with pytest.raises(NotReadyError):
        await ask(view, "1m")
    await shop.feed(CLICKS_0, [click(at=5)])
    await shop.writer.heartbeat({ORDERS_0: (None, 12)})  # some records were never counted
    await view.poll(now_ms())
    with pytest.raises(NotReadyError):
        await ask(view, "1m")


async def test_a_moment_in_the_future_is_rejected(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=5)])
    view = await shop.view()
    await ask(view, "1m", at=ms(5))
    with pytest.raises(NotAnswerableError):
        await ask(view, "1m", at=ms(6))


async def test_a_list_has_the_thousand_largest_values(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1, items=[line(f"s-{i}", unit_price=i)]) for i in range(1_100)] + [paid(at=3)])
    found = list(await listed(await shop.view(), "1m", "sku"))
    assert found == [f"s-{i}" for i in range(1_099, 99, -1)]
