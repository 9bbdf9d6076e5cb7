"""The generated functions give what the getters give, for any values of any field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.compiling import compile_event, compile_field
from consumers.sources.file import EventMap
from consumers.sources.message import SourceMessage
from consumers.sources.targets import FIELD_KINDS
from consumers.sources.values import MappingError
from consumers.topics import Topic
from tests.consumers.sources.builders import parsed, source_with

FIELDS = """
  sku: {path: a}, category: {path: a.b, or: [c]}, channel: {path: a, map: {x: y, "1": one, "true": yes}, else: z},
  region: {path: c, map: {x: y}}, keyword: {value: k}, ad_unit: {join: [a, c]}, campaign: {path: "list[0]"},
  member: {path: a}, dwell_ms: {path: a}, cost: {path: a, money: major, or: [c]}, device: {header: h}
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
            value = compile_field(field, FIELD_KINDS[Topic.CLICKS][name], exponent)(message.root, message)
            if value is not None:
                made[name] = value
    except MappingError as error:
        return error.reason, f"`{name}`: {error.detail}"
    return made


@pytest.mark.parametrize(("event", "exponent"), EVENTS)
@given(root=st.fixed_dictionaries({}, optional={"a": VALUES, "c": VALUES, "list": VALUES}))
def test_every_object(event: EventMap, exponent: int, root: dict[str, Any]) -> None:
    message = SourceMessage(root, "t", 0, 0, [("h", b"header")])
    make = compile_event(event, exponent).make_one
    assert make is not None
    try:
        made: Any = make(root, message)
    except MappingError as error:
        made = error.reason, error.detail
    assert made == by_getters(event, exponent, message)


@given(
    st.lists(st.fixed_dictionaries({}, optional={"sku": VALUES, "qty": VALUES, "price": VALUES}) | VALUES, max_size=3),
    st.booleans(),
)
def test_items(lines: list[Any], with_condition: bool) -> None:
    when = "when: {qty: {above: 0}}, " if with_condition else ""
    item = "fields: {sku: {path: sku}, qty: {path: qty}, unit_price: {path: price, money: major}}"
    (event,) = parsed(source_with(f"items: {{each: lines, {when}{item}}}", to="orders")).sources[0].events or ()
    message = SourceMessage({"lines": lines}, "t", 0, 0)
    get = compile_field(event.fields["items"], FIELD_KINDS[Topic.ORDERS]["items"], 2)
    make = compile_event(event, 2).make_one
    assert make is not None
    expected, found = result(get, message), result(make, message)
    if isinstance(expected, MappingError):
        assert isinstance(found, MappingError)
        assert found.detail == f"`items`: {expected.detail}"
    else:
        assert found.get("items") == expected


def result(function: Any, message: SourceMessage) -> Any:
    try:
        return function(message.root, message)
    except MappingError as error:
        return error
