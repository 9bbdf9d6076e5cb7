"""A dead letter comes back exactly as it was refused, once, and can be sent again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letter_reading import read_dead_letters, replay_dead_letters
from consumers.dead_letter_writing import DeadLetterWriter
from consumers.dead_letters import (
    REPLAYED_HEADER,
    DeadLetter,
    Message,
    Selection,
    from_message,
    to_message,
)
from consumers.errors import SalepulseError
from consumers.skipped import Cut
from consumers.topic_admin import create_topics, default_plans
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
    cut=st.none() | st.builds(Cut, size=st.integers(0, 2**40), sha256=st.just("ab" * 32)),
    last_offset=st.none() | st.integers(0, 2**60),
)


@given(letter=letters)
def test_a_dead_letter_survives_its_message(letter: DeadLetter) -> None:
    found = from_message(to_message(letter))
    assert found is not None
    assert replace(found, headers=tuple(found.headers)) == letter


@given(letter=letters)
def test_key_and_value_are_the_original_bytes(letter: DeadLetter) -> None:
    message = to_message(letter)
    assert message.key == letter.key
    assert message.value == letter.value or (letter.key, letter.value, message.value) == (None, None, b"")


def test_a_message_of_somebody_else_is_no_dead_letter() -> None:
    assert from_message(Message(b"k", b"v", [])) is None
    assert from_message(Message(b"k", b"v", [("salepulse-topic", b"orders"), ("salepulse-offset", b"x")])) is None


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (Selection(), True),
        (Selection(reasons={"wrong_type"}, topics={"orders"}, ids={"orders/1/7"}, since_ms=1_007), True),
        (Selection(reasons={"empty"}), False),
        (Selection(topics={"clicks"}), False),
        (Selection(ids={"orders/1/8"}), False),
        (Selection(since_ms=1_008), False),
    ],
)
def test_a_selection_has_what_meets_every_condition(selection: Selection, selected: bool) -> None:
    assert selection.has(letter(7)) is selected


async def read_all(bootstrap: str, selection: Selection | None = None) -> list[DeadLetter]:
    return sorted([found async for found in read_dead_letters(bootstrap, selection)], key=lambda one: one.offset)


@pytest.mark.anyio
async def test_what_was_written_twice_is_read_once(broker: Server) -> None:
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
    assert await read_all(broker.bootstrap, Selection(ids={"orders/1/4"})) == [written[4]]


@pytest.mark.anyio
async def test_offsets_of_a_topic_made_anew_are_other_letters(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([letter(0), letter(0, timestamp_ms=901)])
    assert len(await read_all(broker.bootstrap)) == 2


@pytest.mark.anyio
async def test_replay_sends_the_original_bytes_and_says_where_from(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    async with DeadLetterWriter(broker.bootstrap) as writer:
        await writer.write([letter(0), letter(1, value=b"\xff\x00", key=b"\xfe"), letter(2, reason="empty")])
    sent = await replay_dead_letters(broker.bootstrap, Selection(reasons={"wrong_type"}))
    assert sent == {"orders": 2}
    records = await read_records(broker.bootstrap, "orders", 2)
    assert [(record.key, record.value) for record in records] == [(b"o-1", b'{"ts":"x"}'), (b"\xfe", b"\xff\x00")]
    assert [dict(record.headers)[REPLAYED_HEADER] for record in records] == [b"orders/1/0", b"orders/1/1"]
    assert len(await read_all(broker.bootstrap)) == 3


async def read_records(bootstrap: str, topic: str, count: int) -> list:  # type: ignore[type-arg]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.anyio
async def test_an_empty_topic_holds_no_letters(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(1))
    assert await read_all(broker.bootstrap) == []


@pytest.mark.anyio
async def test_without_the_topic_the_writer_says_how_to_make_it(embedded_broker: Server) -> None:
    with pytest.raises(SalepulseError, match=r"topic dead-letters does not exist .* `salepulse topics create`"):
        await DeadLetterWriter(embedded_broker.bootstrap).start()


@pytest.mark.anyio
async def test_without_a_broker_the_writer_says_so(tmp_path: Path) -> None:
    with pytest.raises(SalepulseError, match=r"no Kafka broker answers at 127.0.0.1:1") as caught:
        await DeadLetterWriter("127.0.0.1:1").start()
    assert caught.value.retriable
