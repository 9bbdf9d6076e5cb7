"""Compiles field maps into functions, once per file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.contract.rejection import RejectionReason
from consumers.sources import unrolled
from consumers.sources.conditions import Test, compile_conditions
from consumers.sources.file import EventMap, FieldMap
from consumers.sources.message import SourceMessage
from consumers.sources.paths import Finder, compile_path, parse_path
from consumers.sources.targets import FIELD_KINDS, ITEM_KINDS, FieldKind
from consumers.sources.unrolled import ObjectMaker, UnrolledField, unroll
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

_NO_MESSAGE = SourceMessage(None, "", 0, 0)
_INLINE = {
    FieldKind.LABEL: unrolled.TEXT,
    FieldKind.INTEGER: unrolled.INTEGER,
    FieldKind.BOOLEAN: unrolled.BOOLEAN,
    FieldKind.MONEY: unrolled.INTEGER,
    "ms": unrolled.INTEGER,
    "s": unrolled.TIME_S,
    "us": unrolled.TIME_US,
}
_INHERITED = ("time", "zone", "money", "round", "map", "else_")
"""What alternatives of `or` take over, unless they have their own."""


@dataclass(frozen=True, slots=True)
class EventMaker:
    """A compiled `EventMap`."""

    topic: Topic
    """The topic of the contract."""
    make: Callable[[SourceMessage], list[dict[str, Any]]]
    """The events of a message, unvalidated. Raises MappingError with the field in its detail."""
    make_one: ObjectMaker | None
    """Makes the only event of a message that matches; None if a message may make several."""
    matches: Test | None
    """Whether a message, or an entry, makes the event; None: always."""
    origins: Mapping[str, str]
    """# <field: description of where its value comes from>"""


def compile_event(event: EventMap, exponent: int) -> EventMaker:
    """Compile an event. `exponent`: decimal places of money. Raises ValueError for an invalid constant."""
    topic = Topic(event.to)
    make = _object_maker(event.fields, FIELD_KINDS[topic], exponent)
    matches = compile_conditions(event.when)
    origins = {name: describe(field) for name, field in event.fields.items()}
    if event.each is None:

        def of_message(message: SourceMessage) -> list[dict[str, Any]]:
            root = message.root
            return [make(root, message)] if matches is None or matches(root, message) else []

        return EventMaker(topic, of_message, make, matches, origins)
    entries_of = _entries(event.each)

    def of_entries(message: SourceMessage) -> list[dict[str, Any]]:
        entries = entries_of(message.root, message) or ()
        return [make(entry, message) for entry in entries if matches is None or matches(entry, message)]

    return EventMaker(topic, of_entries, None, matches, origins)


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
    constants: dict[str, Any] = {}
    inlined: list[UnrolledField] = []
    others: list[tuple[str, Getter]] = []
    getters: list[tuple[str, Getter]] = []
    for name, field in fields.items():
        get = compile_field(field, kinds[name], exponent)
        if field.value is not None:
            constants[name] = get(None, _NO_MESSAGE)
            continue
        getters.append((name, get))
        if (inline := _inline(name, field, kinds[name], exponent, get)) is not None:
            inlined.append(inline)
        else:
            others.append((name, get))

    def make(entry: Any, message: SourceMessage) -> dict[str, Any]:
        made = constants.copy()
        name = ""
        try:
            for name, get in getters:
                value = get(entry, message)
                if value is not None:
                    made[name] = value
        except MappingError as error:
            raise MappingError(error.reason, f"`{name}`: {error.detail}") from None
        return made

    return unroll(constants, inlined, others, make)


def _inline(name: str, field: FieldMap, kind: FieldKind, exponent: int, get: Getter) -> UnrolledField | None:
    """How the usual values of a field are mapped inline; None if they are not."""
    if field.fields is not None:
        return _inline_entries(name, field, exponent, get)
    path = None if field.path is None else parse_path(field.path)
    if path is None or path.from_message or not 0 < len(path.steps) < 3:
        return None
    steps = tuple(step for step in path.steps if isinstance(step, str))
    if len(steps) < len(path.steps):
        return None
    bound: Any = None
    if field.map is not None:
        bound = {given: _constant(value, field, kind, exponent) for given, value in field.map.items()}
        condition, statements = unrolled.TABLE
    elif kind is FieldKind.TIME and field.time == "iso":
        bound = _converter(field, kind, exponent)
        condition, statements = unrolled.TIME_ISO
    elif kind is FieldKind.MONEY and field.money == "major":
        condition, statements = unrolled.major_units(exponent)
    else:
        condition, statements = _INLINE[kind if kind is not FieldKind.TIME else field.time or "ms"]
    return UnrolledField(name, steps, statements, condition, bound, get, bool(field.or_))


