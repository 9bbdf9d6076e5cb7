"""Fields of a shop's own are decoded, checked and refused as those of the contract."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.decoding import CONTRACT, EventDecoder
from consumers.contract.events import MAX_MONEY, MAX_TS_MS
from consumers.contract.own_fields import CONTRACTS, FieldType, OwnFields, contract_with
from consumers.contract.rejection import RejectedMessage, RejectionError, RejectionReason, validate_event
from consumers.topics import EVENT_TOPICS, Topic
from tests.support.poison import encode, good, poison, with_raw

TYPES: dict[str, FieldType] = {
    "bank": FieldType.LABEL,
    "gift": FieldType.FLAG,
    "stamps": FieldType.COUNT,
    "tip": FieldType.MONEY,
    "wait_ms": FieldType.MILLISECONDS,
}
OWN: OwnFields = dict.fromkeys(EVENT_TOPICS, TYPES)
DECODER = EventDecoder(OWN)
VALUES: dict[str, Any] = {"bank": "north", "gift": True, "stamps": 3, "tip": 250, "wait_ms": 12}

every_topic = pytest.mark.parametrize("topic", EVENT_TOPICS)


def rejected(decoder: EventDecoder, topic: Topic, value: bytes) -> RejectedMessage:
    (message,) = decoder.decode_batch(topic, [value]).rejected
    return message


@every_topic
def test_events_have_the_own_fields_after_those_of_the_contract(topic: Topic) -> None:
    decoded = DECODER.decode_batch(topic, [good(topic, **VALUES), good(topic, tip=None), good(topic, other=1)])
    assert decoded.rejected == []
    assert [[getattr(event, name) for name in TYPES] for event in decoded.events] == [[*VALUES.values()]] + [
        [None] * 5
    ] * 2
    fields = CONTRACT.struct(topic).__struct_fields__
    assert DECODER.struct(topic).__struct_fields__ == (*fields, *TYPES)
    (of_contract,) = CONTRACT.decode_batch(topic, [good(topic, **VALUES)]).events
    assert msgspec.to_builtins(decoded.events[0]) == msgspec.to_builtins(of_contract) | VALUES


@every_topic
@pytest.mark.parametrize(
    ("name", "value", "reason", "part"),
    [
        ("bank", 5, RejectionReason.WRONG_TYPE, "`bank` is 5"),
        ("gift", 1, RejectionReason.WRONG_TYPE, "`gift` is 1"),
        ("gift", "true", RejectionReason.WRONG_TYPE, "`gift`"),
        ("stamps", 1.0, RejectionReason.WRONG_TYPE, "`stamps` is 1.0"),
        ("stamps", True, RejectionReason.WRONG_TYPE, "`stamps`"),
        ("stamps", -1, RejectionReason.OUT_OF_RANGE, "`stamps` is -1"),
        ("stamps", 10**9 + 1, RejectionReason.OUT_OF_RANGE, "`stamps`"),
        ("tip", -1, RejectionReason.OUT_OF_RANGE, "`tip` is -1"),
        ("tip", MAX_MONEY + 1, RejectionReason.OUT_OF_RANGE, "`tip`"),
        ("tip", 12.5, RejectionReason.WRONG_TYPE, "`tip` is 12.5: money is an integer of minor units"),
        ("wait_ms", MAX_TS_MS + 1, RejectionReason.OUT_OF_RANGE, "`wait_ms`"),
        ("wait_ms", "12", RejectionReason.WRONG_TYPE, "`wait_ms`"),
    ],
)
def test_a_wrong_type_or_range_refuses_the_event(
    topic: Topic, name: str, value: Any, reason: RejectionReason, part: str
) -> None:
    batch = DECODER.decode_batch(topic, [good(topic), good(topic, **{name: value}), good(topic)])
    assert batch.indexes == [0, 2]
    assert [message.reason for message in batch.rejected] == [reason]
    assert part in batch.rejected[0].detail
    assert CONTRACT.decode_batch(topic, [good(topic, **{name: value})]).rejected == []


@every_topic
def test_an_empty_label_is_absent_and_one_that_is_too_long_is_dropped(topic: Topic) -> None:
    batch = DECODER.decode_batch(
        topic, [good(topic, bank=""), good(topic, bank="x" * 128), good(topic, bank="x" * 129)]
    )
    assert [event.bank or None for event in batch.events] == [None, "x" * 128, None]
    assert batch.dropped_labels == [(2, "bank")]
    surrogate = rejected(DECODER, topic, with_raw(topic, "bank", b'"\\ud800"'))
    assert surrogate.reason is RejectionReason.BAD_ENCODING


@every_topic
def test_what_the_contract_refuses_is_refused_for_the_same_reason(topic: Topic) -> None:
    values = [value for value, _ in poison(Random(1), topic, 300)]
    assert DECODER.decode_batch(topic, values).rejected == CONTRACT.decode_batch(topic, values).rejected


@every_topic
def test_objects_are_decoded_like_messages(topic: Topic) -> None:
    event: dict[str, Any] = {**json.loads(good(topic)), **VALUES}
    objects = [event, {**event, "tip": None, "bank": ""}, {**event, "tip": -5}]
    assert DECODER.decode_objects(topic, objects) == DECODER.decode_batch(topic, [encode(found) for found in objects])


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3),
    st.sampled_from(["x" * 128, "x" * 129, "é" * 128, [], {}, [1]]),
)  # fmt: skip


@given(topic=st.sampled_from(EVENT_TOPICS), fields=st.dictionaries(st.sampled_from([*TYPES]), ANYTHING))
def test_fast_and_careful_decoding_agree(topic: Topic, fields: dict[str, Any]) -> None:
    value = good(topic, **fields)
    batch = DECODER.decode_batch(topic, [value])
    contract = contract_with(topic, OWN[topic])
    if batch.rejected:
        with pytest.raises(RejectionError) as refused:
            validate_event(contract, value)
        assert batch.rejected == [refused.value.to_rejected(0)]
        return
    validated, (event,) = validate_event(contract, value), batch.events
    dumped = validated.event.model_dump(by_alias=True)
    assert {name: getattr(event, name) or None for name in TYPES} == {name: dumped[name] or None for name in TYPES}
    assert [name for _, name in batch.dropped_labels] == validated.dropped_labels


def test_every_name_that_a_model_may_declare_can_be_read() -> None:
    names = ("class", "from", "copy", "json", "schema", "dict", "model_dump", "model_fields", "own_copy", "validate")
    decoder = EventDecoder({Topic.CLICKS: dict.fromkeys(names, FieldType.COUNT)})
    values = dict(zip(names, range(len(names)), strict=True))
    long = "x" * 129
    slow = good(Topic.CLICKS, **values, region=long)
    for event in decoder.decode_batch(Topic.CLICKS, [good(Topic.CLICKS, **values), slow]).events:
        assert [getattr(event, name) for name in names] == list(values.values())
    assert "`model_dump` is -1" in rejected(decoder, Topic.CLICKS, good(Topic.CLICKS, model_dump=-1)).detail


def test_the_load_time_of_a_page_has_the_limit_of_the_contract() -> None:
    decoder = EventDecoder({Topic.CLICKS: {"load_ms": FieldType.MILLISECONDS}})
    assert decoder.decode_batch(Topic.CLICKS, [good(Topic.CLICKS, load_ms=600_000)]).rejected == []
    too_long = rejected(decoder, Topic.CLICKS, good(Topic.CLICKS, load_ms=600_001))
    assert too_long.reason is RejectionReason.OUT_OF_RANGE


def test_topics_without_own_fields_are_decoded_by_the_contract_itself() -> None:
    decoder = EventDecoder({Topic.ORDERS: {"tip": FieldType.MONEY}})
    assert [decoder.struct(topic) is CONTRACT.struct(topic) for topic in EVENT_TOPICS] == [True, False, True]
    assert contract_with(Topic.ORDERS, {"tip": FieldType.MONEY}).topic is CONTRACTS[Topic.ORDERS].topic
