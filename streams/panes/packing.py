"""Columns of integers in as few bytes as they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints

_TYPES = tuple(np.dtype(kind) for kind in ("<u1", "<u2", "<u4", "<i8"))

Column = bytes | list[int]
"""The items, one by one or packed: a byte that is the place of their type in `_TYPES`, then the items."""


def pack(numbers: npt.NDArray[Any]) -> Column:
    """The column of some numbers, packed."""
    if len(numbers) == 0:
        return []
    low, high = int(numbers.min()), int(numbers.max())
    kind = next(i for i, kind in enumerate(_TYPES) if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return b"".join((bytes((kind,)), numbers.astype(_TYPES[kind]).data))


def unpack(column: Column) -> Ints:
    """The numbers of a column."""
    if isinstance(column, list):
        return np.array(column, np.int64)
    return np.frombuffer(column, _TYPES[column[0]], offset=1).astype(np.int64)
