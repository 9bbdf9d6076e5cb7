"""Array helpers of the pane algebra."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
"""One-dimensional, int64."""

NO_INTS: Ints = np.zeros(0, np.int64)


def unique_inverse(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """The sorted distinct values of `codes`, each in [0, size), and the index of each code among them.

    Uses a lookup table of `size` if that is not much larger than the input, else sorts.
    """
    if size > 8 * len(codes) + 65_536:
        return numbered(codes, radix_order(codes, size))
    present = np.zeros(size, np.bool_)
    present[codes] = True
    distinct = np.flatnonzero(present)
    index_of = np.empty(size, np.int64)
    index_of[distinct] = np.arange(len(distinct))
    return distinct, index_of[codes]


def is_first(items: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which items differ from their predecessor: the first of each run."""
    first = np.ones(len(items), np.bool_)
    np.not_equal(items[1:], items[:-1], out=first[1:])
    return first


def numbered(numbers: Ints, order: Ints) -> tuple[Ints, Ints]:
    """The sorted distinct values of numbers that `order` sorts, and the index of each number among them."""
    ordered = numbers[order]
    first = is_first(ordered)
    index_of = np.empty(len(numbers), np.int64)
    index_of[order] = np.cumsum(first) - 1
    return ordered[first], index_of


def places(numbers: Ints) -> tuple[Ints, Ints]:
    """The sorted distinct values of at least one number, and the index of each number among them."""
    least = int(numbers.min())
    distinct, index_of = unique_inverse(numbers - least, int(numbers.max()) - least + 1)
    return distinct + least, index_of


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The integers of each [start, start + length), concatenated."""
    total = int(lengths.sum())
    shift = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) if total else NO_INTS
    return shift + np.arange(total)


def stretch_of(ends: Ints, first: int, last: int) -> tuple[slice, Ints]:
    """Of parts in a row that end at `ends`: where the items of the parts [first, last) are, and their ends there."""
    begin = int(ends[first - 1]) if first else 0
    kept = ends[first:last]
    return slice(begin, int(kept[-1]) if len(kept) else begin), kept - begin


def parts_at(ends: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Of parts in a row that end at `ends`: the indexes of the items of some parts, in this order, and their ends."""
    sizes = np.diff(ends, prepend=0)[chosen]
    return ranges(ends[chosen] - sizes, sizes), np.cumsum(sizes)


def among(numbers: Ints, some: Ints) -> npt.NDArray[np.bool_]:
    """Mask of the `numbers` that are among `some`; both non-negative."""
    present = np.zeros(1 + int(max(numbers.max(initial=0), some.max(initial=0))), np.bool_)
    present[some] = True
    return present[numbers]


def radix_order(numbers: Ints, bound: int) -> Ints:
    """The permutation that sorts numbers in [0, bound): 16 bits at a time, which numpy sorts in linear time."""
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, (bound - 1).bit_length(), 16):
        order = order[np.argsort((numbers >> shift).astype(np.uint16)[order], kind="stable")]
    return order
