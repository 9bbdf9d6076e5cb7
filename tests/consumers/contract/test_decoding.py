"""Every value of a batch becomes an event or a rejection; fast and careful decoding agree."""

from __future__ import annotations

import gc
import json
import re
import time
from random import Random
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from consumers.contract.decoding import STRUCTS, DecodedBatch, PromotionChange, decode_batch, decode_promotion
from consumers.contract.events import EVENT_MODELS, EVENT_TYPES, ITEM_LABELS, OPTIONAL_LABELS, OrderItem, order_amount
from consumers.contract.rejection import RejectedMessage, RejectionReason
from consumers.topics import EVENT_TOPICS, Topic
from tests.support.poison import GOOD, encode, good, nested, poison, with_raw

every_topic = pytest.mark.parametrize("topic", EVENT_TOPICS)


def reason_of(topic: Topic, value: bytes | None) -> RejectionReason | None:
    decoded = decode_batch(topic, [value])
    assert len(decoded.events) + len(decoded.rejected) == 1
    return decoded.rejected[0].reason if decoded.rejected else None


@every_topic
def test_an_event_has_the_contracts_fields_and_none_for_absent_ones(topic: Topic) -> None:
    decoded = decode_batch(topic, [good(topic, source=None, unheard_of=[1, {"a": 2}])])
    (event,) = decoded.events
    assert decoded.indexes == [0]
    assert decoded.rejected == []
    assert event.type == GOOD[topic]["type"]
    assert event.source is None
    for name in EVENT_MODELS[topic].model_fields:
        assert hasattr(event, name)


def test_absent_fields_of_logistics_events_are_none() -> None:
    (event,) = decode_batch(
        Topic.LOGISTICS,
        [b'{"event_id":"l","type":"shipment_delayed","ts":0,"order_id":"o-1"}'],
    ).events
    names = ("region", "qty", "sku", "warehouse", "carrier", "promised_ts", "on_hand", "delta")
    assert [getattr(event, name) for name in names] == [None] * len(names)
    assert event.order_id == "o-1"


def test_only_orders_have_amounts() -> None:
    values = [good(Topic.ORDERS), b"", good(Topic.ORDERS, shipping_fee=500, discount=None)]
    decoded = decode_batch(Topic.ORDERS, values)
    assert decoded.amounts == [2 * 12_900 - 3_000, 2 * 12_900 + 500]
    assert decoded.indexes == [0, 2]
    assert decode_batch(Topic.CLICKS, [good(Topic.CLICKS)]).amounts is None


@every_topic
def test_an_empty_batch_decodes_to_nothing(topic: Topic) -> None:
    decoded = decode_batch(topic, [])
    assert (decoded.events, decoded.indexes, decoded.rejected) == ([], [], [])


@every_topic
def test_every_kind_of_poison_is_rejected_with_its_reason(topic: Topic) -> None:
    for value, reason in poison(Random(7), topic, 120):
        assert reason_of(topic, value) == reason, (value or b"")[:200]


@every_topic
def test_poison_does_not_affect_other_messages_of_its_batch(topic: Topic) -> None:
    rng = Random(11)
    bad = poison(rng, topic, 80)
    batch: list[tuple[bytes | None, RejectionReason | None]] = [
        (good(topic, event_id=f"e-{i}"), None) for i in range(800)
    ]
    for value, reason in bad:
        batch.insert(rng.randrange(len(batch)), (value, reason))

    decoded = decode_batch(topic, [value for value, _ in batch])

    assert [(r.index, r.reason) for r in decoded.rejected] == [(i, why) for i, (_, why) in enumerate(batch) if why]
    assert decoded.indexes == [i for i, (_, why) in enumerate(batch) if why is None]
    assert [event.event_id for event in decoded.events] == [f"e-{i}" for i in range(800)]


@every_topic
def test_a_detail_names_the_field_and_is_short(topic: Topic) -> None:
    (rejected,) = decode_batch(topic, [good(topic, ts="x" * 10_000)]).rejected
    assert rejected.detail.startswith('`ts` is "xxx')
    assert rejected.detail.endswith("write a whole number")
    assert all(
        len(r.detail) <= 300 for value, _ in poison(Random(3), topic, 100) for r in rejected_messages(topic, value)
    )


