"""Compiles field maps into functions, once per file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.contract.own_fields import NO_OWN_FIELDS, OwnFields
from consumers.contract.rejection import RejectionReason
from consumers.sources.conditions import compile_conditions
from consumers.sources.file import Conditions, EventMap, FieldMap
from consumers.sources.message import SourceMessage
from consumers.sources.paths import Finder, compile_path, parse_path
from consumers.sources.targets import ITEM_KINDS, FieldKind, field_kinds
from consumers.sources.values import (
    Converter,
    MappingError,
    from_major_units,
    shown,
    text_of,
    time_converter,
    to_boolean,
    to_integer,
    to_label,
    to_minor_units,
)
from consumers.topics import Topic

Getter = Callable[[Any, SourceMessage], Any]
"""(the entry of `each` or the root of the message, the message) -> value of a field, None if it is absent.

Raises MappingError."""
ObjectMaker = Callable[[Any, SourceMessage], dict[str, Any]]
"""(the entry of `each` or the root of the message, the message) -> fields. Raises MappingError."""

_FORMATS = ("time", "zone", "money", "round")
_INHERITED = (*_FORMATS, "map", "else_")
"""What alternatives of `or` take over, unless they have their own. A constant takes over the formats only."""


@dataclass(frozen=True, slots=True)
class EventMaker:
    """A compiled `EventMap`."""

    topic: Topic
    """The topic of the contract."""
    make: Callable[[SourceMessage], list[dict[str, Any]]]
    """The events of a message, unvalidated. Raises MappingError with the field in its detail."""
    when: Conditions | None
    """The conditions that the message must meet."""
    origins: Mapping[str, str]
    """# <field: description of where its value comes from>"""


def compile_event(event: EventMap, exponent: int, own: OwnFields = NO_OWN_FIELDS) -> EventMaker:
    """Compile an event. `exponent`: decimal places of money; `own`: fields that a model adds to the contract's.

    Raises ValueError for an invalid constant.
    """
    topic = Topic(event.to)
    make = _object_maker(event.fields, field_kinds(topic, own), exponent)
    origins = _origins(event.fields)
    if event.each is not None:
        make_each = _each(event.each, event.when, make)
        return EventMaker(topic, lambda message: make_each(message.root, message) or [], None, origins)
    matches = compile_conditions(event.when)

    def of_message(message: SourceMessage) -> list[dict[str, Any]]:
        root = message.root
        return [make(root, message)] if matches is None or matches(root, message) else []

    return EventMaker(topic, of_message, event.when, origins)


def _origins(fields: Mapping[str, FieldMap]) -> dict[str, str]:
    """# <field, or `items.FIELD`: description of where its value comes from>"""
    origins = {name: describe(field) for name, field in fields.items()}
    for name, field in fields.items():
        for inner, origin in _origins(field.fields or {}).items():
            origins[f"{name}.{inner}"] = f"{origin} in {origins[name]}"
    return origins


def describe(field: FieldMap) -> str:
    """Where a value comes from, for messages: the path, and the alternatives."""
    if field.path is not None:
        origin = f"`{field.path}`"
    elif field.value is not None:
        origin = f"the constant {field.value!r}"
    elif field.join is not None:
        origin = " joined with ".join(map(describe, field.join))
    elif field.header is not None:
        origin = f"header `{field.header}`"
    elif field.each is not None:
        origin = f"`{field.each}`"
    else:
        origin = "the record's position"
    return ", else ".join([origin, *map(describe, field.or_ or ())])


def _object_maker(fields: Mapping[str, FieldMap], kinds: Mapping[str, FieldKind], exponent: int) -> ObjectMaker:
    getters = [(name, compile_field(field, kinds[name], exponent)) for name, field in fields.items()]

    def make(entry: Any, message: SourceMessage) -> dict[str, Any]:
        made: dict[str, Any] = {}
        name = ""
        try:
            for name, get in getters:
                value = get(entry, message)
                if value is not None:
                    made[name] = value
        except MappingError as error:
            raise MappingError(error.reason, f"`{name}`: {error.detail}") from None
        return made

    return make


