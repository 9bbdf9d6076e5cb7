"""Compiles the measures of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from consumers.contract.events import EVENT_TYPES, TOPIC_BY_EVENT_TYPE
from consumers.contract.own_fields import FieldType
from consumers.topics import EVENT_TOPICS, Topic
from streams.dictionary.definitions import MeasureDefinition, WhereDefinition, texts
from streams.dictionary.faults import DependentError, UnfitError, near_miss
from streams.dictionary.fields import Field, TopicFields, stored_number
from streams.dictionary.types import Dimension, FieldCondition, MeasureKind, ModelMeasure, Unit

_UNITS = {FieldType.MONEY: Unit.MONEY, FieldType.MILLISECONDS: Unit.MILLISECONDS}
_FLAGS = frozenset({"true", "false"})


def compile_measure(
    entry: MeasureDefinition,
    measure_id: int,
    dimensions: Mapping[str, Dimension],
    broken: Collection[str],
    fields: Mapping[Topic, TopicFields],
    exponent: int,
    since_ms: int | None = None,
) -> ModelMeasure:
    """The measure of an entry.

    Raises:
        UnfitError: an event type, a field or a dimension is unknown or does not fit.
        DependentError: it names one of the `broken` dimensions.
    """
    at = "count" if entry.of is None else "of"
    topic, types = _events(entry.events, at)
    name = entry.with_ if entry.kind is MeasureKind.COUNT else str(getattr(entry, entry.kind.value))
    found = _field(entry, name, topic, types, fields[topic]) if name else None
    where = tuple(
        _condition(key, condition, topic, types, dimensions, broken, fields[topic], exponent)
        for key, condition in entry.conditions.items()
    )
    return ModelMeasure(
        id=measure_id,
        name=entry.name,
        kind=entry.kind,
        topic=topic,
        types=types,
        field=name,
        where=where,
        scopes=_scopes(entry, topic, found, dimensions, broken, fields[topic]),
        names_scopes=entry.scopes is not None,
        unit=entry.unit or _unit(entry, found),
        public=entry.public,
        about=entry.about or _described(entry),
        source=entry.source,
        since_ms=since_ms,
    )


def _events(names: Sequence[str], at: str) -> tuple[Topic, tuple[str, ...]]:
    """The topic of event types, and the types; a topic is short for all its types."""
    topics = {}
    types: list[str] = []
    for name in names:
        if name in EVENT_TOPICS:
            topics[Topic(name)] = name
            types += sorted(EVENT_TYPES[Topic(name)])
        elif name in TOPIC_BY_EVENT_TYPE:
            topics[TOPIC_BY_EVENT_TYPE[name]] = name
            types.append(name)
        else:
            known = [*TOPIC_BY_EVENT_TYPE, *EVENT_TOPICS]
            raise UnfitError(f"there is no event type or topic `{name}`{near_miss(name, known)}", at)
    if len(topics) > 1:
        where = ", ".join(f"`{name}` is of {topic}" for topic, name in topics.items())
        raise UnfitError(f"the events are of several topics ({where}): write a measure for each, and add them up", at)
    return next(iter(topics)), tuple(dict.fromkeys(types))


def _field(entry: MeasureDefinition, name: str, topic: Topic, types: Sequence[str], fields: TopicFields) -> Field:
    at = "with" if entry.kind is MeasureKind.COUNT else entry.kind.value
    found = fields.find(name)
    if found is None:
        raise UnfitError(
            f"there is no field `{name}` on {topic}, the topic of {types[0]}{near_miss(name, fields.names)}", at
        )
    if entry.kind is MeasureKind.DISTINCT and (found.of_items or found.type is not FieldType.LABEL):
        raise UnfitError(f"`{name}` is no label of {topic} events: name one, such as user_id", at)
    if entry.kind is MeasureKind.COUNT and found.of_items:
        raise UnfitError(f"`{name}` is a field of order lines: `with` needs a field of the event", at)
    if entry.kind not in (MeasureKind.DISTINCT, MeasureKind.COUNT) and not found.is_numeric:
        raise UnfitError(f"`{name}` is a {found.type}: `{entry.kind}` needs a number", at)
    return found


def _condition(
    name: str,
    entry: WhereDefinition,
    topic: Topic,
    types: Sequence[str],
    dimensions: Mapping[str, Dimension],
    broken: Collection[str],
    fields: TopicFields,
    exponent: int,
) -> FieldCondition:
    values: Sequence[str] = texts(entry.one_of if entry.one_of is not None else entry.not_ or "")
    found, dimension = fields.of_event.get(name), dimensions.get(name)
    if found is not None:
        if found.type is FieldType.FLAG and not _FLAGS.issuperset(values):
            raise UnfitError(f"`{name}` is true or false: write one of them", "where", name)
        if found.is_numeric:
            values = [_stored(name, text, exponent if found.type is FieldType.MONEY else 0) for text in values]
    elif dimension is not None:
        if topic not in dimension.topics:
            raise UnfitError(f"`{name}` is no dimension of {topic}, the topic of {types[0]}: remove it", "where", name)
        if dimension.by_line and topic is Topic.ORDERS:
            raise UnfitError(f"`{name}` is a field of order lines: `where` chooses whole events", "where", name)
    elif name in broken:
        raise DependentError
    elif name in fields.of_items:
        raise UnfitError(f"`{name}` is a field of order lines: `where` chooses whole events", "where", name)
    else:
        known = [*fields.of_event, *(dimension.name for dimension in dimensions.values() if topic in dimension.topics)]
        raise UnfitError(f"there is no field or dimension `{name}` on {topic}{near_miss(name, known)}", "where", name)
    return FieldCondition(name, frozenset(values), negated=entry.one_of is None)


def _stored(name: str, text: str, exponent: int) -> str:
    """A number of a condition in stored units."""
    try:
        return str(stored_number(text, exponent))
    except ValueError as error:
        raise UnfitError(f"`{name}`: {error}", "where", name) from None


def _scopes(
    entry: MeasureDefinition,
    topic: Topic,
    found: Field | None,
    dimensions: Mapping[str, Dimension],
    broken: Collection[str],
    fields: TopicFields,
) -> frozenset[str]:
    """The dimensions that have the measure."""
    if entry.scopes is None:
        fit = (d.name for d in dimensions.values() if not _unfit(entry.kind, topic, found, d))
        if entry.kind is not MeasureKind.DISTINCT:
            return frozenset((*fit, *entry.also))
        return frozenset(name for name in fit if dimensions[name].distincts)
    for i, name in enumerate(entry.scopes):
        if name in broken:
            raise DependentError
        if name not in dimensions:
            fix = f": declare one with `field: {name}`" if fields.find(name) else near_miss(name, dimensions)
            raise UnfitError(f"there is no dimension `{name}`{fix}", "scopes", i)
        reason = _unfit(entry.kind, topic, found, dimensions[name])
        if reason:
            raise UnfitError(f"{reason}: remove `{name}` from `scopes`", "scopes", i)
    return frozenset(entry.scopes)


def _unfit(kind: MeasureKind, topic: Topic, found: Field | None, dimension: Dimension) -> str:
    """Why a measure has no values in a dimension; empty if it has."""
    if topic not in dimension.topics:
        return f"events of {topic} have no value in dimension `{dimension.name}`"
    by_line = topic is Topic.ORDERS and dimension.by_line
    if by_line and kind not in (MeasureKind.COUNT, MeasureKind.DISTINCT) and found and not found.has_line_form:
        return f"`{found.name}` has no value per order line"
    return ""


def _unit(entry: MeasureDefinition, found: Field | None) -> Unit:
    if found is None or entry.kind in (MeasureKind.COUNT, MeasureKind.DISTINCT):
        return Unit.COUNT
    return _UNITS.get(found.type, Unit.COUNT)


def _described(entry: MeasureDefinition) -> str:
    """What the measure counts, in words."""
    events = " or ".join(entry.events)
    if entry.kind is MeasureKind.COUNT:
        text = f"{events} events"
    else:
        name = getattr(entry, entry.kind.value)
        text = {
            MeasureKind.SUM: f"sum of {name} of {events}",
            MeasureKind.DISTINCT: f"distinct {name} over {events}",
            MeasureKind.MIN: f"least {name} of {events}",
            MeasureKind.MAX: f"greatest {name} of {events}",
            MeasureKind.QUANTILES: f"quantiles of {name} of {events}",
        }[entry.kind]
    conditions = [f"with {entry.with_}"] if entry.with_ else []
    for name, condition in entry.conditions.items():
        sign = "" if condition.one_of is not None else "not "
        conditions.append(f"{name} {sign}{' or '.join(texts(condition.one_of or condition.not_ or ()))}")
    return f"{text}, {', '.join(conditions)}" if conditions else text
