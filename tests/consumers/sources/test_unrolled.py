"""The generated functions give what the getters give, or leave the message to them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.compiling import compile_field
from consumers.sources.conditions import compile_conditions
from consumers.sources.file import EventMap
from consumers.sources.message import SourceMessage
from consumers.sources.targets import FIELD_KINDS
from consumers.sources.unrolled import unroll
from consumers.sources.values import MappingError
from consumers.topics import Topic
from tests.consumers.sources.builders import PAID, SHOP, parsed, source_with

FIELDS = """
  sku: {path: a}, category: {path: a.b, or: [c]}, channel: {path: a, map: {x: y, "1": one, "true": yes}, else: z},
  region: {path: c, map: {x: y}}, keyword: {value: k}, live_room: {join: [a, c]}, campaign: {path: "list[0]"},
  member: {path: a}, dwell_ms: {path: a}, cost: {path: a, money: major, or: [c]}, device: {header: h},
  variant: {path: a.b.c, or: [/c.b, {join: [a, {value: k}, {record: true}], with: "-"}]}, ad_unit: {path: "a[b=x].c"}
"""
TIMES = ["ms", "s", "us", "iso"]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**16), 10**16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "1", "1.50", "-1.50", ".50", "１.50", "1.5", "true", "2026-11-11T00:00:00Z"])
    | st.just("1" * 50 + ".00")
    | st.text(max_size=5)
    | st.dictionaries(st.sampled_from("bc"), st.none() | st.text(max_size=3) | st.integers(), max_size=2)
    | st.lists(st.text(max_size=3) | st.integers(), max_size=2)
)


def event_map(time: str, exponent: int) -> tuple[EventMap, int]:
    text = source_with(f"{FIELDS}, ts: {{path: a, time: {time}, or: [c]}}").replace("ts: {value: 1794373200000}, ", "")
    events = parsed(text).sources[0].events
    assert events is not None
    return events[0], exponent


EVENTS = [event_map(time, exponent) for time in TIMES for exponent in (0, 2, 3)]


def by_getters(event: EventMap, exponent: int, message: SourceMessage) -> Any:
    """The fields of an event, or the error of the first field that fails."""
    made = {}
    try:
        for name, field in event.fields.items():
            value = compile_field(field, FIELD_KINDS[Topic(event.to)][name], exponent)(message.root, message)
            if value is not None:
                made[name] = value
    except MappingError as error:
        return error.reason, f"`{name}`: {error.detail}"
    return made


def by_function(event: EventMap, exponent: int, message: SourceMessage) -> Any:
    """The same by the generated function; None if it leaves the message to the getters."""
    picked = unroll([event], exponent)
    assert picked is not None
    (make,) = picked.makers
    try:
        given = make(msgspec.json.decode(msgspec.json.encode(message.root), type=picked.bare), message)
        assert given == make(msgspec.convert(message.root, picked.struct), message)
    except (MappingError, msgspec.ValidationError):
        return None
    return None if given is None else without_absent(given)


def without_absent(made: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in made.items() if value is not None}
    if "items" in given:
        given["items"] = [without_absent(item) for item in given["items"]]
    return given


def assert_same(event: EventMap, exponent: int, root: dict[str, Any]) -> None:
    message = SourceMessage(msgspec.json.decode(msgspec.json.encode(root)), "t", 0, 0, [("h", b"header")])
    made = by_function(event, exponent, message)
    matches = compile_conditions(event.when)
    if made is not None:
        assert matches is None or matches(message.root, message)
        assert made == by_getters(event, exponent, message)


@pytest.mark.parametrize(("event", "exponent"), EVENTS)
@given(root=st.fixed_dictionaries({}, optional={"a": VALUES, "c": VALUES, "list": VALUES}))
def test_every_object(event: EventMap, exponent: int, root: dict[str, Any]) -> None:
    assert_same(event, exponent, root)


CONDITIONS = (
    "a: x", "a: [x, '1']", "a: {none_of: [x]}", "a: {above: 0}", "a: {at_least: 1, below: 2}", "a.b: {present: true}",
    "a: {within: 10m, of: c}", "a: {one_of: [x], present: true}", "'header:h': header", "list: {present: false}",
    "'list[0]': {present: true}", "'a[b=x]': {present: true}", "a: x, c: {none_of: [y]}",
)  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
@given(root=st.fixed_dictionaries({}, optional={"a": VALUES, "c": VALUES, "list": VALUES}))
def test_conditions(condition: str, root: dict[str, Any]) -> None:
    text = source_with("sku: {path: c}").replace("fields:", f"when: {{{condition}}}\n        fields:")
    (event,) = parsed(text).sources[0].events or ()
    message = SourceMessage(msgspec.json.decode(msgspec.json.encode(root)), "t", 0, 0, [("h", b"header")])
    matches = compile_conditions(event.when)
    assert matches is not None
    made = by_function(event, 2, message)
    assert made is None or matches(message.root, message)
    assert_same(event, 2, root)


ITEMS = (
    "each: lines, fields: {sku: {path: sku}, qty: {path: qty}, unit_price: {path: price, money: major}}",
    "each: lines, when: {qty: {above: 0}}, fields: {sku: {path: sku}, qty: {path: qty}, unit_price: {path: price}}",
    "each: lines, fields: {sku: {path: sku, or: [/other, 'id[0]']}, qty: {value: 1}, unit_price: {path: /sku.qty}}",
)


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("when", ["", "lines: {present: true}", "'lines[0].qty': {above: 0}"])
@given(
    st.lists(st.fixed_dictionaries({}, optional={"sku": VALUES, "qty": VALUES, "price": VALUES}) | VALUES, max_size=3),
    VALUES,
)
def test_items(items: str, when: str, lines: list[Any], other: Any) -> None:
    total = "discount: {each: lines, sum: {path: price, money: major}}"
    text = source_with(f"items: {{{items}}}, {total}", to="orders")
    text = text.replace("fields:", f"when: {{{when}}}\n        fields:", 1) if when else text
    (event,) = parsed(text).sources[0].events or ()
    assert_same(event, 2, {"lines": lines, "other": other, "sku": other})


def test_usual_messages_are_left_to_no_getter() -> None:
    (event, _), *_ = EVENTS
    root = {"a": "x", "c": "x", "list": ["1"]}
    assert by_function(event, 2, SourceMessage(root, "t", 0, 0, [("h", b"header")])) is None  # `member` is no boolean
    picked = unroll(parsed(SHOP).sources[0].events or (), 2)
    assert picked is not None
    (make,) = picked.makers
    assert make(msgspec.convert(PAID, picked.struct), SourceMessage(PAID, "t", 0, 0)) is not None


@pytest.mark.parametrize("mark", ["payload", "specversion", "op"])
def test_messages_with_an_envelope_are_not_picked(mark: str) -> None:
    picked = unroll(parsed(SHOP).sources[0].events or (), 2)
    assert picked is not None
    for value in (None, {}, "x", 1):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode({**PAID, mark: value}), type=picked.bare)
