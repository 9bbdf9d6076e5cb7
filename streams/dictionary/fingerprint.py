"""The fingerprint of a model: equal for models that count and answer the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from consumers.topics import Topic
from streams.dictionary.fields import fields_with
from streams.dictionary.types import DimensionKind, Model

_IGNORED = frozenset({"id", "about", "good", "since_ms", "names_scopes"})
"""Texts, ids and times do not change what is counted. Nor does the order of definitions."""


def fingerprint_of(model: Model, timezone: str) -> str:
    """16 hexadecimal digits.

    `timezone`: of the shop; it counts only if the model has a clock dimension. The decimal places of money are in the
    edges of bands, which are in minor units.
    """
    has_clock = any(dimension.kind is DimensionKind.CLOCK for dimension in model.dimensions.values())
    return _hash(
        {
            "fields": {str(topic): dict(types) for topic, types in model.own_fields.items()},
            "dimensions": _canonical(model.dimensions.values()),
            "measures": _canonical(model.measures.values()),
            "metrics": _canonical(model.metrics.values()),
            "timezone": timezone if has_clock else "",
        }
    )


def dimension_hashes(model: Model, timezone: str) -> Mapping[str, str]:
    """# <dimension: 16 hexadecimal digits>, other ones if it counts something else

    They are stored: only what is given is part of them, so that a new property changes those alone that have it.
    """
    hashes: dict[str, str] = {}
    crossings_last = sorted(model.dimensions.values(), key=lambda dimension: dimension.kind is DimensionKind.CROSS)
    for dimension in crossings_last:
        content = {
            "kind": dimension.kind,
            "topics": sorted(dimension.topics),
            "field": dimension.field,
            "types": {topic: model.own_fields.get(topic, {}).get(dimension.field, "") for topic in dimension.topics},
            "edges": dimension.edges,
            "labels": dimension.labels,
            "parts": {part: hashes[part] for part in dimension.parts},
            "distincts": dimension.distincts,
            "timezone": timezone if dimension.kind is DimensionKind.CLOCK else "",
        }
        hashes[dimension.name] = _hash_of_given(content)
    return hashes


def measure_hashes(model: Model, timezone: str) -> Mapping[str, str]:
    """# <measure: 16 hexadecimal digits>, other ones if it counts something else

    Scopes make a difference only where the definition names them: a dimension that is added later has a `since_ms` of
    its own. They are stored, see `dimension_hashes`.
    """
    of_dimensions, fields = dimension_hashes(model, timezone), fields_with(model.own_fields)
    hashes = {}
    for measure in model.measures.values():
        own = model.own_fields.get(measure.topic, {})
        is_field = fields[measure.topic].of_event
        content = {
            "kind": measure.kind,
            "topic": measure.topic,
            "types": sorted(measure.types),
            "field": measure.field,
            "type": own.get(measure.field, ""),
            "where": sorted(
                [
                    test.field,
                    test.negated,
                    *sorted(test.values),
                    own.get(test.field, "") if test.field in is_field else of_dimensions[test.field],
                ]
                for test in measure.where
            ),
            "scopes": sorted(measure.scopes) if measure.names_scopes else (),
            "source": measure.source,
        }
        hashes[measure.name] = _hash_of_given(content)
    return hashes


def _hash_of_given(content: Mapping[str, Any]) -> str:
    return _hash({name: value for name, value in content.items() if value})


def _hash(content: Any) -> str:
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=8).hexdigest()


def _canonical(parts: Iterable[Any]) -> Mapping[str, Any]:
    return {part.name: _plain(part) for part in parts}


def _plain(value: Any) -> Any:
    """A value without what is ignored, sets sorted."""
    if isinstance(value, Struct):
        names = value.__struct_fields__
        return [type(value).__name__, *(_plain(getattr(value, name)) for name in names if name not in _IGNORED)]
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Topic) else value