@every_topic
def test_a_detail_is_an_instruction_without_library_wording(topic: Topic) -> None:
    faults: list[dict[str, Any]] = [
        {"event_id": ""},
        {"event_id": "x" * 129},
        {"event_id": 5},
        {"ts": "x"},
        {"ts": -1},
        {"ts": 10**15},
        {"type": 5},
        {"region": 5},
        {"items": [5]} if topic is Topic.ORDERS else {"source": []},
        {"items": []} if topic is Topic.ORDERS else {"source": {}},
        {"items": {}} if topic is Topic.ORDERS else {"source": True},
    ]
    for fault in faults:
        (rejected,) = rejected_messages(topic, good(topic, **fault))
        assert not re.search(r"should|valid|Input|dictionary|instance", rejected.detail), rejected.detail
        assert re.search(r": (write|send|it must|it is) ", rejected.detail) or "takes" in rejected.detail


def rejected_messages(topic: Topic, value: bytes | None) -> list[RejectedMessage]:
    return decode_batch(topic, [value]).rejected


ACCEPTED = {
    "the longest id": ("event_id", '"' + "x" * 128 + '"'),
    "128 characters of more than one byte": ("event_id", '"' + "😀" * 128 + '"'),
    "an escaped pair of surrogates": ("event_id", r'"\ud83d\ude00"'),
    "an unknown number that no double holds": ("extra", "1e999"),
    "an unknown integer of 5,000 digits": ("extra", "9" * 5_000),
    "an unknown unpaired surrogate": ("extra", r'"\ud800"'),
    "31 more levels": ("extra", nested(31).decode()),
    "brackets in a string": ("extra", '"' + "[{" * 100 + '\\""'),
    "minus zero": ("ts", "-0"),
    "the last millisecond": ("ts", "16725225600000"),
    "spaces around": ("ts", " \n 5\t"),
}


@every_topic
@pytest.mark.parametrize("case", ACCEPTED)
def test_unusual_but_valid_events_are_accepted(topic: Topic, case: str) -> None:
    name, raw = ACCEPTED[case]
    assert reason_of(topic, with_raw(topic, name, raw.encode())) is None


@every_topic
def test_the_last_value_of_a_repeated_field_applies(topic: Topic) -> None:
    (event,) = decode_batch(topic, [with_raw(topic, "ts", b'"x","ts":5')]).events
    assert event.ts == 5
    assert isinstance(event, STRUCTS[topic])


@every_topic
def test_32_levels_are_accepted_and_33_are_rejected_whatever_the_strings_contain(topic: Topic) -> None:
    fine = b'["]",' * 30 + b"1" + b"]" * 30
    assert reason_of(topic, with_raw(topic, "extra", b"[" + fine + b"]")) is None
    assert reason_of(topic, with_raw(topic, "extra", b"[[" + fine + b"]]")) is RejectionReason.TOO_DEEP


@every_topic
def test_a_message_of_one_mib_is_accepted_and_one_byte_more_is_not(topic: Topic) -> None:
    room = 2**20 - len(good(topic, extra=""))
    assert reason_of(topic, good(topic, extra="x" * room)) is None
    assert reason_of(topic, good(topic, extra="x" * (room + 1))) is RejectionReason.TOO_LARGE


def test_the_first_of_several_reasons_is_reported() -> None:
    assert reason_of(Topic.CLICKS, good(Topic.CLICKS, type="nope", ts=None)) is RejectionReason.UNKNOWN_TYPE
    assert reason_of(Topic.CLICKS, good(Topic.CLICKS, ts="x", user_id=None, cost=-1)) is RejectionReason.MISSING_FIELD
    assert reason_of(Topic.CLICKS, good(Topic.CLICKS, ts="x", cost=-1)) is RejectionReason.WRONG_TYPE


def optional_texts(model: type[BaseModel]) -> set[str]:
    return {name for name, hint in get_type_hints(model).items() if set(get_args(hint)) == {str, type(None)}}


