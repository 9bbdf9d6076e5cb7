"""Workers with different models on one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.errors import SalepulseError
from consumers.settings import Clock as StoreClock
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.definitions import StoredName
from streams.dictionary.file import read_model_file
from streams.local.doctor.workers import examine_workers
from streams.settings import Settings
from streams.store import worker_setup
from streams.store.process_reports import ProcessReport, encode_report
from streams.store.worker_setup import (
    DeclaredSetup,
    SetupStore,
    StoredSetup,
    first_minute_after,
    reason_to_wait,
    release_parts,
)
from tests.streams.shop import CLICKS_0, ORDERS_0
from tests.streams.worker.conftest import Office, opened
from tests.support.events import click, ms, paid
from tests.support.redis_cluster import Cluster

pytestmark = pytest.mark.anyio

TIPS = """
version: 1
fields: {orders: {tip: money}}
measures: [{name: tips, sum: tip, of: order_paid, unit: money}]
"""
BIG = "version: 1\nmeasures: [{name: largest_order, max: amount, of: order_paid, unit: money}]\n"
BOTH = """
version: 1
fields: {orders: {tip: money}}
measures:
  - {name: tips, sum: tip, of: order_paid, unit: money}
  - {name: app_orders, count: order_paid, where: {channel: app}}
"""
NOW_MS = ms(0)


def declared(settings: Settings, text: str = "") -> DeclaredSetup:
    """The setup of a worker with a file of the model."""
    if not text:
        return DeclaredSetup(settings)
    read = read_model_file(text, exponent=settings.money_exponent)
    assert read.model is not None, read.errors
    assert read.definitions is not None
    return DeclaredSetup(settings, read.model, read.definitions)


class KilledError(Exception):
    """Stands for the end of a process."""


class Start:
    """Starts of further workers on an office's Redis."""

    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        self.office = office
        self.store = SetupStore(office.redis, office.keys)
        self.ended = 0
        monkeypatch.setattr(office.worker, "_stop", self._end)

    def _end(self) -> None:
        self.ended += 1

    async def __call__(self, text: str = "") -> StoredSetup:
        """Adopt the setup of a file."""
        async with asyncio.timeout(5):
            return await self.store.adopt(declared(self.office.settings, text))

    async def tokens(self) -> list[str]:
        keys, redis = self.office.keys, self.office.redis
        return [(await redis.hget(keys.state(shard), "setup") or b"").decode() for shard in range(keys.shards)]


