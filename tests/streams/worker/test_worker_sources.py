"""Sources in a worker: schemas that cannot be loaded, and workers with different files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fastavro
import pytest

from consumers.sources.inputs import InputTopics, load_inputs
from consumers.topics import Partition, SourceTopic
from streams.settings import Settings
from streams.store.state import read_state
from streams.store.worker_setup import DeclaredSetup, SetupStore
from tests.streams.shop import CLICKS_0
from tests.streams.worker.conftest import Clock, Office, opened
from tests.streams.worker.test_batch_processor import Letters
from tests.support.events import click
from tests.support.schema_registry import SchemaRegistry, framed

pytestmark = pytest.mark.anyio

SHOP_0 = Partition(SourceTopic("shop.clicks"), 0)
CLICK = """
{"type": "record", "name": "Click", "fields": [
  {"name": "id", "type": "string"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
"""
SOURCES = """
version: 1
registry: {url: "%s"}
sources:
  - topic: shop.clicks
    format: avro
    events:
      - to: clicks
        fields:
          type: {value: page_view}
          event_id: {path: id}
          ts: {path: at}
          user_id: {value: u}
          session_id: {value: s}
"""


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> type[Letters]:
    monkeypatch.setattr("streams.worker.dead_letter_output.DeadLetterWriter", Letters)
    Letters.written.clear()
    return Letters


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with SchemaRegistry() as registry:
        yield registry


def inputs_of(folder: Path, registry: SchemaRegistry, *, change: tuple[str, str] = ("", "")) -> InputTopics:
    file = folder / "sources.yaml"
    file.write_text((SOURCES % registry.url).replace(*change))
    return load_inputs(Settings(sources=str(file)), exponent=2)


def message(schema_id: int, number: int) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(
        stream, fastavro.parse_schema(json.loads(CLICK)), {"id": f"e{number}", "at": 1_699_660_800_000 + number}
    )
    return framed(schema_id, stream.getvalue())


async def test_a_topic_is_paused_while_the_registry_does_not_answer(
    redis_url: str, tmp_path: Path, registry: SchemaRegistry, clock: Clock, letters: type[Letters]
) -> None:
    schema_id = registry.register("shop.clicks-value", "AVRO", CLICK)
    registry.stop()
    async with opened(redis_url, clock.machine, inputs_of(tmp_path, registry)) as office:
        office.topics.write(SHOP_0, *(message(schema_id, number) for number in range(5)), framed(99, b"x"))
        await office.count(office.topics.fetch(SHOP_0))
        (why,) = (await read_state(office.redis, office.keys)).paused.values()
        assert why == (
            "topic shop.clicks is not read: schemas of its messages cannot be loaded: "
            f"schema registry {registry.url} does not answer: start it, or correct `registry` in the file of sources"
        )
        assert (await office.position(SHOP_0), office.topics.paused, office.topics.reads[SHOP_0]) == (None, {SHOP_0}, 0)
        await office.worker.tick()
        assert office.topics.paused == {SHOP_0}
        clock.advance(6)
        await office.worker.tick()
        assert office.topics.paused == set(), "it is read again every 5 s"
        await office.count(office.topics.fetch(SHOP_0))
        assert (office.topics.paused, letters.written) == ({SHOP_0}, [])
        registry.start()
        clock.advance(6)
        await office.worker.tick()
        await office.count(office.topics.fetch(SHOP_0))
        assert (await read_state(office.redis, office.keys)).paused == {}
        assert await office.totals() == {
            "events,clicks,page_view": 5, "mapped,shop.clicks": 5, "rejected,shop.clicks,unknown_schema": 1
        }  # fmt: skip
        assert [letter.reason for letter in letters.written] == ["unknown_schema"]


async def test_messages_of_loaded_schemas_are_read_without_the_registry(
    redis_url: str, tmp_path: Path, registry: SchemaRegistry
) -> None:
    schema_id = registry.register("shop.clicks-value", "AVRO", CLICK)
    async with opened(redis_url, inputs=inputs_of(tmp_path, registry)) as office:
        for number in range(2):
            office.topics.write(SHOP_0, message(schema_id, number))
            await office.count(office.topics.fetch(SHOP_0))
            registry.stop()
        assert (await office.totals())["events,clicks,page_view"] == 2


async def adopt(office: Office, inputs: InputTopics) -> None:
    """Start another worker, with these sources."""
    declared = DeclaredSetup(office.settings, feeds=inputs.feeds, sources=inputs.fingerprint)
    await SetupStore(office.redis, office.keys).adopt(declared)


class TestDifferentFiles:
    async def test_a_worker_of_the_former_file_ends(
        self, redis_url: str, tmp_path: Path, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours = inputs_of(tmp_path, registry)
        theirs = inputs_of(tmp_path, registry, change=("{value: u}", "{value: v}"))
        async with opened(redis_url, inputs=ours) as office:
            ended: list[None] = []
            monkeypatch.setattr(office.worker, "_stop", lambda: ended.append(None))
            office.topics.write(SHOP_0)
            await adopt(office, ours)
            await office.worker.tick()
            assert (ended, office.ending.code) == ([], 0)
            await adopt(office, theirs)
            await office.worker.tick()
            assert (ended, office.ending.code) == ([None], 3)

    async def test_a_worker_without_sources_ends_workers_with_them_and_conversely(
        self, redis_url: str, tmp_path: Path, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours, contract = inputs_of(tmp_path, registry), InputTopics(Settings().topic_names)
        async with opened(redis_url) as without:
            ended: list[str] = []
            monkeypatch.setattr(without.worker, "_stop", lambda: ended.append("without"))
            without.topics.write(CLICKS_0, click())
            await without.worker.tick()
            assert (ended, await without.field("feeds")) == ([], None)
            async with opened(redis_url, inputs=ours) as office:
                monkeypatch.setattr(office.worker, "_stop", lambda: ended.append("with"))
                office.topics.write(SHOP_0)
                for worker in (office.worker, without.worker):
                    await worker.tick()
                assert ended == ["without"]
                monkeypatch.setattr("streams.store.worker_setup.BACK_AFTER_MS", 0)
                await adopt(office, contract)
                for worker in (office.worker, without.worker):
                    await worker.tick()
                assert ended == ["without", "with"]
                assert (await read_state(office.redis, office.keys)).feeds == contract.feeds

    async def test_a_batch_of_the_former_file_is_not_counted(
        self, redis_url: str, tmp_path: Path, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with opened(redis_url) as office:
            ended: list[None] = []
            monkeypatch.setattr(office.worker, "_stop", lambda: ended.append(None))
            office.topics.write(CLICKS_0, click())
            await adopt(office, inputs_of(tmp_path, registry))
            await office.count(office.topics.fetch(CLICKS_0))
            assert (ended, office.ending.code) == ([None], 3)
            assert (await office.position(CLICKS_0), await office.totals()) == (None, {})

    async def test_a_wiped_redis_gets_the_sources_back(
        self, redis_url: str, tmp_path: Path, registry: SchemaRegistry
    ) -> None:
        ours = inputs_of(tmp_path, registry)
        async with opened(redis_url, inputs=ours) as office:
            office.topics.write(SHOP_0)
            await office.redis.flushall()
            await office.worker.tick()
            assert (await read_state(office.redis, office.keys)).feeds == ours.feeds
            assert office.ending.code == 0
