"""Checks of a file of sources that concern several fields at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from zoneinfo import available_timezones

from consumers.contract.events import EVENT_MODELS, EVENT_TYPES, REQUIRED_BY_TYPE, OrderItem
from consumers.contract.own_fields import NO_OWN_FIELDS, OwnFields
from consumers.promotions.yaml_lines import YamlPath
from consumers.sources.compiling import compile_field, inherit
from consumers.sources.file import MOST_EXPONENT, REGISTRY_FORMATS, Conditions, EventMap, FieldMap, SourceFile
from consumers.sources.paths import parse_path
from consumers.sources.targets import ITEM_KINDS, FieldKind, field_kinds, required_fields
from consumers.topics import Topic, topic_name_fault
from consumers.yaml_models import ModelFault


def check_sources(
    file: SourceFile, own: OwnFields = NO_OWN_FIELDS, exponent: int = MOST_EXPONENT
) -> Iterator[ModelFault]:
    """The faults of a file whose fields are valid one by one: (path, message).

    `own`: fields that a model adds to the contract's. `exponent`: decimal places of money in constants.
    """
    topics: set[str] = set()
    for number, source in enumerate(file.sources):
        path: YamlPath = ("sources", number)
        if fault := topic_name_fault(source.topic):
            yield (*path, "topic"), f"topic {source.topic!r}: {fault}"
        if source.topic in topics:
            yield (*path, "topic"), f"topic {source.topic!r} has a source already: write all its events in one"
        topics.add(source.topic)
        if source.format in REGISTRY_FORMATS and file.registry is None:
            yield (*path, "format"), f"`format: {source.format}` needs a schema registry: add `registry: {{url: …}}`"
        for text in source.parse_json:
            if not isinstance((None, *parse_path(text).steps)[-1], str):
                yield (
                    (*path, "parse_json"),
                    f"{text!r} does not end with the name of a field: write one",
                )
        for position, event in enumerate(source.events or ()):
            yield from _check_event(event, own, exponent, (*path, "events", position))


def _check_event(event: EventMap, own: OwnFields, exponent: int, path: YamlPath) -> Iterator[ModelFault]:
    topic = Topic(event.to)
    yield from _check_conditions(event.when, (*path, "when"))
    kinds = field_kinds(topic, own)
    yield from _check_fields(event.fields, kinds, f"events on {topic}", exponent, (*path, "fields"))
    required = [*required_fields(EVENT_MODELS[topic])]
    types = _possible_types(event.fields.get("type"))
    for name in sorted(types - EVENT_TYPES[topic]):
        close = get_close_matches(name, EVENT_TYPES[topic], 1)
        hint = f"do you mean {close[0]}?" if close else f"write one of {', '.join(sorted(EVENT_TYPES[topic]))}"
        yield (*path, "fields", "type"), f"{topic} has no type {name!r}: {hint}"
    if len(types) == 1:
        required += REQUIRED_BY_TYPE.get(min(types), ())
    if missing := [name for name in required if name not in event.fields]:
        kind = f"an event {min(types)}" if len(types) == 1 else f"an event on {topic}"
        yield (*path, "fields"), f"{kind} needs {', '.join(f'`{name}`' for name in missing)}: add where to find it"


def _possible_types(field: FieldMap | None) -> set[str]:
    """The constants that `type` may be."""
    if field is None:
        return set()
    constants = [field.value, field.else_, *(field.map or {}).values()]
    alternatives = (_possible_types(other) for other in field.or_ or ())
    return {text for text in constants if text}.union(*alternatives)


def _check_conditions(conditions: Conditions | None, path: YamlPath) -> Iterator[ModelFault]:
    for name, condition in (conditions or {}).items():
        yield from _check_zone(condition.zone, (*path, name, "zone"))


def _check_zone(zone: str | None, path: YamlPath) -> Iterator[ModelFault]:
    if zone is not None and zone not in available_timezones():
        close = get_close_matches(zone, available_timezones(), 1)
        hint = f"do you mean {close[0]}?" if close else "write an IANA name such as Asia/Shanghai"
        yield path, f"{zone!r} is not an IANA time zone: {hint}"


def _check_fields(
    fields: Mapping[str, FieldMap], kinds: Mapping[str, FieldKind], what: str, exponent: int, path: YamlPath
) -> Iterator[ModelFault]:
    for name, field in fields.items():
        if name not in kinds:
            close = get_close_matches(name, kinds, 1)
            hint = f"do you mean `{close[0]}`?" if close else f"they have {', '.join(kinds)}"
            yield (*path, name), f"{what} have no field `{name}`: {hint}"
            continue
        yield from _check_field(name, field, kinds[name], exponent, (*path, name))


def _check_field(name: str, field: FieldMap, kind: FieldKind, exponent: int, path: YamlPath) -> Iterator[ModelFault]:
    yield from _check_conditions(field.when, (*path, "when"))
    if field.money is not None and kind is not FieldKind.MONEY:
        yield (*path, "money"), f"`{name}` is no money: remove `money`"
    if field.time is not None and kind is not FieldKind.TIME:
        yield (*path, "time"), f"`{name}` is no time: remove `time`"
    if faults := list(_check_zone(field.zone, (*path, "zone"))):
        yield from faults
        return
    if (kind is FieldKind.ITEMS) != (field.fields is not None):
        if kind is FieldKind.ITEMS:
            yield path, f"`{name}` is a list: write `each: PATH` and the `fields` of each item"
        else:
            yield path, f"`{name}` is one value: remove `fields`, or add up the entries with `sum`"
        return
    if field.fields is not None:
        yield from _check_fields(field.fields, ITEM_KINDS, "items of an order", exponent, (*path, "fields"))
        if missing := [needed for needed in required_fields(OrderItem) if needed not in field.fields]:
            yield path, f"an item needs {', '.join(f'`{needed}`' for needed in missing)}: add where to find it"
        return
    if field.sum is not None and kind not in (FieldKind.INTEGER, FieldKind.MONEY):
        yield (*path, "sum"), f"`{name}` is no number: nothing can be added up"
        return
    if field.record and kind is not FieldKind.LABEL:
        yield (*path, "record"), f"`{name}` is no text: the record's position does not fit"
    for number, other in enumerate(field.or_ or ()):
        yield from _check_field(name, inherit(field, other), kind, exponent, (*path, "or", number))
    parts: list[tuple[YamlPath, FieldMap, FieldKind]] = [
        (("join", number), part, FieldKind.LABEL) for number, part in enumerate(field.join or ())
    ]
    if field.sum is not None:
        parts.append((("sum",), inherit(field, field.sum), kind))
    faults = [fault for at, part, of in parts for fault in _check_field(name, part, of, exponent, (*path, *at))]
    yield from faults
    if faults:
        return
    try:
        compile_field(field, kind, exponent)
    except ValueError as error:
        yield path, f"`{name}`: {error}"
