"""A shop in its own formats gives exactly the answers that an oracle computes from the original events."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.reading import read_dead_letters
from consumers.topics import Partition, SourceTopic
from tests.support.event_sets import EventSets
from tests.support.expected import Expected, check, recorded_totals
from tests.support.own_formats import ORDERS, OWN_TOPICS, SOURCES, TRACKING, WMS, OwnMessage, own_messages
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

POISON = [
    (OwnMessage(ORDERS, b"k", b"{"), "bad_json"),
    (OwnMessage(ORDERS, b"k", b'{"op": "c", "after": {"state": "lost"}, "source": {}}'), "out_of_range"),
    (OwnMessage(ORDERS, b"k", b'{"number": 5}'), "missing_field"),
    (OwnMessage(TRACKING, b"k", b"[]", (("trace", b"t1"),)), "not_an_object"),
    (OwnMessage(TRACKING, b"k", b'{"name": "page_view"}'), "missing_field"),
    (OwnMessage(WMS, b"k", b"\xff\xfe"), "bad_encoding"),
    (OwnMessage(WMS, b"k", b'{"kind": "teleported", "part": "p", "serial": 1, "at": 1}'), "unknown_type"),
]
"""Messages that are refused, and the reason."""
PASSED_OVER = [
    (OwnMessage(ORDERS, b"k", None), "tombstone"),
    (OwnMessage(ORDERS, b"k", b'{"op": "d", "before": {}, "after": null, "source": {}}'), "delete"),
    (OwnMessage(WMS, b"k", b'{"kind": "ping"}'), "none_matches"),
]


async def create_own_topics(bootstrap: str, partitions: int, topics: Sequence[SourceTopic] = OWN_TOPICS) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])
    finally:
        await admin.close()


async def produce(bootstrap: str, messages: Iterable[OwnMessage]) -> dict[tuple[str, int], int]:
    """Send messages with their headers; return the end offsets."""
    ends: dict[tuple[str, int], int] = {}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20) as producer:
        sent = [
            await producer.send(message.topic, message.value, message.key, headers=list(message.headers))
            for message in messages
        ]
        for answer in await asyncio.gather(*sent):
            at = (answer.topic, answer.partition)
            ends[at] = max(ends.get(at, 0), answer.offset + 1)
    return ends


def send(shop: Shop, messages: Iterable[OwnMessage]) -> None:
    shop._written(asyncio.run(produce(shop.broker.bootstrap, messages)))


async def letters_of(bootstrap: str) -> list[DeadLetter]:
    return [letter async for letter in read_dead_letters(bootstrap)]


def in_disorder(
    messages: Sequence[OwnMessage],
    refused: Sequence[tuple[OwnMessage, str]],
    passed_over: Sequence[tuple[OwnMessage, str]],
    rng: Random,
) -> tuple[list[OwnMessage], Counter[str]]:
    """Messages with repeats, in disorder, and with others among them; the totals of messages."""
    repeated = rng.sample(list(messages), len(messages) // 10)
    totals = Counter(f"mapped,{message.topic}" for message in (*messages, *repeated))
    others = [message for message, _ in (*refused, *passed_over)]
    totals.update(f"rejected,{message.topic},{reason}" for message, reason in refused)
    totals.update(f"passed_over,{message.topic},{reason}" for message, reason in passed_over)
    placed = [(i + rng.uniform(0, 200), message) for i, message in enumerate(messages)]
    placed += [(rng.uniform(0, len(messages)), message) for message in (*repeated, *others)]
    return [message for _, message in sorted(placed, key=lambda entry: entry[0])], totals


@pytest.mark.parametrize(
    ("broker_name", "name", "partitions", "workers"),
    [
        ("embedded_broker", "shipped", 1, 1),
        pytest.param("apache_kafka", "browsed", 4, 2, marks=pytest.mark.kafka),
    ],
)
def test_every_answer_is_that_of_the_originals_after_a_kill(
    request: pytest.FixtureRequest,
    redis_server: Server,
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
    file = tmp_path / "sources.yaml"
    file.write_text(SOURCES)
    asyncio.run(create_own_topics(broker.bootstrap, partitions))
    messages, totals = in_disorder(list(own_messages(folder, rng)), POISON, PASSED_OVER, rng)
    # Repeats are far apart, so ids are never forgotten.
    remembered = {"dedup_clicks_s": 10**8, "dedup_orders_s": 10**8}
    settings = {"timezone": expected.timezone, "sources": str(file), "batch_records": 500, **remembered}
    with stack(broker, redis_server, partitions=partitions, workers=workers, **settings) as shop:
        shop.replay(folder / "promotions.ndjson.gz")
        send(shop, messages[: len(messages) // 2])
        shop.until_records_counted(len(messages) // 4)
        shop.kill_worker()
        shop.start_worker()
        send(shop, messages[len(messages) // 2 :])
        shop.until_counted()
        counted = shop.totals()
        assert {
            name: count for name, count in counted.items() if not name.startswith(("events", "duplicates"))
        } == totals
        assert {name: count for name, count in counted.items() if name.startswith("events")} == recorded_totals(folder)
        check(shop.api, expected)
        assert {partition.topic for partition in shop.state().existing_partitions} == set(OWN_TOPICS)
        assert shop.state().unread == ()
    letters = asyncio.run(letters_of(broker.bootstrap))
    assert Counter((letter.topic, letter.value, letter.reason) for letter in letters) == Counter(
        (str(message.topic), message.value, reason) for message, reason in POISON
    )
    (traced,) = (letter for letter in letters if letter.value == b"[]")
    assert list(traced.headers) == [("trace", b"t1")]
    assert json.loads(json.dumps(traced.detail)).startswith("tracking: ")
    assert Partition.parse(traced.id.rpartition("/")[0]).topic == TRACKING


def test_a_worker_that_starts_with_another_file_ends_those_with_the_former(
    broker: Server, redis_server: Server, tmp_path: Path
) -> None:
    former, present = tmp_path / "former.yaml", tmp_path / "present.yaml"
    former.write_text(SOURCES)
    present.write_text(SOURCES.replace("{path: visitor}", "{path: visitor, or: [visit]}"))
    asyncio.run(create_own_topics(broker.bootstrap, 1))
    with stack(broker, redis_server, partitions=1, sources=str(former)) as shop:
        eventually(lambda: shop.state().existing_partitions, within_s=60, what="no partition is read")
        (worker,) = shop.workers
        shop.workers.clear()
        shop.environment = {**shop.environment, "SALEPULSE_SOURCES": str(present)}
        shop.start_worker()
        assert worker.ended(within_s=30) == 3
        assert "another worker started with other sources" in worker.log_path.read_text()
        ping = OwnMessage(WMS, b"k", b'{"kind": "ping"}')
        send(shop, [ping] * 5)
        shop.until_counted_to_the_end(within_s=60)
        assert shop.totals() == {f"passed_over,{WMS},none_matches": 5}
