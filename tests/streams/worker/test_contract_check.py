"""A foreign topic is not copied to the dead-letter topic: its partitions are paused, without loss."""

from __future__ import annotations

import pytest

from consumers.topics import Partition, Topic
from streams.store.state import read_state
from streams.worker import contract_check
from tests.streams.shop import CLICKS_0, ORDERS_0, PROMOTIONS_0
from tests.streams.worker.conftest import Office, opened
from tests.streams.worker.test_batch_processor import Letters
from tests.support.events import click, paid

pytestmark = pytest.mark.anyio

ORDERS_1 = Partition(Topic.ORDERS, 1)
FOREIGN = b'{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":1},"op":"c"}}'


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> type[Letters]:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    Letters.written.clear()
    return Letters


async def paused(office: Office) -> dict[Partition, str]:
    return (await read_state(office.redis, office.keys)).paused


async def test_pauses_a_foreign_topic_before_any_dead_letter_while_others_continue(
    office: Office, letters: type[Letters]
) -> None:
    office.topics.write(ORDERS_0, *[FOREIGN] * 5_000)
    office.topics.write(CLICKS_0, *(click(at=at) for at in range(10)))
    await office.count(office.topics.fetch(ORDERS_0, most=5_000))
    assert (letters.written, await office.position(ORDERS_0), office.topics.paused) == ([], None, {ORDERS_0})
    assert office.topics.reads[ORDERS_0] == 0, "seeks back to the first uncounted record"
    (why,) = (await paused(office)).values()
    assert why.startswith("topic orders is not read: 1000 of its first 1000 messages break the contract: 1000 ")
    await office.count(office.topics.fetch(CLICKS_0))
    assert await office.totals() == {"events,clicks,page_view": 10}
    assert office.worker._stuck_monitor._assigned() == {CLICKS_0}, "a paused partition is not stuck"
    await office.worker.tick()
    held = (await office.state()).partitions[ORDERS_0]
    assert (held.lag, held.heartbeat_ms is not None) == (5_000, True), "it has a heartbeat and its whole backlog"


async def test_small_batches_write_at_most_half_the_check(office: Office, letters: type[Letters]) -> None:
    for partition in (ORDERS_0, ORDERS_1):
        office.topics.write(partition, *[FOREIGN] * 2_000)
    for _ in range(20):
        for partition in (ORDERS_0, ORDERS_1):
            await office.count(office.topics.fetch(partition, most=100))
    assert len(letters.written) == 500
    assert office.topics.paused == {ORDERS_0, ORDERS_1} == set(await paused(office))


async def test_few_messages_are_undecided_and_valid_ones_never_pause(office: Office, letters: type[Letters]) -> None:
    office.topics.write(ORDERS_0, *[FOREIGN] * 8, paid(at=1), paid(at=2))
    await office.count(office.topics.fetch(ORDERS_0))
    office.topics.write(ORDERS_0, *(paid(at=at) for at in range(3, 1_000)))
    await office.count(office.topics.fetch(ORDERS_0, most=2_000))
    office.topics.write(ORDERS_0, *[FOREIGN] * 1_000)
    await office.count(office.topics.fetch(ORDERS_0, most=1_000))
    assert (len(letters.written), office.topics.paused, await paused(office)) == (1_008, set(), {})


async def test_a_new_owner_continues_the_check_and_an_accepting_worker_counts_all(
    redis_url: str, letters: type[Letters]
) -> None:
    values = [FOREIGN if i % 3 else paid(at=i) for i in range(1_500)]
    async with opened(redis_url) as office:
        office.topics.write(ORDERS_0, *values)
        await office.count(office.topics.fetch(ORDERS_0, most=400))
        assert await office.position(ORDERS_0) == 400
    async with opened(redis_url) as office:
        office.topics.write(ORDERS_0, *values)
        office.topics.reads[ORDERS_0] = 400
        await office.count(office.topics.fetch(ORDERS_0, most=400))
        assert (await office.position(ORDERS_0), office.topics.paused) == (400, {ORDERS_0})
    written = len(letters.written)
    async with opened(redis_url, accept="clicks, orders") as office:
        office.topics.write(ORDERS_0, *values)
        office.topics.reads[ORDERS_0] = 400
        await office.count(office.topics.fetch(ORDERS_0, most=2_000))
        totals = await office.totals()
        assert (totals["events,orders,order_paid"], await office.position(ORDERS_0)) == (500, 1_500)
        assert sum(count for name, count in totals.items() if name.startswith("rejected,orders,")) == 1_000
        assert await paused(office) == {}
    assert written == 0, "the second worker wrote no dead letter"


async def test_a_paused_partition_resumes_after_a_while_or_when_its_topic_changes(
    office: Office, letters: type[Letters], monkeypatch: pytest.MonkeyPatch
) -> None:
    office.topics.ids[Topic.ORDERS] = "a"
    office.topics.write(ORDERS_0, paid(at=1), *[FOREIGN] * 2_000)
    await office.count(office.topics.fetch(ORDERS_0, most=1))
    await office.count(office.topics.fetch(ORDERS_0, most=2_000))
    await office.worker.tick()
    assert office.topics.paused == {ORDERS_0}
    with monkeypatch.context() as later:
        later.setattr(contract_check, "_RETRY_EVERY_S", -1)
        await office.worker.tick()
    assert office.topics.paused == set()
    await office.count(office.topics.fetch(ORDERS_0, most=2_000))
    assert office.topics.paused == {ORDERS_0}
    monkeypatch.setattr("streams.worker.position_tracker.ASK_EVERY_S", 0)
    office.topics.recreate(ORDERS_0, paid(at=2))
    for _ in range(3):
        await office.worker.tick()
    assert (office.topics.paused, await paused(office)) == (set(), {})
    # the first batch does not start at the position and makes the worker seek to the new topic's first record
    for _ in range(2):
        await office.count(office.topics.fetch(ORDERS_0))
    assert (await office.totals())["events,orders,order_paid"] == 2
    assert letters.written == []


async def test_checks_promotions_too(office: Office, letters: type[Letters]) -> None:
    office.topics.write(PROMOTIONS_0, *[FOREIGN] * 2_000)
    await office.count(office.topics.fetch(PROMOTIONS_0, most=2_000))
    assert (letters.written, office.topics.paused) == ([], {PROMOTIONS_0})
    (why,) = (await paused(office)).values()
    assert why.startswith("topic promotions is not read: ")


async def test_a_fenced_worker_cannot_pause_a_partition(redis_url: str) -> None:
    async with opened(redis_url) as zombie, opened(redis_url) as owner:
        for office in (zombie, owner):
            office.topics.write(ORDERS_0, paid(at=1), *[FOREIGN] * 2_000)
            await office.count(office.topics.fetch(ORDERS_0, most=1))
        async with zombie.worker._batch_processor.registry.lock(ORDERS_0):
            await zombie.worker._batch_processor.registry.get_loaded(ORDERS_0)
        owner.topics.write(ORDERS_0)
        await owner.redis.hset(owner.keys.state(0), f"pos:{ORDERS_0}", 2)
        await zombie.count(zombie.topics.fetch(ORDERS_0, most=2_000))
        assert (await paused(owner), zombie.topics.paused) == ({}, set())
