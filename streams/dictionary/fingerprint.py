"""The fingerprint of a model: equal for models that count and answer the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from consumers.topics import Topic
from streams.dictionary.types import DimensionKind, Model

_IGNORED = frozenset({"id", "about", "good", "since_ms"})
"""Texts, ids and times do not change what is counted. Nor does the order of definitions."""


def fingerprint_of(model: Model, timezone: str) -> str:
    """16 hexadecimal digits.

    `timezone`: of the shop; it counts only if the model has a clock dimension. The decimal places of money are in the
    edges of bands, which are in minor units.
    """
    has_clock = any(dimension.kind is DimensionKind.CLOCK for dimension in model.dimensions.values())
    content = {
        "fields": {str(topic): dict(types) for topic, types in model.own_fields.items()},
        "dimensions": _canonical(model.dimensions.values()),
        "measures": _canonical(model.measures.values()),
        "metrics": _canonical(model.metrics.values()),
        "timezone": timezone if has_clock else "",
    }
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
