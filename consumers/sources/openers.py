"""Decodes messages in an envelope straight to the fields that maps use.

Every opener accepts a part of what `envelopes` does, with the same result. For all else it raises ValidationError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from consumers.sources.envelopes import Envelope
from consumers.sources.file import HEADER_PREFIX, EventMap, FieldMap
from consumers.sources.picked import NEVER
from consumers.sources.unrolled import PickedSource

_CHANGE_HEADERS = {"__op": "op", "__ts_ms": "ts_ms", "__before": "before"}
_ORIGIN = ("table", "db", "lsn", "pos")
_EVENT_PREFIX = "ce_"
_EVENT_FIELDS = {"specversion": Any, "type": str, "source": Any, "id": Any}
_NOT_ATTRIBUTES = ("data", "data_base64", "payload")
_ROOT = "root"
_EMPTY = msgspec.defstruct("Empty", [], gc=False)

_Field = tuple[str, Any] | tuple[str, Any, Any]
"""(name in the message, type) of a required field; (name, type, default) of another."""


@dataclass(frozen=True, slots=True)
class Opener:
    """Decodes messages of one kind."""

    decode: Callable[[bytes], Any]
    root_of: Callable[[Any], Any] | None = None
    """From the decoded message to the picked struct; None: it is that."""
    used: Sequence[tuple[str, Callable[[Any], Any]]] = ()
    """The attributes of the envelope that maps use: (name, function that finds it); absent ones are `UNSET`."""
    keeps_none: bool = False
    """Whether an attribute may be None, instead of absent."""

    def attributes_of(self, found: Any) -> dict[str, Any]:
        """The attributes of a decoded message."""
        values = [(name, get(found)) for name, get in self.used]
        absent = (msgspec.UNSET,) if self.keeps_none else (msgspec.UNSET, None)
        return {name: value for name, value in values if not any(value is none for none in absent)}


def openers_for(picked: PickedSource, envelope: Envelope | None, events: Sequence[EventMap]) -> list[Opener]:
    """The openers of messages in JSON; `envelope` None: of messages whose envelope is recognized."""
    headers = frozenset(_headers_of(events))
    bare = Opener(msgspec.json.Decoder(picked.bare).decode)
    match envelope:
        case None:
            return [bare, *_changes(picked, headers), _cloud_event(picked, headers), _connect(picked)]
        case Envelope.NONE:
            return [Opener(msgspec.json.Decoder(picked.struct).decode)]
        case Envelope.DEBEZIUM:
            return _changes(picked, headers)
        case Envelope.CONNECT:
            return [_connect(picked)]
    return [_cloud_event(picked, headers), bare]


def _changes(picked: PickedSource, headers: frozenset[str]) -> list[Opener]:
    """Changes of Debezium, without and with Kafka Connect's schema."""
    origin = _struct({f"o_{name}": (name, Any, None) for name in _ORIGIN if f"__{name}" in headers})
    fields: dict[str, _Field] = {_ROOT: ("after", picked.struct), "op": ("op", str), "source": ("source", origin)}
    fields |= {name: (name, Any, None) for name in ("ts_ms", "before") if f"__{name}" in headers}
    bare = _struct({**fields, "payload": ("payload", NEVER, None), "spec": ("specversion", NEVER, None)})
    wrapped = _struct({"schema": ("schema", _EMPTY | None), "payload": ("payload", _struct(fields))})
    used = {header: field for header, field in _CHANGE_HEADERS.items() if header in headers}
    used |= {f"__{name}": f"source.o_{name}" for name in _ORIGIN if f"__{name}" in headers}
    return [_opener(bare, "", used), _opener(wrapped, "payload.", used)]


def _connect(picked: PickedSource) -> Opener:
    """Kafka Connect's schema and payload."""
    return _opener(_struct({"schema": ("schema", _EMPTY | None), _ROOT: ("payload", picked.payload)}), "", {})


def _cloud_event(picked: PickedSource, headers: frozenset[str]) -> Opener:
    """A CloudEvent in structured mode."""
    names = {header.removeprefix(_EVENT_PREFIX) for header in headers if header.startswith(_EVENT_PREFIX)}
    names.difference_update(_NOT_ATTRIBUTES)
    fields: dict[str, _Field] = {_ROOT: ("data", picked.struct)}
    fields |= {f"c_{name}": (name, kind) for name, kind in _EVENT_FIELDS.items()}
    attributes = {name: f"a{number}" for number, name in enumerate(sorted(names - _EVENT_FIELDS.keys()))}
    fields |= {attribute: (name, Any, msgspec.UNSET) for name, attribute in attributes.items()}
    fields |= {name: (name, NEVER, None) for name in ("data_base64", "payload")}
    used = attributes | {name: f"c_{name}" for name in names & _EVENT_FIELDS.keys()}
    return _opener(
        _struct(fields), "", {f"{_EVENT_PREFIX}{name}": path for name, path in used.items()}, keeps_none=True
    )


def _opener(struct: Any, prefix: str, used: Mapping[str, str], *, keeps_none: bool = False) -> Opener:
    getters = [(name, attrgetter(f"{prefix}{path}")) for name, path in used.items()]
    return Opener(msgspec.json.Decoder(struct).decode, attrgetter(f"{prefix}{_ROOT}"), getters, keeps_none)


def _struct(fields: Mapping[str, _Field]) -> Any:
    names = {attribute: field[0] for attribute, field in fields.items()}
    listed: list[Any] = [(attribute, *field[1:]) for attribute, field in fields.items()]
    return msgspec.defstruct("Opened", listed, rename=names, gc=False, kw_only=True)


def _headers_of(events: Sequence[EventMap]) -> Iterator[str]:
    """The headers that events use."""
    for event in events:
        yield from _headers_of_conditions(event.when or ())
        for mapped in event.fields.values():
            yield from _headers_of_field(mapped)


def _headers_of_field(mapped: FieldMap) -> Iterator[str]:
    if mapped.header is not None:
        yield mapped.header
    yield from _headers_of_conditions(mapped.when or ())
    inner = (*(mapped.join or ()), *(mapped.or_ or ()), *(mapped.fields or {}).values())
    for part in inner if mapped.sum is None else (*inner, mapped.sum):
        yield from _headers_of_field(part)


def _headers_of_conditions(paths: Mapping[str, Any] | tuple[()]) -> Iterator[str]:
    for path in paths:
        if path.startswith(HEADER_PREFIX):
            yield path.removeprefix(HEADER_PREFIX)
