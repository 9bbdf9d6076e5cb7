"""Columns of integers in as few bytes as they need."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints

_TYPES = tuple(np.dtype(kind) for kind in ("<u1", "<u2", "<u4", "<i8"))

_RISING = 0x80
"""Added to the place of the type where not the items follow but their differences."""

_Number = TypeVar("_Number", np.int64, np.uint32)

Column = bytes | list[int]
"""The items, one by one or packed: a byte that is the place of their type in `_TYPES`, then the items."""


def pack(numbers: npt.NDArray[Any]) -> Column:
    """The column of some numbers, packed."""
    if len(numbers) == 0:
        return []
    kind = _kind(numbers)
    return b"".join((bytes((kind,)), numbers.astype(_TYPES[kind]).data))


def pack_delta_encoded(numbers: npt.NDArray[Any]) -> Column:
    """The column of numbers that mostly rise by little, packed so that they compress well.

    Differences that wrap around where they fall; of all of them first the lowest byte, then the next.
    """
    if len(numbers) == 0:
        return []
    kind = _kind(numbers)
    items = numbers.astype(_TYPES[kind])
    steps = np.diff(items, prepend=items.dtype.type(0))
    return b"".join((bytes((_RISING | kind,)), steps.view(np.uint8).reshape(len(steps), -1).T.tobytes()))


def unpack(column: Column) -> Ints:
    """The numbers of a column."""
    return _unpacked(column, np.int64)


def unpack_uint32(column: Column) -> npt.NDArray[np.uint32]:
    """The numbers of a column, each in [0, 2**32)."""
    return _unpacked(column, np.uint32)


def _unpacked(column: Column, kind: type[_Number]) -> npt.NDArray[_Number]:
    if isinstance(column, list):
        return np.array(column, kind)
    held = _TYPES[column[0] & ~_RISING]
    if column[0] & _RISING:
        planes = np.frombuffer(column, np.uint8, offset=1).reshape(held.itemsize, -1)
        steps = np.ascontiguousarray(planes.T).view(held).ravel()
        return np.cumsum(steps, dtype=held).astype(kind, copy=False)
    return np.frombuffer(column, held, offset=1).astype(kind)


def _kind(numbers: npt.NDArray[Any]) -> int:
    """Place of the smallest type that holds them."""
    low, high = int(numbers.min()), int(numbers.max())
    return next(i for i, kind in enumerate(_TYPES) if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
