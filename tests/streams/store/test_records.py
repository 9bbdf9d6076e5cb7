"""Facts about orders are joined in Redis for any partitions, batches and owners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from consumers.topics import Partition
from streams.clock import now_ms
from streams.fold.delta import PaneDelta
from streams.panes.rows import RowIndex
from streams.panes.scopes import Scope
from streams.settings import shipping_limits
from streams.shipping.counters import ShippingCounter
from streams.shipping.delta import ShippingDelta, delta_of, merge_shipping
from streams.shipping.expansion import Entry, change
from streams.shipping.facts import NO_FACTS, UNKNOWN, OrderFacts, OrderLabels, merge
from streams.shipping.record import decode, encode, key_of
from streams.store.levels import shipping_levels
from streams.store.writer import BatchUpdate, OffsetMismatch, PaneWriter, RecordConflict
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition
from tests.streams.shipping.orders import facts_by_order
from tests.streams.shipping.plain import Place, plain
from tests.streams.shop import CLICKS_0, LOGISTICS_0, ORDERS_0, ORDERS_1, Shop, ask, opened
from tests.support.events import T0, Event, click, line, ms, order, paid, records, refunded, shipment, wire

pytestmark = pytest.mark.anyio

HOUR = 3600
DAY = 24 * HOUR
WAITING_IN_ALL = (Scope.ALL, ""), ShippingCounter.WAITING


def some_lives(chance: Random, orders: int) -> list[tuple[Partition, Event]]:
    """Events of orders over five days with their partitions, in random order."""
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


def expected(shop: Shop, rows: RowIndex) -> ShippingDelta:
    """The contribution of all counted events, joined in memory."""
    records: dict[str, OrderFacts] = {}
    for order_id, fact in facts_by_order([event for events in shop.counted.values() for event in events]):
        records[order_id] = merge(records.get(order_id, NO_FACTS), fact)
    entries: list[tuple[int, Entry]] = []
    for facts in records.values():
        entries += change(NO_FACTS, facts, shipping_limits(shop.settings))
    return delta_of(entries, rows)


async def held(shop: Shop, level: str) -> dict[Place, int]:
    """Blocks and logs of all partitions together."""
    stored = await shop.stored(level)
    return plain(merge_shipping([delta.shipping for delta in stored.values()]), shop.rows)


@pytest.mark.parametrize("shards", [1, 3])
async def test_every_level_holds_the_sums_of_the_orders(redis_url: str, shards: int) -> None:
    chance = Random(shards)
    async with opened(redis_url, shards=shards) as shop:
        events = some_lives(chance, 60)
        while events:
            partition = chance.choice([owner for owner, _ in events])
            batch = [event for owner, event in events if owner == partition][: chance.randint(1, 15)]
            events = [(owner, event) for owner, event in events if event not in batch]
            await shop.feed(partition, batch)
            if chance.random() < 0.4:
                await shop.compact(partition)
            if chance.random() < 0.2:
                shop.works.pop(partition, None)  # the next owner takes over
        whole = expected(shop, shop.rows)
        for level in shipping_levels(shop.settings):
            wanted = plain(
                merge_shipping([part.shipping for _, part in level.blocks(PaneDelta(shipping=whole))]), shop.rows
            )
            assert await held(shop, level.name) == wanted, level.name


async def test_a_record_conflict_is_read_and_retried(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
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
        refused.extend([answer] if isinstance(answer, RecordConflict) else [])
        return answer

    monkeypatch.setattr(shop.writer, "records", read_before_the_other_writes)
    monkeypatch.setattr(shop.writer, "apply", apply_and_remember)
    await shop.feed(ORDERS_0, [paid(at=0.5, order_id="o-1", region="east")])
    assert len(refused) == 1
    assert await held(shop, "ship_s") == plain(merge_shipping([_shipping_sums(shop)]), shop.rows)
    record = (await read(ORDERS_0, [key_of("o-1")]))[key_of("o-1")]
    facts = decode(record or b"")
    assert facts.paid is not None
    assert facts.dispatched is not None
    assert (facts.paid.ts_ms, facts.dispatched.carrier) == (ms(0.5), "dhl")


def _shipping_sums(shop: Shop) -> ShippingDelta:
    level = shipping_levels(shop.settings)[0]
    return level.coarsen(PaneDelta(shipping=expected(shop, shop.rows))).shipping


async def test_a_call_without_an_answer_counts_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated call learns that the batch is applied, and later compactions write what was sent."""
    work, apply, lost = await shop.work(ORDERS_0), shop.writer.apply, []

    async def apply_and_lose(*args: Any) -> Any:
        answer = await apply(*args)
        if not lost:
            lost.append(answer)
            raise RedisConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(shop.writer, "apply", apply_and_lose)
    event = paid(at=1, order_id="o-1")
    prepared = work.prepare(
        records(ORDERS_0.topic, 0, 0, [wire(event)]), event_time_bounds(shop.settings, None, now_ms())
    )
    with pytest.raises(RedisConnectionError):
        await work.apply(prepared)
    assert await work.apply(prepared) is None
    shop.counted[ORDERS_0] = [event]
    assert await held(shop, "ship_s") == plain(_shipping_sums(shop), shop.rows)
    assert await shop.compact(ORDERS_0)
    assert await held(shop, "ship_s") == plain(_shipping_sums(shop), shop.rows)


