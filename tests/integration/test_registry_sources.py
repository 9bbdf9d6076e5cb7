"""A shop behind a schema registry gives exactly the answers that an oracle computes from the original events.

The registry is the small one of `tests/support`, and Apicurio, a real one, on a machine with Java.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from tests.integration.test_sources import create_own_topics, in_disorder, letters_of, send
from tests.support.apicurio import apicurio, apicurio_folder
from tests.support.event_sets import EventSets
from tests.support.expected import Expected, check, recorded_totals
from tests.support.kafka import KafkaUnavailableError, java
from tests.support.own_formats import OwnMessage
from tests.support.registry_formats import (
    CLICKS,
    ORDER_INDEXES,
    ORDERS,
    REGISTRY_TOPICS,
    WMS,
    register,
    registry_messages,
    sources,
)
from tests.support.schema_registry import Registry, SchemaRegistry, framed
from tests.support.servers import Server
from tests.support.stack import stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

_UNKNOWN_ID = 2_000_000_000


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    if request.param == "small":
        with SchemaRegistry() as small:
            yield small
        return
    try:
        apicurio_folder()
        java()
    except KafkaUnavailableError as missing:
        pytest.skip(str(missing))
    with apicurio() as real:
        yield real


def poison(ids: Mapping[str, int]) -> list[tuple[OwnMessage, str]]:
    """Messages that are refused, and the reason."""
    avro, protobuf = ids["avro0"], ids["protobuf1"]
    return [
        (OwnMessage(CLICKS, b"k", b'{"id": 1}'), "bad_encoding"),
        (OwnMessage(CLICKS, b"k", framed(avro, b"\x02")), "bad_encoding"),
        (OwnMessage(CLICKS, b"k", framed(_UNKNOWN_ID, b"\x02a")), "unknown_schema"),
        (OwnMessage(CLICKS, b"k", framed(protobuf, b"\x02a")), "unknown_schema"),
        (OwnMessage(ORDERS, b"k", framed(protobuf, b"\xff\xff", ORDER_INDEXES)), "bad_encoding"),
        (OwnMessage(ORDERS, b"k", framed(protobuf, b"", b"\x02\x14")), "bad_encoding"),
        (OwnMessage(ORDERS, b"k", framed(protobuf, b"", ORDER_INDEXES)), "unknown_type"),
        (OwnMessage(ORDERS, b"k", framed(_UNKNOWN_ID, b"", b"\0")), "unknown_schema"),
        (OwnMessage(WMS, b"k", framed(ids["json"], b"{")), "bad_json"),
        (OwnMessage(WMS, b"k", b"{}"), "bad_encoding"),
    ]


@pytest.mark.parametrize(
    ("registry", "broker_name", "name", "partitions", "workers"),
    [
        ("small", "embedded_broker", "shipped", 1, 1),
        pytest.param("apicurio", "apache_kafka", "browsed", 4, 2, marks=pytest.mark.kafka),
    ],
    indirect=["registry"],
)
def test_every_answer_is_that_of_the_originals_after_a_kill_and_without_the_registry_for_a_while(
    request: pytest.FixtureRequest,
    redis_server: Server,
    registry: Registry,
    event_sets: EventSets,
    tmp_path: Path,
    rng: Random,
    broker_name: str,
    name: str,
    partitions: int,
    workers: int,
) -> None:
    broker: Server = request.getfixturevalue(broker_name)
    folder = event_sets[name]
    expected = Expected.read(folder)
    ids = register(registry)
    file = tmp_path / "sources.yaml"
    file.write_text(sources(registry.url))
    asyncio.run(create_own_topics(broker.bootstrap, partitions, REGISTRY_TOPICS))
    refused, tombstones = poison(ids), [(OwnMessage(topic, b"k", None), "tombstone") for topic in (CLICKS, ORDERS)]
    messages, totals = in_disorder(list(registry_messages(folder, rng, ids)), refused, tombstones, rng)
    # Repeats are far apart, so ids are never forgotten.
    remembered = {"dedup_clicks_s": 10**8, "dedup_orders_s": 10**8}
    settings = {"timezone": expected.timezone, "sources": str(file), "batch_records": 500, **remembered}
    with stack(broker, redis_server, partitions=partitions, workers=workers, **settings) as shop:
        shop.replay(folder / "promotions.ndjson.gz")
        send(shop, messages[: len(messages) // 2])
        shop.until_records_counted(len(messages) // 4)
        shop.kill_worker()
        registry.stop()
        shop.start_worker()
        send(shop, messages[len(messages) // 2 :])
        eventually(lambda: bool(shop.state().paused), within_s=60, every_s=0.2, what="no topic is paused")
        assert all("schemas of its messages cannot be loaded" in why for why in shop.state().paused.values())
        registry.start()
        shop.until_counted()
        counted = shop.totals()
        assert {
            name: count for name, count in counted.items() if not name.startswith(("events", "duplicates"))
        } == totals
        assert {name: count for name, count in counted.items() if name.startswith("events")} == recorded_totals(folder)
        check(shop.api, expected)
        assert shop.state().paused == {}
    letters = asyncio.run(letters_of(broker.bootstrap))
    assert Counter((letter.topic, letter.value, letter.reason) for letter in letters) == Counter(
        (str(message.topic), message.value, reason) for message, reason in refused
    )
