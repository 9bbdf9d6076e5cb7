"""Messages in envelopes make the same events with openers as without them, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.source import CompiledSource
from consumers.unpacking.record import Record
from tests.consumers.sources.builders import PAID, SHOP, compiled

HEADERS = """
          reason: {header: __op, or: [{header: __table}, {header: ce_type}, {header: ce_extra}]}
          campaign: {header: ce_time, or: [{header: __db}]}
          variant: {header: ce_source}
"""
ENVELOPES = ["", "none", "debezium", "cloudevents", "connect"]
ODD = st.none() | st.integers(0, 9) | st.text(max_size=3) | st.just({}) | st.just([])
NAMES = ("op", "after", "before", "source", "payload", "schema", "specversion", "type", "id", "data", "data_base64")
CHANGE = {"before": None, "after": PAID, "op": "c", "ts_ms": 1, "source": {"table": "orders", "db": "shop"}}
EVENT = {"specversion": "1.0", "type": "paid", "source": "/shop", "id": "e1", "time": "t", "extra": None, "data": PAID}
USUAL: list[dict[str, Any]] = [
    PAID, CHANGE, {"schema": {"type": "struct"}, "payload": CHANGE}, {"schema": None, "payload": PAID}, EVENT,
]  # fmt: skip


def source(envelope: str, headers: str = HEADERS) -> CompiledSource:
    text = SHOP.replace("          type: {value", f"{headers}          type: {{value")
    return compiled(text.replace("    events:", f"    envelope: {envelope}\n    events:") if envelope else text)


SOURCES = [source(envelope, headers) for envelope in ENVELOPES for headers in (HEADERS, "")]


@st.composite
def message(draw: st.DrawFn) -> dict[str, Any]:
    """A message, mostly usual, with some fields replaced, added or left out."""
    made = dict(draw(st.sampled_from(USUAL)))
    changed = draw(st.dictionaries(st.sampled_from(NAMES), ODD, max_size=2))
    left_out = draw(st.sets(st.sampled_from(NAMES), max_size=1))
    made = {name: value for name, value in {**made, **changed}.items() if name not in left_out}
    inner = made.get("payload")
    if isinstance(inner, dict) and draw(st.booleans()):
        made["payload"] = {**inner, **draw(st.dictionaries(st.sampled_from(NAMES), ODD, max_size=1))}
    return made


def read(of: CompiledSource, values: list[bytes]) -> Any:
    kafka_headers = [("ce_type", b"by header"), ("__op", b"by header")]
    batch = of.read(0, [Record(at, None, None, value, kafka_headers) for at, value in enumerate(values)])
    made = [(topic, events.indexes, events.events) for topic, events in batch.events.items()]
    return made, batch.rejected, batch.passed_over


@pytest.mark.parametrize("of", SOURCES)
@given(messages=st.lists(message(), min_size=1, max_size=4))
def test_any_messages(of: CompiledSource, messages: list[dict[str, Any]]) -> None:
    values = [json.dumps(made).encode() for made in messages]
    found = read(of, values)
    picked, of._picked = of._picked, None
    try:
        assert found == read(of, values)
    finally:
        of._picked = picked


@pytest.mark.parametrize(("envelope", "usual"), [("", range(5)), ("debezium", (1, 2)), ("cloudevents", (0, 4)), ("connect", (3,))])  # fmt: skip  # noqa: E501
def test_usual_messages_are_opened(envelope: str, usual: range | tuple[int, ...]) -> None:
    openers = source(envelope)._openers
    for number in usual:
        value = json.dumps(USUAL[number]).encode()
        opened = [opener for opener in openers if opens(opener, value)]
        assert len(opened) == 1


def opens(opener: Any, value: bytes) -> bool:
    try:
        opener.decode(value)
    except ValueError:
        return False
    return True
