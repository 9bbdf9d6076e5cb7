"""What events tell of orders is joined in Redis, whatever partition, batch and owner it comes by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from consumers.topics import Partition
from streams.clock import now_ms
from streams.lateness import clocks
from streams.panes.delta import PaneDelta
from streams.panes.rows import Rows
from streams.panes.scopes import Scope
from streams.partition import PartitionWork
from streams.settings import limits
from streams.shipping.counters import Leg
from streams.shipping.delta import ShippingDelta, delta_of, merge_shipping
from streams.shipping.expansion import Entry, change
from streams.shipping.facts import NOTHING, Facts, merge
from streams.shipping.join import key_of
from streams.shipping.record import decode
from streams.store.levels import shipping_levels
from streams.store.writer import Applying, Moved, PaneWriter, RecordsChanged
from tests.streams.shipping.orders import told
from tests.streams.shipping.plain import Place, plain
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, Shop, opened
from tests.support.events import T0, Event, click, ms, order, paid, records, shipment, wire

pytestmark = pytest.mark.anyio

HOUR = 3600
DAY = 24 * HOUR
WAITING_IN_ALL = (Scope.ALL, ""), Leg.WAITING


def some_lives(chance: Random, orders: int) -> list[tuple[Partition, Event]]:
    """Events of orders over five days, each with its partition, in no order."""
    made: list[tuple[Partition, Event]] = []
    for number in range(orders):
        at = chance.uniform(0, 24 * HOUR)
        labels = {"order_id": f"o-{chance.random()}", "region": chance.choice(("east", "west"))}
        made.append((ORDERS_0, paid(at=at, channel=chance.choice(("app", "live")), **labels)))
        dispatched = at + chance.uniform(-1, 60) * HOUR
        shipped = {**labels, "carrier": f"c-{number % 2}", "promised_ts": ms(at + 70 * HOUR)}
        if chance.random() < 0.9:
            made.append((LOGISTICS_0, shipment(at=dispatched, **shipped)))
        if chance.random() < 0.7:
            made.append(
                (LOGISTICS_0, shipment("shipment_delivered", at=dispatched + chance.uniform(-2, 30) * HOUR, **labels))
            )
    chance.shuffle(made)
    return made


def expected(shop: Shop, rows: Rows) -> ShippingDelta:
    """What all counted events add, joined in memory."""
    records: dict[str, Facts] = {}
    for order_id, fact in told([event for events in shop.counted.values() for event in events]):
        records[order_id] = merge(records.get(order_id, NOTHING), fact)
    entries: list[tuple[int, Entry]] = []
    for facts in records.values():
        entries += change(NOTHING, facts, limits(shop.settings))
    return delta_of(entries, rows)


async def held(shop: Shop, level: str) -> dict[Place, int]:
    """Blocks and logs of all partitions together."""
    stored = await shop.stored(level)
    return plain(merge_shipping([delta.shipping for delta in stored.values()]), shop.rows)


@pytest.mark.parametrize("shards", [1, 3])
async def test_every_level_holds_what_the_orders_add(redis_url: str, shards: int) -> None:
    chance = Random(shards)
    async with opened(redis_url, shards=shards) as shop:
        events = some_lives(chance, 60)
        while events:
            partition = chance.choice([owner for owner, _ in events])
            batch = [event for owner, event in events if owner == partition][: chance.randint(1, 15)]
            events = [(owner, event) for owner, event in events if event not in batch]
            await shop.feed(partition, batch)
            if chance.random() < 0.4:
                await shop.roll(partition)
            if chance.random() < 0.2:
                shop.works.pop(partition, None)  # the next owner takes over
        whole = expected(shop, shop.rows)
        for level in shipping_levels(shop.settings):
            wanted = plain(
                merge_shipping([part.shipping for _, part in level.blocks(PaneDelta(shipping=whole))]), shop.rows
            )
            assert await held(shop, level.name) == wanted, level.name


async def test_a_record_that_changed_meanwhile_is_read_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1")])
    read, apply, refused = shop.writer.records, shop.writer.apply, []

    async def read_before_the_other_writes(*args: Any) -> Any:
        records = await read(*args)
        if not refused and args[0] == ORDERS_0:
            monkeypatch.setattr(shop.writer, "records", read)
            await shop.feed(LOGISTICS_0, [shipment(at=3, order_id="o-1", carrier="dhl")])
        return records

    async def apply_and_remember(*args: Any) -> Any:
        answer = await apply(*args)
        refused.extend([answer] if isinstance(answer, RecordsChanged) else [])
        return answer

    monkeypatch.setattr(shop.writer, "records", read_before_the_other_writes)
    monkeypatch.setattr(shop.writer, "apply", apply_and_remember)
    await shop.feed(ORDERS_0, [paid(at=0.5, order_id="o-1", region="east")])
    assert len(refused) == 1
    assert await held(shop, "ship_s") == plain(merge_shipping([_legs(shop)]), shop.rows)
    record = (await read(ORDERS_0, [key_of("o-1")]))[key_of("o-1")]
    facts = decode(record or b"")
    assert facts.paid is not None
    assert facts.dispatched is not None
    assert (facts.paid.ts_ms, facts.dispatched.carrier) == (ms(0.5), "dhl")


def _legs(shop: Shop) -> ShippingDelta:
    level = shipping_levels(shop.settings)[0]
    return level.coarsen(PaneDelta(shipping=expected(shop, shop.rows))).shipping


async def test_a_call_whose_answer_was_lost_counts_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made again it is told that it is in, and what this worker rolls later is what it sent."""
    work, apply, lost = await shop.work(ORDERS_0), shop.writer.apply, []

    async def apply_and_lose(*args: Any) -> Any:
        answer = await apply(*args)
        if not lost:
            lost.append(answer)
            raise RedisConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(shop.writer, "apply", apply_and_lose)
    event = paid(at=1, order_id="o-1")
    prepared = work.prepare(records(ORDERS_0.topic, 0, 0, [wire(event)]), clocks(shop.settings, None, now_ms()))
    with pytest.raises(RedisConnectionError):
        await work.apply(prepared)
    assert await work.apply(prepared) is None
    shop.counted[ORDERS_0] = [event]
    assert await held(shop, "ship_s") == plain(_legs(shop), shop.rows)
    assert await shop.roll(ORDERS_0)
    assert await held(shop, "ship_s") == plain(_legs(shop), shop.rows)


