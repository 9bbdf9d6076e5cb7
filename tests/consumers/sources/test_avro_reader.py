"""The generated readers of Avro give what fastavro gives, or leave the message to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from itertools import count
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sources.avro import compile_avro
from consumers.sources.avro_reader import compile_reader
from consumers.sources.schemas import RegisteredSchema, SchemaKind
from consumers.sources.values import MappingError

_LONG = st.integers(-(2**63), 2**63 - 1)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": _LONG,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=200),
    "bytes": st.binary(max_size=200),
}
_TIMES = st.integers(-(10**13), 10**13).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
_LOGICAL: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
    ({"type": "long", "logicalType": "timestamp-millis"}, _TIMES),
    ({"type": "long", "logicalType": "timestamp-micros"}, _TIMES),
    ({"type": "long", "logicalType": "local-timestamp-millis"}, _TIMES.map(lambda at: at.replace(tzinfo=None))),
    ({"type": "int", "logicalType": "date"}, st.dates()),
    ({"type": "string", "logicalType": "uuid"}, st.uuids()),
    ({"type": "string", "logicalType": "unknown"}, st.text(max_size=3)),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2},
        st.integers(-(10**18) + 1, 10**18 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
    ),
]
_NAMES = count()
Typed = tuple[Any, st.SearchStrategy[Any]]


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> Typed:
    """A schema, and values of it."""
    kinds = ["plain", "plain", "logical", "enum", "fixed"] + (["record", "array", "map", "union"] if depth else [])
    name = f"N{next(_NAMES)}"
    match draw(st.sampled_from(kinds)):
        case "plain":
            return draw(st.sampled_from(sorted(_PLAIN.items(), key=lambda entry: entry[0])))
        case "logical":
            return draw(st.sampled_from(_LOGICAL))
        case "enum":
            return {"type": "enum", "name": name, "symbols": ["a", "b", "c"]}, st.sampled_from("abc")
        case "fixed":
            size = draw(st.integers(0, 4))
            return {"type": "fixed", "name": name, "size": size}, st.binary(min_size=size, max_size=size)
        case "record":
            fields = draw(st.lists(typed(depth - 1), max_size=4))
            schema = {"type": "record", "name": name}
            listed = [{"name": f"f{number}", "type": kind} for number, (kind, _) in enumerate(fields)]
            values = {f"f{number}": value for number, (_, value) in enumerate(fields)}
            return {**schema, "fields": listed}, st.fixed_dictionaries(values)
        case "array":
            kind, value = draw(typed(depth - 1))
            return {"type": "array", "items": kind}, st.lists(value, max_size=3)
        case "map":
            kind, value = draw(typed(depth - 1))
            return {"type": "map", "values": kind}, st.dictionaries(st.text(max_size=4), value, max_size=3)
    kind, value = draw(typed(0).filter(lambda found: found[0] != "null"))
    return draw(st.sampled_from((["null", kind], [kind, "null"]))), st.none() | value


def by_fastavro(message: bytes, parsed: Any) -> Any:
    """The value, or the error as a text."""
    stream = BytesIO(message)
    try:
        found = fastavro.schemaless_reader(stream, parsed, None)
    except Exception as error:
        return repr(error)
    return found if stream.tell() == len(message) else "bytes are left over"


@given(st.data())
def test_every_message(data: st.DataObject) -> None:
    schema, values = data.draw(typed())
    named: dict[str, Any] = {}
    parsed = fastavro.parse_schema(schema, named_schemas=named)
    read = compile_reader(parsed, named)
    stream = BytesIO()
    fastavro.schemaless_writer(stream, parsed, data.draw(values))
    message = stream.getvalue()
    if read is None:
        return
    cut = data.draw(st.integers(0, len(message)))
    other = data.draw(st.binary(max_size=4))
    for given_bytes in (message, message[:cut], message[:cut] + other + message[cut:], message[:cut] + other):
        try:
            found = read(given_bytes)
        except Exception:
            continue
        assert repr(found) == repr(by_fastavro(given_bytes, parsed))


def test_usual_messages_are_not_left_to_fastavro() -> None:
    fields = [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
        {"name": "next", "type": ["null", "shop.Click"]},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "sku", "type": "string"}, {"name": "count", "type": "int"}]}}},
    ]  # fmt: skip
    named: dict[str, Any] = {}
    parsed = fastavro.parse_schema({"type": "record", "name": "shop.Click", "fields": fields}, named_schemas=named)
    inner = {"id": "a" * 200, "at": datetime(2026, 11, 11, tzinfo=UTC), "price": Decimal("12.30"), "next": None,
             "labels": {"channel": "web"}, "lines": [{"sku": "s", "count": -1}] * 70}  # fmt: skip
    click = {**inner, "next": inner, "price": None}
    stream = BytesIO()
    fastavro.schemaless_writer(stream, parsed, click)
    read = compile_reader(parsed, named)
    assert read is not None
    assert read(stream.getvalue()) == click


def test_a_message_that_ends_early_is_refused() -> None:
    schema = '{"type": "record", "name": "Price", "fields": [{"name": "amount", "type": "double"}]}'
    decode = compile_avro(RegisteredSchema(SchemaKind.AVRO, schema)).decode
    with pytest.raises(MappingError, match="the message is not Avro of its schema: it ends early"):
        decode(b"abc")