@pytest.fixture(params=[1, 3])
async def office(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    """A worker with the built-in model, on one shard and on three."""
    async with opened(redis_url, shards=request.param) as office:
        yield office


@pytest.fixture
def start(office: Office, monkeypatch: pytest.MonkeyPatch) -> Start:
    return Start(office, monkeypatch)


def since_of(setup: StoredSetup, name: str) -> int | None:
    return setup.model.names.measures[name].since_ms


class TestChange:
    async def test_the_first_worker_of_a_store_counts_everything_from_the_beginning(self, start: Start) -> None:
        setup = await start.store.read()
        assert setup is not None
        assert (setup.generation, setup.changing) == (1, False)
        assert {name.since_ms for name in setup.model.names.measures.values()} == {None}
        assert set(await start.tokens()) == {setup.token}
        assert setup.compile().names == BUILT_IN.names
        assert await start.store.adopt(declared(start.office.settings)) == setup, "the same again changes nothing"

    async def test_a_new_measure_counts_from_the_minute_after_everything_counted(self, start: Start) -> None:
        office = start.office
        office.topics.write(ORDERS_0, paid())
        office.topics.write(CLICKS_0, click(at=90))
        for partition in (ORDERS_0, CLICKS_0):
            await office.count(office.topics.fetch(partition))
        setup = await start(TIPS)
        assert (setup.generation, setup.changing) == (2, False)
        assert since_of(setup, "tips") == first_minute_after(NOW_MS + 90_000)
        assert since_of(setup, "gmv") is None
        assert set(await start.tokens()) == {setup.token}
        (tips,) = [measure for measure in setup.compile().measures.values() if measure.name == "tips"]
        assert (tips.since_ms, tips.id) == (since_of(setup, "tips"), 128)

    async def test_a_measure_that_stays_keeps_its_id_and_time(self, start: Start) -> None:
        await start(TIPS)
        office = start.office
        url, ours = office.settings.redis_url.get_secret_value(), declared(office.settings, TIPS)
        async with opened(url, declared=ours, shards=office.keys.shards) as later:
            later.topics.write(ORDERS_0, paid())
            await later.count(later.topics.fetch(ORDERS_0))
            both = await start(BOTH)
        assert both.model.names.measures["tips"] == StoredName(128, both.model.names.measures["tips"].definition)
        assert since_of(both, "app_orders") == first_minute_after(NOW_MS)

    async def test_events_ahead_of_the_clock_are_before_a_new_measure(
        self, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with opened(redis_url, clock=StoreClock.WALL) as office:
            await office.worker.tick()
            now_ms = office.worker._housekeeping._reporter._reference.now_ms()
            office.topics.write(CLICKS_0, *(click(ts=now_ms + ahead_ms) for ahead_ms in (0, 200_000, 100)))
            await office.count(office.topics.fetch(CLICKS_0))
            assert await office.field("top:clicks/0") == str(now_ms + 200_000)
            assert since_of(await Start(office, monkeypatch)(TIPS), "tips") == first_minute_after(now_ms + 200_000)

    async def test_without_events_ahead_of_the_clock_nothing_more_is_stored(self, start: Start) -> None:
        start.office.topics.write(CLICKS_0, click())
        await start.office.count(start.office.topics.fetch(CLICKS_0))
        assert await start.office.field("top:clicks/0") is None

    @pytest.mark.parametrize("step", [1, 2, 3])
    @pytest.mark.parametrize("next_text", [TIPS, BIG], ids=["same", "other"])
    async def test_the_next_worker_completes_a_change_that_was_cut_off(
        self, start: Start, step: int, next_text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = start.office
        office.topics.write(CLICKS_0, click())
        await office.count(office.topics.fetch(CLICKS_0))

        calls = 0

        async def killed(*_: object, **__: object) -> object:
            raise KilledError

        crashing = SetupStore(office.redis, office.keys)
        if step == 1:
            monkeypatch.setattr(crashing, "_complete", killed)
        elif step == 2:
            set_in_shard = crashing._set_in_shard

            async def once(**call: object) -> object:
                nonlocal calls
                calls += 1
                if calls > 1:
                    raise KilledError
                return await set_in_shard(**call)  # type: ignore[arg-type]

            monkeypatch.setattr(crashing, "_set_in_shard", once)
            monkeypatch.setattr(crashing, "_note_feeds", killed)
        else:
            replace_stored = crashing._replace

            async def first_only(content: bytes | None, setup: StoredSetup) -> bool:
                if not setup.changing:
                    raise KilledError
                return await replace_stored(content, setup)

            monkeypatch.setattr(crashing, "_replace", first_only)
        with pytest.raises(KilledError):
            await crashing.adopt(declared(office.settings, TIPS))
        left = await start.store.read()
        assert left is not None
        assert (left.changing, await office.field("setup-changing")) == (True, "1")
        setup = await start(next_text)
        assert (setup.changing, await office.field("setup-changing")) == (False, None)
        assert setup.generation == (2 if next_text == TIPS else 3)
        assert set(await start.tokens()) == {setup.token}
        name = "tips" if next_text == TIPS else "largest_order"
        assert since_of(setup, name) == first_minute_after(NOW_MS)
        assert "tips" in setup.model.names.measures if next_text == TIPS else "tips" not in setup.model.names.measures

    async def test_workers_that_start_at_once_agree(self, start: Start) -> None:
        setups = await asyncio.gather(start(TIPS), start(TIPS), start(TIPS))
        assert setups[0] == setups[1] == setups[2] == await start.store.read()
        assert set(await start.tokens()) == {setups[0].token}

    async def test_of_different_workers_that_start_at_once_one_is_present(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A worker may be replaced before its change is complete, and then waits so long.
        monkeypatch.setattr(worker_setup, "BACK_AFTER_MS", 100)
        monkeypatch.setattr(worker_setup, "_ASK_EVERY_S", 0.02)
        await asyncio.gather(*(start(text) for text in (TIPS, BIG, BOTH)))
        present = await start.store.read()
        assert present is not None
        assert not present.changing
        assert set(await start.tokens()) == {present.token}

    async def test_a_setup_of_another_release_that_cannot_be_read_ends_the_start(self, start: Start) -> None:
        await start.office.redis.set(start.office.keys.setup, b'{"generation": 7}')
        with pytest.raises(SalepulseError, match="update this worker"):
            await start(TIPS)


class TestFormerWorker:
    async def test_it_ends_within_its_next_turn(self, start: Start) -> None:
        start.office.topics.write(CLICKS_0)
        await start.office.worker.tick()
        assert start.ended == 0
        await start(TIPS)
        for _ in range(2):
            await start.office.worker.tick()
        assert (start.ended, start.office.ending.code) == (1, 3)

    async def test_none_of_its_batches_is_counted_after_the_change(self, start: Start) -> None:
        office = start.office
        office.topics.write(CLICKS_0, click(), click())
        await office.count(office.topics.fetch(CLICKS_0, most=1))
        await start(TIPS)
        before = await office.totals(), await office.position(CLICKS_0)
        await office.count(office.topics.fetch(CLICKS_0))
        assert (await office.totals(), await office.position(CLICKS_0)) == before
        assert (start.ended, office.ending.code) == (1, 3)

    async def test_a_batch_whose_answer_was_lost_is_not_counted_twice(self, start: Start) -> None:
        office = start.office
        office.topics.write(CLICKS_0, click())
        writer = office.worker._batch_processor.writer
        apply = writer._apply

        async def change_and_lose_answer(**call: object) -> object:
            await apply(**call)  # type: ignore[arg-type]
            await start(TIPS)
            writer._apply = apply
            raise ConnectionError("lost")

        writer._apply = change_and_lose_answer  # type: ignore[assignment]
        await office.count(office.topics.fetch(CLICKS_0))
        assert (start.ended, await office.position(CLICKS_0)) == (0, 1), "it learns that its batch was applied"

    async def test_it_deletes_its_report(self, start: Start) -> None:
        office = start.office
        office.topics.write(CLICKS_0)
        await office.worker.tick()
        assert await office.redis.hlen(office.keys.reports) == 1
        await office.worker.stop()
        assert await office.redis.hlen(office.keys.reports) == 0


class TestWipedRedis:
    async def test_the_setup_comes_back(self, start: Start) -> None:
        office, setup = start.office, await start.store.read()
        office.topics.write(CLICKS_0)
        await office.redis.flushall()
        await office.worker.tick()
        assert await start.store.read() == setup
        assert (start.ended, await office.worker._setup_store.is_present(office.worker._setup or setup)) == (0, True)

    async def test_a_batch_brings_its_shard_s_token_back(self, start: Start) -> None:
        office, tokens = start.office, await start.tokens()
        office.topics.write(CLICKS_0, click())
        await office.redis.flushall()
        await office.count(office.topics.fetch(CLICKS_0))
        assert await office.position(CLICKS_0) == 1
        assert (await start.tokens())[office.keys.shard(CLICKS_0)] == tokens[0]
        assert (await start(TIPS)).generation == 2, "a new setup is later than the token"

    async def test_a_token_that_comes_back_during_a_change_does_not_stop_it(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = start.office
        office.topics.write(CLICKS_0, click())
        await office.redis.flushall()
        racing = SetupStore(office.redis, office.keys)
        generations, found = racing._generations, [[0]]

        async def stale() -> list[int]:
            return found.pop() if found else await generations()

        monkeypatch.setattr(racing, "_generations", stale)
        for shard in range(office.keys.shards):
            await office.redis.hset(office.keys.state(shard), "setup", "5 f")
        async with asyncio.timeout(5):
            setup = await racing.adopt(declared(office.settings, TIPS))
        assert (setup.generation, set(await start.tokens())) == (6, {setup.token})


class TestWaiting:
    async def test_a_former_model_does_not_come_back_at_once(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await start(TIPS)
        waiting = asyncio.create_task(start())
        await asyncio.sleep(0.2)
        present = await start.store.read()
        assert not waiting.done()
        assert present is not None
        assert present.generation == 2
        monkeypatch.setattr("streams.store.worker_setup.BACK_AFTER_MS", 0)
        assert (await waiting).generation == 3

    async def test_a_measure_waits_for_workers_that_would_not_count_it(self, start: Start) -> None:
        office = start.office
        now_ms = office.worker._housekeeping._reporter._reference.now_ms()
        await office.redis.hset(office.keys.reports, "old", encode_report(ProcessReport(at_ms=now_ms)))
        waiting = asyncio.create_task(start(TIPS))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await office.redis.hdel(office.keys.reports, "old")
        assert (await waiting).generation == 2

    def test_reasons(self) -> None:
        present = declared(Settings()).stored(declared(Settings()).names(None), 4, NOW_MS, "former")
        fresh = ProcessReport(at_ms=NOW_MS, setup=present.token)
        newer = StoredSetup(
            **{name: getattr(present, name) for name in present.__struct_fields__} | {"release": "999.1"}
        )
        for stored, identity, names, reports, at_ms, expected in (
            (None, "new", (), {}, NOW_MS, ""),
            (present, "new", ("tips",), {"w": fresh}, NOW_MS, ""),
            (present, "former", ("tips",), {"w": fresh}, NOW_MS + 29_999, "less than 30 s ago"),
            (present, "former", ("tips",), {"w": fresh}, NOW_MS + 30_000, ""),
            (present, "new", ("tips",), {"w": ProcessReport(at_ms=NOW_MS)}, NOW_MS, "would not count tips"),
            (present, "new", ("tips",), {"w": ProcessReport(at_ms=NOW_MS)}, NOW_MS + 15_001, ""),
            (present, "new", ("tips",), {"alerts-h-1": ProcessReport(at_ms=NOW_MS)}, NOW_MS, ""),
            (None, "new", (), {"w": ProcessReport(at_ms=NOW_MS)}, NOW_MS, ""),
            (newer, "new", (), {"w": fresh}, NOW_MS, "newer release 999.1"),
            (newer, "new", (), {}, NOW_MS, ""),
        ):
            why = reason_to_wait(stored, identity, names, reports, at_ms)
            assert (expected in why) if expected else not why, (why, expected)

    def test_releases_are_compared_by_number(self) -> None:
        assert release_parts("1.10") > release_parts("1.9.9")


async def test_on_a_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(cluster.url, redis_cluster=True, shards=3) as office:
        start = Start(office, monkeypatch)
        office.topics.write(CLICKS_0, click())
        await office.count(office.topics.fetch(CLICKS_0))
        setup = await start(TIPS)
        assert (setup.generation, since_of(setup, "tips")) == (2, first_minute_after(NOW_MS))
        assert set(await start.tokens()) == {setup.token}
        await office.worker.tick()
        assert (start.ended, office.ending.code) == (1, 3)


async def test_readers_see_the_difference_until_all_workers_have_the_present_setup(start: Start) -> None:
    office = start.office
    office.topics.write(CLICKS_0)

    async def problems() -> list[str]:
        return [
            found.message for found in await examine_workers(office.redis, office.settings) if found.check == "model"
        ]

    await office.worker.tick()
    assert await problems() == []
    await start(TIPS)
    (problem,) = await problems()
    assert "workers differ in model or sources" in problem
    await office.worker.tick()
    await office.worker.stop()
    assert (start.ended, await problems()) == (1, [])