def _inline_entries(name: str, field: FieldMap, exponent: int, get: Getter) -> UnrolledField | None:
    """How the items of an order are mapped inline."""
    path = parse_path(field.each or "")
    make, matches = _object_maker(field.fields or {}, ITEM_KINDS, exponent), compile_conditions(field.when)
    match path.steps:
        case (str(step),) if not path.from_message:
            condition, statements = unrolled.ENTRIES if matches is None else unrolled.SOME_ENTRIES
            bound: Any = make if matches is None else (make, matches)
            return UnrolledField(name, (step,), statements, condition, bound, get, bool(field.or_))
    return None


def compile_field(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """Compile a field map for a field of this kind. Raises ValueError for an invalid constant."""
    if field.value is not None:
        constant = _constant(field.value, field, kind, exponent)
        return lambda _entry, _message: constant
    if field.record:
        return lambda _entry, message: message.record_id
    get = _getter(field, kind, exponent)
    if not field.or_:
        return get
    alternatives = [compile_field(_inherit(field, other), kind, exponent) for other in field.or_]

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


def _inherit(field: FieldMap, other: FieldMap) -> FieldMap:
    """An alternative with the formats of the field, if it has none of its own."""
    if (other.path is None and other.header is None) or any(name in other.model_fields_set for name in _INHERITED):
        return other
    return other.model_copy(update={name: getattr(field, name) for name in _INHERITED})


def _getter(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """The getter of a field map without its alternatives."""
    if field.each is not None:
        return _summing(field, kind, exponent) if field.sum is not None else _listing(field, exponent)
    find = _finder(field)
    name = describe(field.model_copy(update={"or_": None}))
    if field.map is not None:
        return _mapping(field, kind, exponent, find, name)
    if kind is FieldKind.LABEL:
        return _label_getter(find, name)
    convert = _converter(field, kind, exponent)
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


def _mapping(field: FieldMap, kind: FieldKind, exponent: int, find: Finder, name: str) -> Getter:
    table = {given: _constant(value, field, kind, exponent) for given, value in (field.map or {}).items()}
    others = None if field.else_ is None else _constant(field.else_, field, kind, exponent)
    refuses = field.else_ is None

    def get(entry: Any, message: SourceMessage) -> Any:
        value = find(entry, message)
        if value is None or value == "":
            return table.get("")
        text = value if value.__class__ is str else text_of(value)
        if text in table:
            return table[text]
        if refuses:
            raise MappingError(
                RejectionReason.OUT_OF_RANGE, f"{name} is {shown(value)}: `map` has no such value; add it, or `else`"
            )
        return others

    return get


def _listing(field: FieldMap, exponent: int) -> Getter:
    """Items of an order."""
    path = field.each or ""
    entries_of, matches = _entries(path), compile_conditions(field.when)
    make = _object_maker(field.fields or {}, ITEM_KINDS, exponent)

    def get(entry: Any, message: SourceMessage) -> Any:
        entries = entries_of(entry, message)
        items: list[dict[str, Any]] = []
        index = 0
        try:
            if matches is None:
                for found in entries or ():
                    items.append(make(found, message))
                    index += 1
            else:
                for found in entries or ():
                    if matches(found, message):
                        items.append(make(found, message))
                    index += 1
        except MappingError as error:
            raise MappingError(error.reason, f"`{path}[{index}]`: {error.detail}") from None
        return items or None

    return get


def _summing(field: FieldMap, kind: FieldKind, exponent: int) -> Getter:
    """The sum of a number of each entry."""
    path = field.each or ""
    entries_of, matches = _entries(path), compile_conditions(field.when)
    assert field.sum is not None
    number_of = compile_field(_inherit(field, field.sum), kind, exponent)

    def get(entry: Any, message: SourceMessage) -> Any:
        entries = entries_of(entry, message)
        if entries is None:
            return None
        return sum(number_of(found, message) or 0 for found in entries if matches is None or matches(found, message))

    return get


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


def _converter(field: FieldMap, kind: FieldKind, exponent: int) -> Converter:
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


def _constant(text: str, field: FieldMap, kind: FieldKind, exponent: int) -> Any:
    """The value of a constant. Raises ValueError."""
    try:
        if kind is FieldKind.MONEY and field.money != "major":
            return to_integer(text)
        return _converter(field, kind, exponent)(text)
    except MappingError as error:
        raise ValueError(f"the constant {error.detail}") from None
