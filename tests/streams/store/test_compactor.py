"""Compaction moves deltas from the log into blocks, which together hold each batch exactly once at any time."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from time import process_time
from types import SimpleNamespace

import pytest

from consumers.topics import Partition, Topic
from streams.clock import now_ms
from streams.fold.delta import merge
from streams.panes.extremes import NO_EXTREMES
from streams.panes.scopes import Scope
from streams.settings import Settings
from streams.store import compactor, merging
from streams.store.levels import pane_levels
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition
from tests.streams.fold.test_wire import named
from tests.streams.plain import Plain, delta_of, numbered, plain
from tests.streams.shop import CLICKS_0, CLICKS_1, LOGISTICS_0, ORDERS_0, ORDERS_1, Shop, opened
from tests.support.events import T0, click, ms, paid, some_events

pytestmark = pytest.mark.anyio

PARTITIONS = (CLICKS_0, CLICKS_1, ORDERS_0, ORDERS_1, LOGISTICS_0)
DAY_S = 86_400


async def everything(shop: Shop, level: str) -> dict[Partition, Plain]:
    """Blocks and logs together; the finest level has no distinct counts of SKUs."""
    held = {partition: plain(delta, shop.rows) for partition, delta in (await shop.stored(level)).items()}
    return held if level != "s" else {partition: _less_skus(content) for partition, content in held.items()}


def _less_skus(content: Plain) -> Plain:
    sums, sketches, extremes, histograms = content
    fine = {key: register_entries for key, register_entries in sketches.items() if key[1][0] is not Scope.SKU}
    return sums, fine, extremes, histograms


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("seed", range(3))
async def test_every_level_holds_what_was_applied_for_any_steps(redis_url: str, shards: int, seed: int) -> None:
    chance = Random(seed)
    async with opened(redis_url, shards=shards) as shop:
        for _ in range(60):
            partition = chance.choice(PARTITIONS)
            step = chance.random()
            if step < 0.5:
                events = some_events(partition.topic, chance.randint(1, 12), chance.randrange(10**9), length=4000)
                await shop.feed(partition, events)
            elif step < 0.95:
                assert await shop.compact(partition)
            else:
                shop.works.pop(partition, None)  # the next owner takes over
        for level in shop.levels:
            held = await everything(shop, level.name)
            for partition, deltas in shop.applied.items():
                expected = plain(level.coarsen(merge(deltas)), shop.rows)
                assert held[partition] == (_less_skus(expected) if level.name == "s" else expected), (seed, level.name)
            journal = {partition: held.stock for partition, held in (await shop.stored(level.name)).items()}
            for partition, deltas in shop.applied.items():
                stock = named(level.coarsen(merge(deltas)).stock, shop.rows.stock)
                assert named(journal[partition], shop.rows.stock) == stock, (seed, level.name)


def test_extremes_are_stored_in_panes_of_minutes_and_hours_only() -> None:
    values = [(T0 + 61 * i, i % 40, 128, i) for i in range(200)]
    delta, rows = delta_of([], [], values, values), numbered()
    seconds, minutes, hours = pane_levels(Settings())
    fine = compactor._of_fine_panes(seconds.coarsen(delta), rows)
    assert plain(fine, rows) == plain(replace(delta, extremes=NO_EXTREMES), rows)
    for level in (minutes, hours):
        assert plain(level.coarsen(seconds.coarsen(delta)), rows) == plain(level.coarsen(delta), rows)
        blocks = [part for _, part in level.blocks(delta)]
        assert plain(merge(blocks), rows) == plain(level.coarsen(delta), rows)


async def test_the_log_keeps_the_last_entries_after_compaction(shop: Shop) -> None:
    for at in range(3):
        await shop.feed(ORDERS_0, [paid(at=at)])
    await shop.compact(ORDERS_0)
    reader = shop.reader(shop.rows)
    assert [entry.end_offset for entry in (await reader.log({ORDERS_0: 0}))[ORDERS_0]] == [1, 2, 3]
    await shop.feed(ORDERS_0, [paid(at=3)])
    await shop.compact(ORDERS_0)
    assert [(entry.start_offset, entry.end_offset) for entry in (await reader.log({ORDERS_0: 0}))[ORDERS_0]] == [(3, 4)]
    assert (await shop.writer.load(ORDERS_0, shop.rows)).log == []


async def test_two_partitions_share_a_block_independently(shop: Shop) -> None:
    await shop.feed(CLICKS_0, [click(at=1)])
    await shop.feed(CLICKS_1, [click(at=2), click(at=2)])
    await shop.compact(CLICKS_0)
    await shop.compact(CLICKS_1)
    await shop.feed(CLICKS_0, [click(at=3)])
    await shop.compact(CLICKS_0)
    held = await everything(shop, "h")
    assert [sum(held[partition][0].values()) for partition in (CLICKS_0, CLICKS_1)] == [2, 2]
    assert await shop.redis.zrange(shop.keys.blocks(0, "h"), 0, -1) == [str(T0).encode()]


async def second_owner(shop: Shop, partition: Partition) -> OwnedPartition:
    work = OwnedPartition(partition, shop.settings, shop.writer, shop.compactor, shop.rows)
    await work.load()
    return work


async def test_a_zombie_with_an_old_position_cannot_compact(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    zombie = await second_owner(shop, ORDERS_0)
    await shop.feed(ORDERS_0, [paid(at=2)])
    before = await shop.everything()
    assert not await zombie.compact(event_time_bounds(shop.settings, None, now_ms()))
    assert await shop.everything() == before
    assert await shop.compact(ORDERS_0)


async def test_entries_cannot_be_compacted_twice(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    zombie = await second_owner(shop, ORDERS_0)
    assert await shop.compact(ORDERS_0)
    before = await shop.everything()
    assert not await zombie.compact(event_time_bounds(shop.settings, None, now_ms()))
    assert await shop.everything() == before


async def test_a_compaction_after_redis_was_wiped_writes_nothing(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    await shop.redis.flushall()
    assert not await shop.compact(ORDERS_0)
    assert await shop.everything() == {}


async def test_the_number_of_parts_per_block_is_bounded(shop: Shop) -> None:
    for i in range(40):
        await shop.feed(ORDERS_0, [paid(at=5 + i / 100)])
        await shop.compact(ORDERS_0)
    key = shop.keys.block(0, "s", T0)
    assert await shop.redis.hlen(key) <= 24
    for at in (200, 400):
        await shop.feed(ORDERS_0, [paid(at=at)])
        await shop.compact(ORDERS_0)
    assert await shop.redis.hlen(key) == 1
    assert (
        sum(n for (_, label, _), n in (await everything(shop, "s"))[ORDERS_0][0].items() if label[0] is Scope.ALL) > 0
    )


@pytest.mark.parametrize("largest", [0, 20_000])
async def test_bounded_merging_does_not_change_content(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(merging, "LARGEST_MERGE", largest)
    monkeypatch.setattr(compactor, "LARGEST_MERGE", largest)
    for i in range(30):
        await shop.feed(CLICKS_0, some_events(Topic.CLICKS, 8, i, length=900))
        assert await shop.compact(CLICKS_0)
    for level in pane_levels(shop.settings)[1:]:
        held = await everything(shop, level.name)
        assert held[CLICKS_0] == plain(level.coarsen(merge(shop.applied[CLICKS_0])), shop.rows)
    parts = await shop.redis.hlen(shop.keys.block(0, "h", T0))
    assert (parts == 30) if largest == 0 else (parts < 30)


async def test_parts_of_earlier_owners_are_adopted_with_their_sizes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(8):
        shop.works.pop(ORDERS_0, None)
        await shop.feed(ORDERS_0, [paid(at=i)])
        if i < 7:
            assert await shop.compact(ORDERS_0)
    again = await second_owner(shop, ORDERS_0)
    planned = await again.plan_compaction(event_time_bounds(shop.settings, None, now_ms()))
    assert planned is not None
    taken_in = {write.block: write.merge.parts for write in planned.writes if write.merge.parts}
    assert {level for level, _ in taken_in} == {"wait_s", "wait_d"}
    for block, parts in taken_in.items():
        stored = await shop.redis.hgetall(shop.keys.block(0, *block))
        assert {part.name.encode(): part.size for part in parts} == {name: len(held) for name, held in stored.items()}
        assert len(parts) == 7
    monkeypatch.setattr(merging, "LARGEST_MERGE", 0)
    planned = await (await second_owner(shop, ORDERS_0)).plan_compaction(
        event_time_bounds(shop.settings, None, now_ms())
    )
    assert planned is not None
    assert not any(write.merge.parts for write in planned.writes), "they count towards the limit of a merge"


async def test_ids_are_kept_until_the_as_of_passes_them_by_the_horizon(shop: Shop) -> None:
    async def kept() -> list[int]:
        held = await shop.writer.load(CLICKS_0, shop.rows)
        return [entry.end_offset for entry in (*held.compacted_ids, *held.ids)]

    for at in (0, 300, 600, 900):
        await shop.feed(CLICKS_0, [click(at=at)])
    await shop.compact(CLICKS_0, ms(600))
    assert await kept() == [1, 2, 3, 4]
    await shop.compact(CLICKS_0, ms(900.001))
    assert await kept() == [3, 4]
    await shop.compact(CLICKS_0, ms(DAY_S))
    assert await kept() in ([], [4])


async def test_compaction_joins_ids_and_the_next_owner_loads_them(shop: Shop) -> None:
    async def lengths() -> tuple[int, int]:
        keys = shop.keys
        return await shop.redis.xlen(keys.ids(ORDERS_0)), await shop.redis.xlen(keys.compacted_ids(ORDERS_0))

    events = [paid(at=at) for at in range(100)]
    for event in events[:60]:
        await shop.feed(ORDERS_0, [event])
    assert await lengths() == (60, 0)
    await shop.compact(ORDERS_0)
    assert await lengths() == (0, 1)
    for event in events[60:]:
        await shop.feed(ORDERS_0, [event])
    shop.restart()
    await shop.feed(ORDERS_0, [*events, paid(at=100)])
    assert len(shop.applied[ORDERS_0][-1].cells.keys) > 0
    assert (await shop.reader(shop.rows).totals())[f"duplicates,{Topic.ORDERS}"] == 100
    await shop.compact(ORDERS_0)
    shop.restart()
    await shop.feed(ORDERS_0, events)
    assert (await shop.reader(shop.rows).totals())[f"duplicates,{Topic.ORDERS}"] == 200
    assert await lengths() == (0, 2)


async def test_an_order_sent_again_hours_later_counts_once(shop: Shop) -> None:
    hour = 3600
    events = [paid(at=at) for at in range(0, 24 * hour, hour)]
    for event in events:
        await shop.feed(ORDERS_0, [event])
        await shop.compact(ORDERS_0, event["ts"])
        shop.restart()
    await shop.feed(ORDERS_0, events)
    totals = await shop.reader(shop.rows).totals()
    assert (totals["events,orders,order_paid"], totals["duplicates,orders"]) == (24, 24)
    late = paid(at=24 * hour + 1)
    await shop.feed(ORDERS_0, [late])
    await shop.compact(ORDERS_0, late["ts"] + 12 * hour * 1000)
    shop.restart()
    await shop.feed(ORDERS_0, [events[0], events[-1]])
    totals = await shop.reader(shop.rows).totals()
    assert (totals["events,orders,order_paid"], totals["duplicates,orders"]) == (26, 25), "the oldest id is dropped"


async def test_the_first_compaction_joins_ids_of_an_earlier_version(shop: Shop) -> None:
    """It stored one entry per batch in one stream, including compacted ones."""
    events = [paid(at=at) for at in range(30)]
    for event in events[:20]:
        await shop.feed(ORDERS_0, [event])
    before = await shop.redis.dump(shop.keys.ids(ORDERS_0))
    await shop.compact(ORDERS_0)
    await shop.redis.delete(shop.keys.compacted_ids(ORDERS_0), shop.keys.ids(ORDERS_0))
    await shop.redis.restore(shop.keys.ids(ORDERS_0), 0, before)
    shop.restart()
    await shop.feed(ORDERS_0, events)
    await shop.compact(ORDERS_0)
    shop.restart()
    await shop.feed(ORDERS_0, events)
    assert (await shop.reader(shop.rows).totals())[f"duplicates,{Topic.ORDERS}"] == 20 + 30
    assert await shop.redis.xlen(shop.keys.ids(ORDERS_0)) == 0


async def test_ids_evicted_from_memory_are_deleted_in_redis(shop: Shop) -> None:
    for at in (0, 30_000, 60_000):
        await shop.feed(ORDERS_0, [paid(at=at)])
    await shop.compact(ORDERS_0, ms(60_000))
    assert await shop.redis.xlen(shop.keys.compacted_ids(ORDERS_0)) == 3
    (await shop.work(ORDERS_0)).seen.evict_oldest()
    await shop.compact(ORDERS_0, ms(60_000))
    assert await shop.redis.xlen(shop.keys.compacted_ids(ORDERS_0)) < 3


async def test_only_expired_blocks_are_deleted(redis_url: str) -> None:
    async with opened(redis_url, shards=2) as shop:
        for partition, kind in ((CLICKS_0, click), (ORDERS_0, paid), (ORDERS_1, paid)):
            await shop.feed(partition, [kind(at=at) for at in range(0, 7200, 50)])
            await shop.compact(partition)
        before = {level.name: await everything(shop, level.name) for level in shop.levels}
        assert await shop.writer.expire({"s": T0 + 3_630, "m": T0 + 600, "h": T0}) > 0
        for level, oldest in (("s", T0 + 3_600), ("m", T0 + 600), ("h", T0)):
            after = await everything(shop, level)
            for partition, (sums, sketches, extremes, histograms) in before[level].items():
                kept = {key: n for key, n in sums.items() if key[0] >= oldest}
                drawn = {key: held for key, held in sketches.items() if key[0] >= oldest}
                assert after[partition] == (kept, drawn, extremes, histograms), (level, partition)
        assert await shop.writer.expire({"s": T0 + 3_630, "m": T0 + 600, "h": T0}) == 0


async def test_expired_panes_are_not_written(redis_url: str) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.feed(ORDERS_0, [paid(at=0), paid(at=4 * DAY_S), paid(at=4 * DAY_S + 7_300)])
        await shop.compact(ORDERS_0, ms(4 * DAY_S + 7_300))
        panes = {}
        for level in pane_levels(shop.settings):
            held = await everything(shop, level.name)
            panes[level.name] = sorted({pane - T0 for pane, _, _ in held[ORDERS_0][0]})
    assert panes == {
        "s": [4 * DAY_S + 7_300],
        "m": [4 * DAY_S, 4 * DAY_S + 7_260],
        "h": [0, 4 * DAY_S, 4 * DAY_S + 7_200],
    }


async def test_blocks_of_a_level_with_retention_have_a_ttl(redis_url: str) -> None:
    async with opened(redis_url, retain="", clock="wall") as shop:
        now_s = now_ms() // 1000 - T0
        await shop.feed(ORDERS_0, [paid(at=now_s)])
        await shop.compact(ORDERS_0, ms(now_s))
        block = shop.keys.block(0, "s", shop.levels[0].block(T0 + now_s))
        assert 7_200 < await shop.redis.ttl(block) <= 7_200 + 3_660
    async with opened(redis_url, redis_prefix="forever") as shop:
        await shop.feed(ORDERS_0, [paid(at=0)])
        await shop.compact(ORDERS_0)
        assert await shop.redis.ttl(shop.keys.block(0, "s", T0)) == -1


async def test_on_the_event_clock_the_ttl_is_at_least_the_longest_retention(
    redis_url: str,
) -> None:
    async with opened(redis_url, retain="") as shop:
        await shop.feed(ORDERS_0, [paid(at=0)])
        await shop.compact(ORDERS_0, ms(0))
        for level in shop.levels:
            for start in await shop.redis.zrange(shop.keys.blocks(0, level.name), 0, -1):
                assert await shop.redis.ttl(shop.keys.block(0, level.name, int(start))) >= 400 * DAY_S


async def test_an_expired_block_is_not_written_again(redis_url: str) -> None:
    async with opened(redis_url, retain="", clock="wall") as shop:
        now_s = now_ms() // 1000 - T0
        await shop.feed(ORDERS_0, [paid(at=now_s)])
        await shop.compact(ORDERS_0, ms(now_s))
        block = shop.levels[0].block(T0 + now_s)
        await shop.redis.delete(shop.keys.block(0, "s", block))
        await shop.feed(ORDERS_0, [paid(at=now_s)])
        assert await shop.compact(ORDERS_0, ms(now_s))
        assert not await shop.redis.exists(shop.keys.block(0, "s", block))
        held = await shop.reader(shop.rows).blocks([("s", block), ("m", block - block % 600)], [ORDERS_0])
        assert [stored.gone for stored in held.values()] == [True, False]


async def test_batches_applied_during_planning_stay_in_the_log(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    await shop.feed(ORDERS_0, [paid(at=2)])
    work = await shop.work(ORDERS_0)
    planned = await work.plan_compaction(event_time_bounds(shop.settings, None, now_ms()))
    await shop.feed(ORDERS_0, [paid(at=3)])
    assert await work.write_compaction(planned)
    held = await shop.writer.load(ORDERS_0, shop.rows)
    assert (held.compacted_to, held.position, [at for at, _ in held.log]) == (2, 3, [3])
    assert await everything(shop, "h") == {
        ORDERS_0: plain(shop.levels[2].coarsen(merge(shop.applied[ORDERS_0])), shop.rows)
    }
    assert await shop.compact(ORDERS_0)
    assert (await shop.writer.load(ORDERS_0, shop.rows)).log == []
    assert await everything(shop, "h") == {
        ORDERS_0: plain(shop.levels[2].coarsen(merge(shop.applied[ORDERS_0])), shop.rows)
    }


async def test_a_plan_from_before_a_reload_is_void(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    work = await shop.work(ORDERS_0)
    planned = await work.plan_compaction(event_time_bounds(shop.settings, None, now_ms()))
    await work.load()
    before = await shop.everything()
    assert await work.write_compaction(planned)
    assert await shop.everything() == before
    assert await shop.compact(ORDERS_0)


async def test_a_plan_is_fenced_after_another_owner_continued(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1)])
    zombie = await second_owner(shop, ORDERS_0)
    planned = await zombie.plan_compaction(event_time_bounds(shop.settings, None, now_ms()))
    await shop.feed(ORDERS_0, [paid(at=2)])
    before = await shop.everything()
    assert not await zombie.write_compaction(planned)
    assert await shop.everything() == before


def test_writes_of_years_are_split_into_portions_quickly() -> None:
    writes = [SimpleNamespace(merge=SimpleNamespace(size=100 * (i % 2))) for i in range(300_000)]
    began = process_time()
    portions = list(compactor._portions(writes))  # type: ignore[arg-type]
    assert process_time() - began < 5  # the event loop is blocked meanwhile
    assert [write for portion in portions for write in portion] == writes
    sizes = [sum(write.merge.size for write in portion) for portion in portions]
    assert max(sizes) <= merging.LARGEST_MERGE
    assert len(portions) == -(-sum(sizes) // merging.LARGEST_MERGE)