def test_every_optional_text_field_is_an_optional_label() -> None:
    """Except the currency, which is never dropped."""
    for topic, model in EVENT_MODELS.items():
        assert optional_texts(model) - {"currency"} == set(OPTIONAL_LABELS[topic])
    assert optional_texts(OrderItem) == set(ITEM_LABELS)
    assert {"category", "reason"} <= optional_texts(EVENT_MODELS[Topic.LOGISTICS])


@every_topic
def test_an_empty_label_is_absent_and_one_too_long_is_dropped_and_named(topic: Topic) -> None:
    for name in OPTIONAL_LABELS[topic]:
        if topic is Topic.LOGISTICS and name in ("sku", "warehouse", "order_id"):
            continue  # covered by the next test
        batch = [good(topic), good(topic, **{name: ""}), good(topic, **{name: "x" * 129}), good(topic)]
        decoded = decode_batch(topic, batch)
        assert (decoded.indexes, decoded.rejected) == ([0, 1, 2, 3], [])
        assert [getattr(event, name) or None for event in decoded.events[1:3]] == [None, None]
        assert decoded.dropped_labels == [(2, name)]
        assert {type(event) for event in decoded.events} == {STRUCTS[topic]}


def test_a_label_that_a_type_requires_is_strict_on_that_type_only() -> None:
    shipped = {"event_id": "l", "type": "shipment_delayed", "ts": 0, "order_id": "o-1"}
    for bad in ("", "x" * 129):
        decoded = decode_batch(Topic.LOGISTICS, [encode({**shipped, "sku": bad, "warehouse": bad})])
        assert len(decoded.events) == 1
        assert decoded.dropped_labels == [(0, name) for name in ("sku", "warehouse") if bad]
        assert reason_of(Topic.LOGISTICS, encode({**shipped, "order_id": bad})) is RejectionReason.OUT_OF_RANGE
        assert reason_of(Topic.LOGISTICS, good(Topic.LOGISTICS, order_id=bad)) is None
        for name in ("sku", "warehouse"):
            assert reason_of(Topic.LOGISTICS, good(Topic.LOGISTICS, **{name: bad})) is RejectionReason.OUT_OF_RANGE


def test_labels_of_items_are_dropped_one_by_one() -> None:
    items = [
        {"sku": "s", "qty": 1, "unit_price": 1, "category": category} for category in ("x" * 129, "", "a", "y" * 999)
    ]
    for odd in ({}, {"ts": 5}):  # decoded fast and with the model: the last of two `ts` applies in both
        value = good(Topic.ORDERS, items=items, discount=0, campaign="z" * 129, **odd)
        decoded = decode_batch(Topic.ORDERS, [b"{" + b'"ts":"x",' * len(odd) + value[1:]])
        assert sorted(decoded.dropped_labels) == [(0, "campaign"), (0, "items.category"), (0, "items.category")]
        assert [item.category or None for item in decoded.events[0].items] == [None, None, "a", None]
        assert decoded.amounts == [4]


def test_a_batch_whose_labels_are_all_too_long_is_still_decoded_fast() -> None:
    values = [good(Topic.CLICKS, event_id=f"e-{i}", campaign="x" * 129) for i in range(20_000)]
    began = time.process_time()
    assert len(decode_batch(Topic.CLICKS, values).dropped_labels) == 20_000
    assert time.process_time() - began < 1


def test_1000_items_are_accepted() -> None:
    item = {"sku": "s", "qty": 1, "unit_price": 10**12}
    decoded = decode_batch(Topic.ORDERS, [good(Topic.ORDERS, items=[item] * 1000, discount=0)])
    assert decoded.amounts == [10**15]


def test_a_message_full_of_faults_is_rejected_at_its_first() -> None:
    value = (
        b'{"event_id":"e","type":"order_paid","ts":1,"order_id":"o","user_id":"u","items":['
        + b"{}," * 300_000
        + b"{}]}"
    )
    began = time.process_time()
    assert reason_of(Topic.ORDERS, value) is RejectionReason.MISSING_FIELD
    phases = {**PROMOTION, "phases": [{}] * 200_000, "skus": [1] * 50_000}
    assert isinstance(decode_promotion(b"d11", encode(phases)), RejectedMessage)
    assert time.process_time() - began < 1