def compile_field(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """Compile a field map for a field of this kind. Raises ValueError for an invalid constant."""
    if field.value is not None:
        constant = constant_of(field.value, field, kind, exponent)
        return lambda _entry, _message: constant
    if field.record:
        return lambda _entry, message: message.record_id
    get = _getter(field, kind, exponent)
    if not field.or_:
        return get
    alternatives = [compile_field(inherit(field, other), kind, exponent) for other in field.or_]

    def first_of(entry: Any, message: SourceMessage) -> Any:
        value = get(entry, message)
        if value is not None:
            return value
        for alternative in alternatives:
            value = alternative(entry, message)
            if value is not None:
                return value
        return None

    return first_of


def inherit(field: FieldMap, other: FieldMap) -> FieldMap:
    """An alternative with the formats of the field, if it has none of its own."""
    if other.path is None and other.header is None and other.value is None:
        return other
    if any(name in other.model_fields_set for name in _INHERITED):
        return other
    inherited = _INHERITED if other.value is None else _FORMATS
    return other.model_copy(update={name: getattr(field, name) for name in inherited})


def _getter(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """The getter of a field map without its alternatives."""
    if field.each is not None:
        return _summing(field, kind, exponent) if field.sum is not None else _listing(field, exponent)
    find = _finder(field)
    name = describe(field.model_copy(update={"or_": None}))
    if field.map is not None:
        mapped = mapper_of(field, kind, exponent, name)
        return lambda entry, message: mapped(find(entry, message))
    if kind is FieldKind.LABEL:
        return _label_getter(find, name)
    convert = converter_of(field, kind, exponent)
    key = field.path if field.path and parse_path(field.path).steps == (field.path,) else None

    def get(entry: Any, message: SourceMessage) -> Any:
        try:
            return convert(find(entry, message))
        except MappingError as error:
            raise MappingError(error.reason, f"{name} {error.detail}") from None

    def get_field(entry: Any, _message: SourceMessage) -> Any:
        try:
            return convert(entry.get(key) if entry.__class__ is dict else None)
        except MappingError as error:
            raise MappingError(error.reason, f"{name} {error.detail}") from None

    return get if key is None else get_field


def _label_getter(find: Finder, name: str) -> Getter:
    def get(entry: Any, message: SourceMessage) -> Any:
        value = find(entry, message)
        if value.__class__ is str:
            return value or None
        try:
            return to_label(value)
        except MappingError as error:
            raise MappingError(error.reason, f"{name} {error.detail}") from None

    return get


def _finder(field: FieldMap) -> Finder:
    if field.path is not None:
        return compile_path(parse_path(field.path))
    if (header := field.header) is not None:
        return lambda _entry, message: message.header(header)
    parts = [compile_field(part, FieldKind.LABEL, 0) for part in field.join or ()]
    separator = field.with_

    def join(entry: Any, message: SourceMessage) -> str | None:
        texts = [get(entry, message) for get in parts]
        return None if None in texts else separator.join(texts)

    return join


class ValueMapper:
    """The map of a field: from a value to the one of the contract. Raises MappingError."""

    def __init__(self, table: Mapping[str, Any], others: Any, name: str, *, refuses: bool) -> None:
        self.table = table
        """# <value: value of the contract>"""
        self._others = others
        self._name = name
        self._refuses = refuses

    def __call__(self, value: Any) -> Any:
        """The value of the contract, None if it is absent."""
        if value is None or value == "":
            return self.table.get("")
        text = value if value.__class__ is str else text_of(value)
        if text is not None and text in self.table:
            return self.table[text]
        if self._refuses:
            raise MappingError(
                RejectionReason.OUT_OF_RANGE,
                f"{self._name} is {shown(value)}: `map` has no such value; add it, or `else`",
            )
        return self._others


def mapper_of(field: FieldMap, kind: FieldKind, exponent: int, name: str) -> ValueMapper:
    """The map of a field; `name`: of the value's origin in errors."""
    table = {given: constant_of(value, field, kind, exponent) for given, value in (field.map or {}).items()}
    others = None if field.else_ is None else constant_of(field.else_, field, kind, exponent)
    return ValueMapper(table, others, name, refuses=field.else_ is None)


def _listing(field: FieldMap, exponent: int) -> Getter:
    """Items of an order."""
    make_each = _each(field.each or "", field.when, _object_maker(field.fields or {}, ITEM_KINDS, exponent))
    return lambda entry, message: make_each(entry, message) or None


def _summing(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """The sum of a number of each entry."""
    assert field.sum is not None
    numbers_of = _each(field.each or "", field.when, compile_field(inherit(field, field.sum), kind, exponent))

    def get(entry: Any, message: SourceMessage) -> Any:
        numbers = numbers_of(entry, message)
        return None if numbers is None else sum(number or 0 for number in numbers)

    return get


def _each(path: str, when: Conditions | None, make: Getter) -> Callable[[Any, SourceMessage], list[Any] | None]:
    """What is made of each entry of a list that meets the conditions; None if there is no list."""
    entries_of, matches = _entries(path), compile_conditions(when)

    def make_each(entry: Any, message: SourceMessage) -> list[Any] | None:
        entries = entries_of(entry, message)
        if entries is None:
            return None
        made = []
        index = 0
        try:
            for found in entries:
                if matches is None or matches(found, message):
                    made.append(make(found, message))
                index += 1
        except MappingError as error:
            raise MappingError(error.reason, f"`{path}[{index}]`: {error.detail}") from None
        return made

    return make_each


def _entries(path: str) -> Callable[[Any, SourceMessage], list[Any] | None]:
    find = compile_path(parse_path(path))

    def entries(entry: Any, message: SourceMessage) -> list[Any] | None:
        found = find(entry, message)
        if found is None or found.__class__ is list:
            return found
        if found.__class__ is dict:
            return [found]
        raise MappingError(RejectionReason.WRONG_TYPE, f"`{path}` is {shown(found)}: a list is needed")

    return entries


def converter_of(field: FieldMap, kind: FieldKind, exponent: int) -> Converter:
    """The converter of a field without `map`."""
    match kind:
        case FieldKind.LABEL:
            return to_label
        case FieldKind.BOOLEAN:
            return to_boolean
        case FieldKind.MONEY:
            return from_major_units(exponent, rounds=field.round) if field.money == "major" else to_minor_units
        case FieldKind.TIME:
            return time_converter(field.time, field.zone)
    return to_integer


def constant_of(text: str, field: FieldMap, kind: FieldKind, exponent: int) -> Any:
    """The value of a constant. Raises ValueError."""
    try:
        if kind is FieldKind.MONEY and field.money != "major":
            return to_integer(text)
        return converter_of(field, kind, exponent)(text)
    except MappingError as error:
        raise ValueError(f"the constant {error.detail}") from None
