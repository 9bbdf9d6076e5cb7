"""Compiles the dimensions of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

from consumers.contract.own_fields import FieldType
from consumers.topics import EVENT_TOPICS, Topic
from streams.dictionary.definitions import DimensionDefinition
from streams.dictionary.faults import DependentError, UnfitError, joined, near_miss
from streams.dictionary.fields import Field, TopicFields, stored_number
from streams.dictionary.names import RESERVED_DIMENSIONS, SKU
from streams.dictionary.types import Dimension, DimensionKind

_EVERY_TOPIC = frozenset(EVENT_TOPICS)


def compile_dimension(
    entry: DimensionDefinition,
    dimension_id: int,
    known: Mapping[str, Dimension],
    fields: Mapping[Topic, TopicFields],
    exponent: int,
    since_ms: int | None = None,
) -> Dimension:
    """The dimension of an entry that is no crossing.

    Raises:
        UnfitError: its field is unknown or of another type, or its name is taken.
    """
    check_dimension_name(entry, known)
    found: Mapping[Topic, Field] = {}
    edges: tuple[int, ...] = ()
    if entry.bands is not None:
        found = _fields_of(entry.bands, "bands", fields)
        number = next(iter(found.values()))
        if not number.is_numeric:
            raise UnfitError(f"`{number.name}` is a {number.type}: bands need a number", "bands")
        edges = _edges(entry, exponent if number.type is FieldType.MONEY else 0)
    elif entry.field is not None:
        found = _fields_of(entry.field, "field", fields)
        label = next(iter(found.values()))
        if label.is_numeric:
            fix = f"write `bands: {label.name}` with edges and labels"
            raise UnfitError(f"`{label.name}` is a number: {fix}", "field")
    return Dimension(
        id=dimension_id,
        name=entry.name,
        kind=entry.kind,
        topics=frozenset(found) or _EVERY_TOPIC,
        field=entry.field or entry.bands or "",
        edges=edges,
        labels=entry.labels,
        by_line=any(field.of_items for field in found.values()),
        distincts=entry.distincts or entry.kind is DimensionKind.ALL,
        coarse_distincts=entry.coarse_distincts or entry.field == SKU,
        since_ms=since_ms,
    )


def compile_crossing(
    entry: DimensionDefinition,
    dimension_id: int,
    known: Mapping[str, Dimension],
    broken: Collection[str],
    since_ms: int | None = None,
) -> Dimension:
    """The dimension of a crossing.

    Raises:
        UnfitError: a part is unknown, a crossing itself, repeated, or no topic has all parts.
        DependentError: a part is among the `broken` ones.
    """
    check_dimension_name(entry, known)
    parts = entry.cross or ()
    for i, name in enumerate(parts):
        if name in broken:
            raise DependentError
        if name not in known:
            raise UnfitError(f"there is no dimension `{name}`{near_miss(name, known)}", "cross", i)
        if known[name].kind in (DimensionKind.ALL, DimensionKind.CROSS):
            kind = "has one value only" if known[name].kind is DimensionKind.ALL else "is a crossing itself"
            raise UnfitError(f"`{name}` {kind}: remove it, or name its parts", "cross", i)
        if name in parts[:i]:
            raise UnfitError(f"`{name}` is in `cross` twice: remove one", "cross", i)
    crossed = [known[name] for name in parts]
    topics = frozenset.intersection(*(dimension.topics for dimension in crossed))
    if not topics:
        where = "; ".join(f"`{dimension.name}` is on {', '.join(sorted(dimension.topics))}" for dimension in crossed)
        raise UnfitError(f"no topic has all parts: {where}", "cross")
    return Dimension(
        id=dimension_id,
        name=entry.name,
        kind=DimensionKind.CROSS,
        topics=topics,
        parts=parts,
        by_line=any(dimension.by_line for dimension in crossed),
        distincts=entry.distincts,
        coarse_distincts=any(dimension.coarse_distincts for dimension in crossed),
        since_ms=since_ms,
    )


def check_dimension_name(entry: DimensionDefinition, known: Mapping[str, Dimension]) -> None:
    """Raise UnfitError if the name is taken."""
    if entry.name in known:
        raise UnfitError(f"there is a dimension `{entry.name}` already: rename or remove this one", "name")
    if entry.name in RESERVED_DIMENSIONS:
        raise UnfitError(f"`{entry.name}` is a label of alerts or metrics: choose another name", "name")


def _fields_of(name: str, at: str, fields: Mapping[Topic, TopicFields]) -> Mapping[Topic, Field]:
    """# <topic: the field of this name>, of one type"""
    found = {topic: field for topic, of_topic in fields.items() if (field := of_topic.find(name))}
    if not found:
        known = sorted({known for of_topic in fields.values() for known in of_topic.names})
        raise UnfitError(f"there is no field `{name}` on {joined(list(fields))}{near_miss(name, known)}", at)
    if len({field.is_numeric for field in found.values()}) > 1 or len({field.type for field in found.values()}) > 1:
        types = joined([f"{topic}: {field.type}" for topic, field in found.items()])
        raise UnfitError(f"`{name}` has several types ({types}): rename one of the fields", at)
    return found


def _edges(entry: DimensionDefinition, exponent: int) -> tuple[int, ...]:
    """The edges in stored units."""
    edges = []
    for i, text in enumerate(entry.edges):
        try:
            edges.append(stored_number(text, exponent))
        except ValueError as error:
            raise UnfitError(f"the edge {error}", "edges", i) from None
    for i, (lower, upper) in enumerate(pairwise(edges), 1):
        if lower >= upper:
            raise UnfitError(f"the edge {entry.edges[i]} is not above {entry.edges[i - 1]}: sort them", "edges", i)
    return tuple(edges)
