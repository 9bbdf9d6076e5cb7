"""Sharing the series budget: which scopes get how many values on /metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")


def share(wanted: Mapping[K, int], available: int) -> dict[K, int]:
    """How many rows each gets: all it wants where that is little; what is short is shared evenly."""
    given: dict[K, int] = {}
    for place, (key, rows) in enumerate(sorted(wanted.items(), key=lambda pair: (pair[1], str(pair[0])))):
        given[key] = min(rows, available // (len(wanted) - place))
        available -= given[key]
    return given
