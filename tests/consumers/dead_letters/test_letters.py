"""Dead letters keep the rejected message exactly and can be replayed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.letters import (
    REPLAYED_HEADER,
    TIMESTAMP_HEADER,
    DeadLetter,
    DeadLetterFilter,
    DeadLetterRecord,
    from_record,
    to_record,
    truncated,
)
from consumers.dead_letters.reading import read_dead_letters, replay_dead_letters
from consumers.dead_letters.writing import DeadLetterWriter
from consumers.errors import SalepulseError
from consumers.topic_admin import create_topics, default_plans
from consumers.unpacking.record import TRUNCATION_BYTES, Truncation
from tests.support.servers import Server


def letter(offset: int, **changes: object) -> DeadLetter:
    facts = {
        "topic": "orders",
        "partition": 1,
        "offset": offset,
        "key": b"o-1",
        "value": b'{"ts":"x"}',
        "reason": "wrong_type",
        "detail": "`ts` is no integer",
        "rejected_at_ms": 1_000 + offset,
        "timestamp_ms": 900,
    }
    return DeadLetter(**{**facts, **changes})  # type: ignore[arg-type]


letters = st.builds(
    DeadLetter,
    topic=st.sampled_from(["orders", "clicks"]),
    partition=st.integers(0, 99),
    offset=st.integers(0, 2**60),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    reason=st.sampled_from(["empty", "a reason of another version"]),
    detail=st.text(st.characters(exclude_categories=["Cs"])),
    rejected_at_ms=st.integers(0, 2**60),
    timestamp_ms=st.none() | st.integers(0, 2**60),
    headers=st.lists(
        st.tuples(st.sampled_from(["trace", "salepulse-topic", "salepulse-headers", ""]), st.none() | st.binary()),
        max_size=4,
    ).map(tuple),
    truncation=st.none() | st.builds(Truncation, size=st.integers(0, 2**40), sha256=st.just("ab" * 32)),
    last_offset=st.none() | st.integers(0, 2**60),
)


@given(letter=letters)
def test_a_dead_letter_round_trips_through_its_message(letter: DeadLetter) -> None:
    found = from_record(to_record(letter))
    assert found is not None
    assert replace(found, headers=tuple(found.headers)) == letter


@given(letter=letters)
def test_key_and_value_are_the_original_bytes(letter: DeadLetter) -> None:
    message = to_record(letter)
    assert message.key == letter.key
    assert message.value == letter.value or (letter.key, letter.value, message.value) == (None, None, b"")


def test_a_message_of_another_system_is_not_a_dead_letter() -> None:
    assert from_record(DeadLetterRecord(b"k", b"v", [])) is None
    assert (
        from_record(DeadLetterRecord(b"k", b"v", [("salepulse-topic", b"orders"), ("salepulse-offset", b"x")])) is None
    )


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (DeadLetterFilter(), True),
        (DeadLetterFilter(reasons={"wrong_type"}, topics={"orders"}, ids={"orders/1/7"}, since_ms=1_007), True),
        (DeadLetterFilter(reasons={"empty"}), False),
        (DeadLetterFilter(topics={"clicks"}), False),
        (DeadLetterFilter(ids={"orders/1/8"}), False),
        (DeadLetterFilter(since_ms=1_008), False),
    ],
)
def test_a_filter_selects_letters_that_meet_every_condition(selection: DeadLetterFilter, selected: bool) -> None:
    assert selection.matches(letter(7)) is selected


async def read_all(bootstrap: str, selection: DeadLetterFilter | None = None) -> list[DeadLetter]:
    return sorted(
        [found async for found in read_dead_letters(bootstrap, selection or DeadLetterFilter())],
        key=lambda one: one.offset,
    )


@pytest.mark.anyio
async def test_a_letter_written_twice_is_read_once(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    written = [
        letter(0),
        letter(1, key=None, value=None),
        letter(2, value=None),
        letter(3, key=None, value=b""),
        letter(4, value=b"\xff" * 3_000_000),
        *(letter(n, key=f"k{n}".encode()) for n in range(5, 300)),
    ]
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write(written[:100])
        await writer.write(written)
        await writer.write([])
    assert await read_all(broker.bootstrap) == written
    assert await read_all(broker.bootstrap, DeadLetterFilter(ids={"orders/1/4"})) == [written[4]]


@pytest.mark.anyio
async def test_equal_offsets_of_a_re_created_topic_are_different_letters(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([letter(0), letter(0, timestamp_ms=901)])
    assert len(await read_all(broker.bootstrap)) == 2


@pytest.mark.anyio
async def test_replay_sends_the_original_bytes_and_the_letters_id(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([letter(0), letter(1, value=b"\xff\x00", key=b"\xfe"), letter(2, reason="empty")])
    resent = await replay_dead_letters(broker.bootstrap, DeadLetterFilter(reasons={"wrong_type"}))
    assert (resent.sent, resent.withheld) == ({"orders": 2}, [])
    records = await read_records(broker.bootstrap, "orders", 2)
    assert [(record.key, record.value) for record in records] == [(b"o-1", b'{"ts":"x"}'), (b"\xfe", b"\xff\x00")]
    assert [dict(record.headers)[REPLAYED_HEADER] for record in records] == [b"orders/1/0", b"orders/1/1"]
    assert len(await read_all(broker.bootstrap)) == 3


@pytest.mark.anyio
async def test_replay_sends_a_message_without_key_and_value_as_it_was(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(3))
    lately = int(time.time() * 1000) - 3_600_000
    async with DeadLetterWriter(broker.bootstrap) as writer:
        empty = {"key": None, "partition": 2, "timestamp_ms": lately}
        await writer.write([letter(0, value=None, headers=[("trace", b"7")], **empty), letter(1, value=b"", **empty)])
    assert (await replay_dead_letters(broker.bootstrap, DeadLetterFilter())).sent == {"orders": 2}
    records = await read_records(broker.bootstrap, "orders", 2, partition=2)
    found = {dict(record.headers)[REPLAYED_HEADER]: record for record in records}
    nothing, blank = found[b"orders/2/0"], found[b"orders/2/1"]
    assert (nothing.key, nothing.value, nothing.timestamp) == (None, None, lately)
    assert dict(nothing.headers)["trace"] == b"7"
    assert (blank.key, blank.value) == (None, b"")


@pytest.mark.anyio
async def test_replay_sends_each_message_to_the_partition_that_it_came_from(broker: Server) -> None:
    """Workers deduplicate within a partition, and a message without a key would go to another one each time."""
    await create_topics(broker.bootstrap, default_plans(4))
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([letter(n, key=None if n % 2 else b"o-%d" % n, partition=2) for n in range(10)])
        await writer.write([letter(10, key=b"o-2", partition=9)])  # its key belongs to another partition
    assert (await replay_dead_letters(broker.bootstrap, DeadLetterFilter())).sent == {"orders": 11}
    records = await read_records(broker.bootstrap, "orders", 10, partition=2)
    assert {dict(record.headers)[REPLAYED_HEADER] for record in records} >= {b"orders/2/%d" % n for n in range(10)}


@pytest.mark.anyio
async def test_replay_restores_headers_and_timestamp_after_repeated_rejection(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    headers = [
        ("trace", b"7"),
        ("trace", b"8"),
        ("salepulse-topic", b"mine"),
        ("salepulse-headers", b"9"),
        ("none", None),
    ]
    now_ms = int(time.time() * 1000)
    lately, in_a_day = now_ms - 3_600_000, now_ms + 86_400_000
    written = [
        letter(0, headers=headers, timestamp_ms=lately),
        letter(1, timestamp_ms=lately - 1),
        letter(2, timestamp_ms=1_700_000_000_000),
        letter(3, timestamp_ms=in_a_day),
        letter(4, timestamp_ms=None),
    ]
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write(written)
    assert [one.headers for one in await read_all(broker.bootstrap)] == [headers, (), (), (), ()]
    assert await read_all(broker.bootstrap) == written
    assert (await replay_dead_letters(broker.bootstrap, DeadLetterFilter())).sent == {"orders": 5}
    records = {
        dict(record.headers)[REPLAYED_HEADER]: record for record in await read_records(broker.bootstrap, "orders", 5)
    }
    first, second, old, _future, unknown = (records[b"orders/1/%d" % n] for n in range(5))
    assert list(first.headers) == [*headers, (REPLAYED_HEADER, b"orders/1/0")]
    assert (first.timestamp, second.timestamp) == (lately, lately - 1)
    assert dict(old.headers)[TIMESTAMP_HEADER] == b"1700000000000", (
        "the broker would delete it at once because of its timestamp"
    )
    assert old.timestamp >= now_ms
    assert unknown.timestamp >= now_ms


@pytest.mark.anyio
@pytest.mark.kafka
async def test_replay_drops_a_timestamp_that_the_broker_refuses(apache_kafka: Server) -> None:
    await create_topics(apache_kafka.bootstrap, default_plans(1))
    in_a_day = int(time.time() * 1000) + 86_400_000
    async with DeadLetterWriter(apache_kafka.bootstrap) as writer:
        await writer.write([letter(0, timestamp_ms=in_a_day), letter(1, timestamp_ms=in_a_day - 86_400_000)])
    assert (await replay_dead_letters(apache_kafka.bootstrap, DeadLetterFilter())).sent == {"orders": 2}
    found = await read_records(apache_kafka.bootstrap, "orders", 2)
    ahead, good = (dict(record.headers) for record in found)
    assert ahead[TIMESTAMP_HEADER] == str(in_a_day).encode()
    assert TIMESTAMP_HEADER not in good
    assert found[1].timestamp == in_a_day - 86_400_000
    # A message that is rejected again keeps its original timestamp and has the id of its newest dead letter.
    again = letter(7, headers=list(ahead.items()), timestamp_ms=None)
    async with DeadLetterWriter(apache_kafka.bootstrap) as writer:
        await writer.write([again])
    await replay_dead_letters(apache_kafka.bootstrap, DeadLetterFilter(ids={again.id}))
    (_, _, third) = await read_records(apache_kafka.bootstrap, "orders", 3)
    assert sorted(third.headers) == sorted({**ahead, REPLAYED_HEADER: b"orders/1/7"}.items())


@pytest.mark.anyio
async def test_replay_skips_truncated_letters(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    truncation, batch = truncated(letter(0, value=b"x" * 70_000)), letter(1, last_offset=9, reason="unreadable_batch")
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([truncation, batch, letter(2)])
    assert await read_all(broker.bootstrap) == [truncation, batch, letter(2)]
    resent = await replay_dead_letters(broker.bootstrap, DeadLetterFilter())
    assert (resent.sent, sorted(resent.withheld)) == ({"orders": 1}, ["orders/1/0", "orders/1/1"])


def test_a_truncated_letter_keeps_the_beginning_and_the_length_and_hash_of_the_whole() -> None:
    value = bytes(range(256)) * 1_000
    whole = letter(0, value=value, headers=[("a", b"1")])
    truncation = truncated(whole)
    assert (truncation.value, truncation.headers, truncation.key) == (
        value[:TRUNCATION_BYTES],
        whole.headers,
        whole.key,
    )
    assert truncation.truncation == Truncation(len(value), hashlib.sha256(value).hexdigest())
    assert truncated(truncation, 10).truncation == truncation.truncation, "of the whole"
    assert len(truncated(truncation, 10).value or b"") == 10
    assert truncated(letter(0, headers=[("a", b"x" * 70_000)])).headers == ()
    assert truncated(letter(0, key=b"k" * 70_000)).key == b"k" * TRUNCATION_BYTES
    assert truncated(letter(0, value=None)).value is None


@pytest.mark.anyio
@pytest.mark.kafka
async def test_small_letters_are_written_whole_even_if_their_batch_is_too_large(apache_kafka: Server) -> None:
    """Smaller than one batch of the producer."""
    plans = default_plans(1)
    config = {**plans[-1].config, "max.message.bytes": "90000"}
    await create_topics(apache_kafka.bootstrap, [*plans[:-1], replace(plans[-1], config=config)])
    small = [letter(n, value=b"%d" % n * 5_000) for n in range(30)]
    large = [letter(n, value=b"x" * 200_000, headers=[("h", b"y" * 60_000)]) for n in range(30, 33)]
    async with DeadLetterWriter(apache_kafka.bootstrap) as writer:
        await writer.write([*small, *large])
    found = await read_all(apache_kafka.bootstrap)
    assert found[:30] == small
    assert [(len(one.value or b""), one.truncation and one.truncation.size) for one in found[30:]] == [
        (2**10, 200_000)
    ] * 3


async def read_records(bootstrap: str, topic: str, count: int, partition: int = 0) -> list:  # type: ignore[type-arg]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.anyio
async def test_an_empty_topic_has_no_letters(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    assert await read_all(broker.bootstrap) == []


@pytest.mark.anyio
async def test_without_the_topic_the_error_says_how_to_create_it(embedded_broker: Server) -> None:
    with pytest.raises(SalepulseError, match=r"topic dead-letters does not exist .* `salepulse topics create`"):
        await DeadLetterWriter(embedded_broker.bootstrap).start()


@pytest.mark.anyio
async def test_without_a_broker_the_writer_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(SalepulseError, match=r"no Kafka broker answers at 127.0.0.1:1") as caught:
        await DeadLetterWriter("127.0.0.1:1").start()
    assert caught.value.retriable