async def test_what_tells_nothing_new_changes_nothing(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1")])
    await shop.feed(ORDERS_0, [paid(at=2, order_id="o-1")])
    await shop.feed(CLICKS_0, [click(at=3)])
    assert [bool(delta.shipping) for delta in shop.applied[ORDERS_0]] == [True, False]
    assert [bool(delta.shipping) for delta in shop.applied[CLICKS_0]] == [False]


async def test_what_cancels_out_is_gone_when_its_day_is_over_though_owners_changed(shop: Shop) -> None:
    for number in range(6):
        await shop.feed(ORDERS_0, [paid(at=number, order_id=f"o-{number}")])
        await shop.roll(ORDERS_0)
        shop.works.pop(ORDERS_0)  # the next owner takes over
    parts = shop.keys.pane(0, "wait_s", T0)
    assert await shop.redis.hlen(parts) == 6
    for number in range(5):
        await shop.feed(ORDERS_0, [order("order_cancelled", at=10, order_id=f"o-{number}")])
    await shop.roll(ORDERS_0)
    for days in (11, 12):  # ten days after its end a block is settled
        await shop.feed(ORDERS_0, [order("order_created", at=days * 24 * HOUR)])
        await shop.roll(ORDERS_0)
    assert await shop.redis.hlen(parts) == 1
    waiting = {place: n for place, n in (await held(shop, "wait_s")).items() if place[2] == (Scope.ALL, "")}
    assert waiting == {(T0 + 5, T0 + 5, (Scope.ALL, ""), Leg.WAITING): 1}


async def waiting(shop: Shop, level: str) -> int:
    """Orders that wait, by the blocks and logs of a level."""
    return sum(n for (_, _, label, leg), n in (await held(shop, level)).items() if (label, leg) == WAITING_IN_ALL)


async def two_owners(shop: Shop) -> PartitionWork:
    """Four orders that wait, in several blocks that an earlier owner wrote, and one in the log of a new owner."""
    for number in range(4):
        await shop.feed(ORDERS_0, [paid(at=number * DAY, order_id=f"o-{number}")])
    await shop.roll(ORDERS_0)
    shop.works.pop(ORDERS_0)
    await shop.feed(ORDERS_0, [paid(at=4 * DAY, order_id="o-4")])
    return await shop.work(ORDERS_0)


async def leave_behind(shop: Shop) -> None:
    """Let all blocks be over, so that each is merged to one part."""
    for days in (45, 46, 75, 76):
        await shop.feed(ORDERS_0, [order("order_created", at=days * DAY)])
        assert await shop.roll(ORDERS_0)


async def test_a_first_roll_that_is_begun_again_takes_each_stored_part_over_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, read, failing = await two_owners(shop), shop.redis.hkeys, iter([False, False, True])

    async def now_and_then(key: str) -> Any:
        if next(failing, False):
            raise RedisConnectionError
        return await read(key)

    monkeypatch.setattr(shop.redis, "hkeys", now_and_then)
    with pytest.raises(RedisConnectionError):
        await work.begin_roll(clocks(shop.settings, None, now_ms()))
    assert await shop.roll(ORDERS_0)
    await leave_behind(shop)
    assert [await waiting(shop, level) for level in ("wait_s", "wait_d")] == [5, 5]


async def test_two_rolls_begun_at_once_take_each_stored_part_over_once(shop: Shop) -> None:
    work = await two_owners(shop)
    first, second = await asyncio.gather(*(work.begin_roll(clocks(shop.settings, None, now_ms())) for _ in range(2)))
    assert await work.end_roll(first)
    assert await work.end_roll(second)
    await leave_behind(shop)
    assert [await waiting(shop, level) for level in ("wait_s", "wait_d")] == [5, 5]


class Stopped(PaneWriter):
    """A worker that is stopped after it read the records of its orders, and goes on when `meanwhile` has happened."""

    meanwhile: Callable[[], Awaitable[None]]

    async def apply(self, batch: Applying, rows: Rows) -> Moved | RecordsChanged | None:
        await self.meanwhile()
        return await super().apply(batch, rows)


async def test_a_zombie_that_would_come_to_the_same_position_with_older_records_is_refused(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [order("order_created", order_id="o-1")])
    payment = [paid(at=1, order_id="o-1", region="east")]
    stopped = Stopped(shop.redis, shop.keys, shop.levels)
    zombie = PartitionWork(ORDERS_0, shop.settings, stopped, shop.roller, shop.rows)
    await zombie.load()

    async def meanwhile() -> None:
        await shop.feed(LOGISTICS_0, [shipment(at=2, order_id="o-1", region="west")])
        await shop.feed(ORDERS_0, payment)

    stopped.meanwhile = meanwhile
    batch = records(ORDERS_0.topic, 0, 1, list(map(wire, payment)))
    assert await zombie.apply(zombie.prepare(batch, clocks(shop.settings, None, now_ms()))) == Moved(2)
    assert zombie.position == 1
    assert not await zombie.roll(clocks(shop.settings, None, now_ms()))
    await shop.roll(ORDERS_0)
    assert await held(shop, "ship_s") == plain(merge_shipping([_legs(shop)]), shop.rows)


async def test_who_stands_at_the_same_position_by_another_batch_cannot_roll(shop: Shop) -> None:
    """A Redis that was set back to a moment before both: each has applied its own batch."""
    await shop.feed(ORDERS_0, [order("order_created", order_id="o-1")])
    before = await shop.everything()
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1", region="east")])
    zombie = shop.works.pop(ORDERS_0)
    await shop.redis.flushall()
    for key, dumped in before.items():
        await shop.redis.restore(key, 0, dumped)
    await shop.feed(LOGISTICS_0, [shipment(at=2, order_id="o-1", region="west")])
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1", region="east")])
    stands = await shop.everything()
    assert not await zombie.roll(clocks(shop.settings, None, now_ms()))
    assert await shop.everything() == stands
    assert await shop.roll(ORDERS_0)