# ---- fast and careful agree ----

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 10**9, 10**9 + 1, 10**15, 10**15 + 1, 16_725_225_600_000, 2**63, 2**64, 10**30])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["x" * 128, "x" * 129, "é", *EVENT_TYPES[Topic.ORDERS], *EVENT_TYPES[Topic.LOGISTICS]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def objects(draw: st.DrawFn, topic: Topic) -> dict[str, Any]:
    """A valid event with some fields replaced, added or removed, also in its items."""
    event = json.loads(json.dumps(GOOD[topic]))
    names = st.sampled_from(sorted(EVENT_MODELS[topic].model_fields))
    event["type"] = draw(st.sampled_from(sorted(EVENT_TYPES[topic])))
    likely = st.sampled_from([0, 1, 250, "w-1", "", "x" * 129, True, None])
    for name in draw(st.lists(names, max_size=4)):
        event[name] = draw(likely | json_values)
    for name in draw(st.lists(names, max_size=1)):
        event.pop(name, None)
    if topic is Topic.ORDERS and isinstance(event.get("items"), list) and draw(st.booleans()):
        item = {"sku": "s", "qty": 1, "unit_price": 1}
        likely = st.sampled_from(["", "x" * 129])
        item[draw(st.sampled_from(["sku", "qty", "unit_price", "cost", "category", "extra"]))] = draw(
            likely | json_values
        )
        event["items"].append(item)
    return event  # type: ignore[no-any-return]


@every_topic
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_the_decoder_accepts_what_the_model_accepts_with_the_same_fields(topic: Topic, data: st.DataObject) -> None:
    found = data.draw(objects(topic))
    decoded = decode_batch(topic, [encode(found)])
    assert sorted(decoded.dropped_labels) == (
        [] if decoded.rejected else sorted((0, name) for name in too_long(topic, found))
    )
    try:
        model = EVENT_MODELS[topic].model_validate(found)
    except ValidationError:
        assert decoded.events == []
        assert decoded.rejected[0].reason in set(RejectionReason) - {RejectionReason.BAD_JSON, RejectionReason.EMPTY}
        return
    assert decoded.rejected == []
    assert_same(decoded, model)


def too_long(topic: Topic, event: dict[str, Any]) -> list[str]:
    """The labels that must be dropped, computed without the product's code."""
    required = {
        "shipment_delayed": {"order_id"},
        "shipment_delivered": {"order_id"},
        "shipment_dispatched": {"order_id"},
    }
    strict = {"event_id", "type", "user_id", "session_id", "currency"} | required.get(event["type"], set())
    if topic is Topic.ORDERS:
        strict |= {"order_id"}
    elif event["type"].startswith("stock_"):
        strict |= {"sku", "warehouse"}
    elif event["type"] == "return_received":
        strict |= {"order_id", "sku"}
    names = set(EVENT_MODELS[topic].model_fields) - strict
    found = [name for name in names if isinstance(event.get(name), str) and len(event[name]) > 128]
    categories = [item.get("category") or "" for item in event.get("items") or () if topic is Topic.ORDERS]
    return found + ["items.category" for category in categories if len(category) > 128]


def assert_same(decoded: DecodedBatch, model: Any) -> None:
    (event,) = decoded.events
    for name in type(model).model_fields:
        expected = getattr(model, name)
        found = getattr(event, name)
        if name == "items":
            assert [fields(item) for item in found] == [item.model_dump() for item in expected]
        else:
            found, expected = (
                None if given == "" else given for given in (found, expected)
            )  # an empty label is absent
            assert (type(found), found) == (type(expected), expected), name
    if decoded.amounts is not None:
        assert decoded.amounts == [order_amount(model)]


def fields(struct: Any) -> dict[str, Any]:
    found = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return {name: None if value == "" else value for name, value in found.items()}


@every_topic
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_bytes_decode_to_an_event_or_a_rejection(topic: Topic, data: st.DataObject) -> None:
    value = bytearray(good(topic))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value)))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"1", b"-", b"e", b"\xff", b"\n"])
            | st.binary(max_size=2)
        )
    decoded = decode_batch(topic, [bytes(value), good(topic)])
    assert len(decoded.events) + len(decoded.rejected) == 2
    assert decoded.indexes[-1] == 1


