"""Compact encoding of integer columns."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints

_TYPES = tuple(np.dtype(kind) for kind in ("<u1", "<u2", "<u4", "<i8"))

_RISING = 0x80
"""Flag of the type code for delta encoding."""

_Number = TypeVar("_Number", np.int64, np.uint32)

Column = bytes | list[int]
"""Plain integers, or bytes: a type code (index in `_TYPES`), then the items."""


def pack(numbers: npt.NDArray[Any]) -> Column:
    """Pack a column."""
    if len(numbers) == 0:
        return []
    kind = _kind(numbers)
    return b"".join((bytes((kind,)), numbers.astype(_TYPES[kind]).data))


def pack_delta_encoded(numbers: npt.NDArray[Any]) -> Column:
    """Pack a mostly ascending column so that it compresses well.

    Differences wrap around where values fall; stored as the lowest bytes of all items, then the next bytes.
    """
    if len(numbers) == 0:
        return []
    kind = _kind(numbers)
    items = numbers.astype(_TYPES[kind])
    steps = np.diff(items, prepend=items.dtype.type(0))
    return b"".join((bytes((_RISING | kind,)), steps.view(np.uint8).reshape(len(steps), -1).T.tobytes()))


def unpack(column: Column) -> Ints:
    """Unpack a column."""
    return _unpacked(column, np.int64)


def unpack_uint32(column: Column) -> npt.NDArray[np.uint32]:
    """Unpack a column of numbers in [0, 2**32)."""
    return _unpacked(column, np.uint32)


def _unpacked(column: Column, kind: type[_Number]) -> npt.NDArray[_Number]:
    if isinstance(column, list):
        return np.array(column, kind)
    stored_type = _TYPES[column[0] & ~_RISING]
    if column[0] & _RISING:
        planes = np.frombuffer(column, np.uint8, offset=1).reshape(stored_type.itemsize, -1)
        steps = np.ascontiguousarray(planes.T).view(stored_type).ravel()
        return np.cumsum(steps, dtype=stored_type).astype(kind, copy=False)
    return np.frombuffer(column, stored_type, offset=1).astype(kind)


def _kind(numbers: npt.NDArray[Any]) -> int:
    """Index of the smallest type that fits."""
    low, high = int(numbers.min()), int(numbers.max())
    return next(i for i, kind in enumerate(_TYPES) if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