async def test_known_facts_change_nothing(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1")])
    await shop.feed(ORDERS_0, [paid(at=2, order_id="o-1")])
    await shop.feed(CLICKS_0, [click(at=3)])
    assert [bool(delta.shipping) for delta in shop.applied[ORDERS_0]] == [True, False]
    assert [bool(delta.shipping) for delta in shop.applied[CLICKS_0]] == [False]


async def test_waiting_orders_that_cancel_out_disappear_after_their_day_across_owners(shop: Shop) -> None:
    for number in range(6):
        await shop.feed(ORDERS_0, [paid(at=number, order_id=f"o-{number}")])
        await shop.compact(ORDERS_0)
        shop.works.pop(ORDERS_0)  # the next owner takes over
    parts = shop.keys.block(0, "wait_s", T0)
    assert await shop.redis.hlen(parts) == 6
    for number in range(5):
        await shop.feed(ORDERS_0, [order("order_cancelled", at=10, order_id=f"o-{number}")])
    await shop.compact(ORDERS_0)
    for days in (11, 12):  # a block is settled ten days after its end
        await shop.feed(ORDERS_0, [order("order_created", at=days * 24 * HOUR)])
        await shop.compact(ORDERS_0)
    assert await shop.redis.hlen(parts) == 1
    waiting = {place: n for place, n in (await held(shop, "wait_s")).items() if place[2] == (Scope.ALL, "")}
    assert waiting == {(T0 + 5, T0 + 5, (Scope.ALL, ""), ShippingCounter.WAITING): 1}


async def waiting(shop: Shop, level: str) -> int:
    """Waiting orders in the blocks and logs of a level."""
    return sum(n for (_, _, label, leg), n in (await held(shop, level)).items() if (label, leg) == WAITING_IN_ALL)


async def two_owners(shop: Shop) -> OwnedPartition:
    """Four waiting orders, in several blocks of an earlier owner, and one in the log of a new owner."""
    for number in range(4):
        await shop.feed(ORDERS_0, [paid(at=number * DAY, order_id=f"o-{number}")])
    await shop.compact(ORDERS_0)
    shop.works.pop(ORDERS_0)
    await shop.feed(ORDERS_0, [paid(at=4 * DAY, order_id="o-4")])
    return await shop.work(ORDERS_0)


async def leave_behind(shop: Shop) -> None:
    """Close all blocks, so that each is merged into one part."""
    for days in (45, 46, 75, 76):
        await shop.feed(ORDERS_0, [order("order_created", at=days * DAY)])
        assert await shop.compact(ORDERS_0)


async def test_a_retried_first_compaction_adopts_each_part_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    work, read, failing = await two_owners(shop), shop.redis.hkeys, iter([False, False, True])

    async def now_and_then(key: str) -> Any:
        if next(failing, False):
            raise RedisConnectionError
        return await read(key)

    monkeypatch.setattr(shop.redis, "hkeys", now_and_then)
    with pytest.raises(RedisConnectionError):
        await work.plan_compaction(event_time_bounds(shop.settings, None, now_ms()))
    assert await shop.compact(ORDERS_0)
    await leave_behind(shop)
    assert [await waiting(shop, level) for level in ("wait_s", "wait_d")] == [5, 5]


async def test_concurrent_compactions_adopt_each_part_once(shop: Shop) -> None:
    work = await two_owners(shop)
    first, second = await asyncio.gather(
        *(work.plan_compaction(event_time_bounds(shop.settings, None, now_ms())) for _ in range(2))
    )
    assert await work.write_compaction(first)
    assert await work.write_compaction(second)
    await leave_behind(shop)
    assert [await waiting(shop, level) for level in ("wait_s", "wait_d")] == [5, 5]


class Stopped(PaneWriter):
    """A worker that is suspended after reading the records of its orders, until `meanwhile` has run."""

    meanwhile: Callable[[], Awaitable[None]]

    async def apply(self, batch: BatchUpdate, rows: RowIndex) -> OffsetMismatch | RecordConflict | None:
        await self.meanwhile()
        return await super().apply(batch, rows)


async def test_fences_a_zombie_that_would_reach_the_same_position_with_old_records(shop: Shop) -> None:
    await shop.feed(ORDERS_0, [order("order_created", order_id="o-1")])
    payment = [paid(at=1, order_id="o-1", region="east")]
    stopped = Stopped(shop.redis, shop.keys, shop.levels)
    zombie = OwnedPartition(ORDERS_0, shop.settings, stopped, shop.compactor, shop.rows)
    await zombie.load()

    async def meanwhile() -> None:
        await shop.feed(LOGISTICS_0, [shipment(at=2, order_id="o-1", region="west")])
        await shop.feed(ORDERS_0, payment)

    stopped.meanwhile = meanwhile
    batch = records(ORDERS_0.topic, 0, 1, list(map(wire, payment)))
    assert await zombie.apply(
        zombie.prepare(batch, event_time_bounds(shop.settings, None, now_ms()))
    ) == OffsetMismatch(2)
    assert zombie.position == 1
    assert not await zombie.compact(event_time_bounds(shop.settings, None, now_ms()))
    await shop.compact(ORDERS_0)
    assert await held(shop, "ship_s") == plain(merge_shipping([_shipping_sums(shop)]), shop.rows)


async def test_a_worker_whose_last_batch_differs_cannot_compact(shop: Shop) -> None:
    """After Redis was reset to an earlier state: each worker has applied its own batch."""
    await shop.feed(ORDERS_0, [order("order_created", order_id="o-1")])
    before = await shop.everything()
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1", region="east")])
    zombie = shop.works.pop(ORDERS_0)
    await shop.redis.flushall()
    for key, dumped in before.items():
        await shop.redis.restore(key, 0, dumped)
    await shop.feed(LOGISTICS_0, [shipment(at=2, order_id="o-1", region="west")])
    await shop.feed(ORDERS_0, [paid(at=1, order_id="o-1", region="east")])
    before = await shop.everything()
    assert not await zombie.compact(event_time_bounds(shop.settings, None, now_ms()))
    assert await shop.everything() == before
    assert await shop.compact(ORDERS_0)


def some_repeats(chance: Random, orders: int) -> list[Event]:
    """Creations and payments of orders, some repeated with other labels, in random order."""
    made: list[Event] = []
    for number in range(orders):
        for make in (paid, partial(order, "order_created")):
            for _ in range(chance.choice((1, 1, 2, 3))):
                labels = {"region": chance.choice(("east", "west", None)), "campaign": chance.choice(("spring", None))}
                # some events of an order at the same time
                at = chance.choice((number, number + 0.25, chance.uniform(0, 50)))
                made.append(make(at=at, order_id=f"o-{number}", member=chance.choice((True, False)), **labels))
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("shards", [1, 3])
async def test_repeats_equal_the_oracles_for_any_batches_and_owners(redis_url: str, shards: int) -> None:
    chance = Random(shards)
    async with opened(redis_url, shards=shards) as shop:
        events = some_repeats(chance, 30)
        while events:
            count = chance.randint(1, 12)
            batch, events = events[:count], events[count:]
            await shop.feed(ORDERS_0, batch)
            if chance.random() < 0.3:
                await shop.compact(ORDERS_0)
            if chance.random() < 0.3:
                shop.works.pop(ORDERS_0, None)  # the next owner takes over
        await shop.feed(ORDERS_0, [order("payment_failed", at=59)])
        view, oracle = await shop.view(), shop.oracle()
        places = [("all", ""), ("region", "east"), ("region", "west"), ("campaign", "spring"), ("member", "true")]
        for window, at in (("1m", 59), ("1m", 30), ("5m", 59)):
            for scope, value in places:
                answer, right = (
                    await ask(view, window, scope, value, at=ms(at)),
                    oracle.ask(window, ms(at), scope, value),
                )
                for name in ("repeat_creations", "repeat_payments", "orders_paid"):
                    assert answer[name] == right[name], (name, window, at, scope, value)
        assert (await ask(view, "5m"))["repeat_payments"], "there are repeats"
        assert (await ask(view, "5m", "category", "c-1"))["repeat_payments"] is None


async def test_a_repeat_counts_once_after_a_record_conflict(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the number of partitions has grown, two owners have events of one order."""
    await shop.feed(ORDERS_0, [order("order_created", at=1)])
    read = shop.writer.records

    async def read_before_the_other_writes(*args: Any) -> Any:
        records = await read(*args)
        if args[0] == ORDERS_0:
            monkeypatch.setattr(shop.writer, "records", read)
            await shop.feed(ORDERS_1, [paid(at=5, order_id="o-1", region="west")])
        return records

    monkeypatch.setattr(shop.writer, "records", read_before_the_other_writes)
    await shop.feed(ORDERS_0, [paid(at=3, order_id="o-1", region="east"), paid(at=4, order_id="o-1")])
    await shop.feed(ORDERS_1, [order("order_created", at=9)])
    await shop.feed(ORDERS_0, [order("order_created", at=9)])
    view = await shop.view()
    assert (await ask(view, "1m"))["repeat_payments"] == 2
    assert [(await ask(view, "1m", "region", name))["repeat_payments"] for name in ("east", "west")] == [0, 1]


async def test_a_creation_after_its_payment_joins_the_record(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of created orders are not read until a conflict shows one; then all are read for a while."""
    read, asked = shop.writer.records, []

    async def read_and_remember(*args: Any) -> Any:
        asked.append(list(args[1]))
        return await read(*args)

    monkeypatch.setattr(shop.writer, "records", read_and_remember)
    await shop.feed(ORDERS_0, [order("order_created", at=1, order_id="o-1"), order("order_created", at=1)])
    await shop.feed(ORDERS_0, [paid(at=5, order_id="o-2"), paid(at=6, order_id="o-1")])
    assert asked == [[key_of("o-2"), key_of("o-1")]]
    await shop.feed(
        ORDERS_0, [order("order_created", at=2, order_id="o-2"), order("order_created", at=3, order_id="o-1")]
    )
    assert asked[1:] == [[key_of("o-2"), key_of("o-1")]]
    await shop.feed(ORDERS_0, [order("order_created", at=4, order_id="o-3")])
    assert asked[2:] == [[key_of("o-3")]]
    facts = [decode(record or b"") for record in (await read(ORDERS_0, [key_of("o-1"), key_of("o-2")])).values()]
    assert [(held.created and held.created.ts_ms, held.paid and held.paid.ts_ms) for held in facts] == [
        (ms(1), ms(6)),
        (ms(2), ms(5)),
    ]
    answer = await ask(await shop.view(), "1m")
    assert (answer["repeat_creations"], answer["repeat_payments"]) == (1, 0)


async def test_an_event_sent_again_after_its_id_expired_ends_no_order(redis_url: str) -> None:
    """It counts again, like any such event, but adds no fact to the order."""
    async with opened(redis_url, dedup_orders_s=60) as shop:
        half = refunded(600, at=2, order_id="o-1", items=[line(qty=2, unit_price=500)])
        first = paid(at=1, order_id="o-1", items=[line(qty=2, unit_price=500)])
        cut = order("order_cancelled", at=3, order_id="o-1", items=[line(qty=1, unit_price=500)])
        await shop.feed(ORDERS_0, [first, half, cut])
        await shop.feed(ORDERS_0, [first, half, cut])
        await shop.feed(ORDERS_0, [order("order_created", at=200)])
        await shop.compact(ORDERS_0, as_of_ms=ms(200))
        shop.restart()
        await shop.feed(ORDERS_0, [first, half, cut])
        answer = await ask(await shop.view(), "5m")
        assert (answer["orders_paid"], answer["orders_refunded"], answer["orders_cancelled"]) == (2, 2, 2)
        assert (answer["repeat_payments"], answer["unshipped_orders"]) == (0, 1)
        await shop.feed(ORDERS_0, [refunded(400, at=150, order_id="o-1")])
        assert (await ask(await shop.view(), "5m"))["unshipped_orders"] == 0


def as_before(record: bytes) -> bytes:
    """As an earlier version wrote it: without creations and sizes; the first refund or cancellation ended the order."""
    facts = decode(record)
    ends = [part.ts_ms for parts in (facts.refunds, facts.cancellations) for part in parts]
    old = facts._replace(created=None, refunds=(), cancellations=(), called_off_ms=min(ends, default=None))
    if old.paid is not None:
        labels = OrderLabels(*old.paid.labels[:3])
        old = old._replace(paid=old.paid._replace(labels=labels, amount=UNKNOWN, units=UNKNOWN))
    return encode(old)


async def test_records_of_an_earlier_version_keep_their_meaning(shop: Shop) -> None:
    """Paid before: any refund ends it. Refunded before: it had ended. Paid since: by its amount."""
    whole = [line(qty=2, unit_price=500)]
    await shop.feed(
        ORDERS_0, [paid(at=1, order_id=name, items=whole, channel="app") for name in ("paid", "refunded", "both")]
    )
    await shop.feed(ORDERS_0, [refunded(1000, at=2, order_id=name) for name in ("refunded",)])
    for bucket in await shop.redis.keys(shop.keys.buckets(0) + ":*"):
        for field, record in (await shop.redis.hgetall(bucket)).items():
            await shop.redis.hset(bucket, field, as_before(record))
    await shop.feed(ORDERS_0, [order("order_created", at=3, order_id="both"), paid(at=4, order_id="new", items=whole)])
    await shop.feed(ORDERS_0, [refunded(1, at=5, order_id=name) for name in ("paid", "new")])
    await shop.feed(ORDERS_0, [paid(at=0.5, order_id="both", items=whole)])
    await shop.feed(LOGISTICS_0, [shipment(at=6, order_id="refunded"), shipment("shipment_delayed", at=9)])
    await shop.feed(ORDERS_0, [order("payment_failed", at=9)])
    view = await shop.view()
    answers = [(await ask(view, "1m", at=ms(at)))["unshipped_orders"] for at in (2, 3, 5, 6, 9)]
    assert answers == [3, 2, 3, 2, 2]
    assert (await ask(view, "1m"))["repeat_payments"] == 1
    assert (await ask(view, "1m", "channel", "app"))["repeat_payments"] == 1, "its old labels are known"