# ---- promotions ----

PROMOTION = {
    "promotion_id": "d11",
    "name": "Double 11",
    "starts_at": 1_000,
    "ends_at": 2_000,
    "timezone": "Asia/Shanghai",
}


def promotion_reason(**changes: Any) -> RejectionReason | None:
    change = decode_promotion(b"d11", encode({**PROMOTION, **changes}))
    return change.reason if isinstance(change, RejectedMessage) else None


def test_a_promotion_message_defines_the_promotion() -> None:
    phases = [{"name": "opening", "starts_at": 1_000, "ends_at": 1_500}]
    targets = {"base": 1, "sprint": 2, "challenge": 3}
    change = decode_promotion(b"d11", encode({**PROMOTION, "phases": phases, "targets": targets, "skus": ["s-9"]}))
    assert isinstance(change, PromotionChange)
    assert change.promotion is not None
    assert (change.promotion_id, change.promotion.name) == ("d11", "Double 11")
    assert change.promotion.phases is not None
    assert change.promotion.phases[0].ends_at == 1_500
    assert change.promotion.skus == ("s-9",)


def test_a_null_value_deletes_the_promotion_of_its_key() -> None:
    assert decode_promotion(b"d11", None) == PromotionChange("d11", None)


def test_a_missing_key_is_taken_from_the_value() -> None:
    change = decode_promotion(None, encode(PROMOTION))
    assert isinstance(change, PromotionChange)
    assert change.promotion_id == "d11"


def test_invalid_promotions_are_rejected() -> None:
    assert promotion_reason(ends_at=1_000) is RejectionReason.OUT_OF_RANGE
    assert promotion_reason(timezone="Asia/Beijing2") is RejectionReason.OUT_OF_RANGE
    assert promotion_reason(timezone="../../etc/passwd") is RejectionReason.OUT_OF_RANGE
    assert promotion_reason(name=None) is RejectionReason.MISSING_FIELD
    assert promotion_reason(phases={}) is RejectionReason.WRONG_TYPE
    assert promotion_reason(phases=[{"name": "x", "starts_at": 5, "ends_at": 4}]) is RejectionReason.OUT_OF_RANGE
    assert promotion_reason(skus=[1]) is RejectionReason.WRONG_TYPE
    assert promotion_reason(targets={"base": -1, "sprint": 0, "challenge": 0}) is RejectionReason.OUT_OF_RANGE
    assert promotion_reason(promotion_id="other") is RejectionReason.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, None, RejectionReason.EMPTY),
        (b"d11", b"", RejectionReason.EMPTY),
        (b"\xff", None, RejectionReason.OUT_OF_RANGE),
        (b"", None, RejectionReason.OUT_OF_RANGE),
        (b"d11", b"[" * 200_000, RejectionReason.TOO_DEEP),
        (b"d11", b"[]", RejectionReason.NOT_AN_OBJECT),
        (b"d11", b"\xff", RejectionReason.BAD_ENCODING),
    ],
)
def test_promotion_messages_with_a_bad_key_or_value_are_rejected(
    key: bytes | None, value: bytes | None, reason: RejectionReason
) -> None:
    change = decode_promotion(key, value)
    assert isinstance(change, RejectedMessage)
    assert change.reason is reason


@every_topic
def test_rejected_messages_are_freed_without_garbage_collection(topic: Topic) -> None:
    """Without reference cycles: workers rarely run the garbage collector, and a message has up to 1 MiB."""
    messages = [value for value, _ in poison(Random(7), topic, 120)]
    messages += [good(topic, channel="x" * 200)]
    gc.collect()
    gc.disable()
    try:
        for value in messages:
            decode_batch(topic, [value])
        assert gc.collect() == 0
    finally:
        gc.enable()
