"""Distinct counts of any number of panes and rows, as sorted arrays. A single sketch: `streams.panes.sketch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from streams.panes.arrays import NO_INTS, Ints, is_first, numbered, radix_order, ranges
from streams.panes.cells import ROW_BITS, ROW_MASK
from streams.panes.sketch import RANK_BITS, REGISTER_BITS, REGISTER_ENTRY_BITS, RegisterEntries

DISTINCT_BITS = 2
_AT_ONCE = 250_000
"""Register entries per union step: fits the CPU cache."""


@dataclass(frozen=True, slots=True)
class Sketches:
    """Distinct counts. Group: `pane << 25 | row << 2 | distinct`, sorted and distinct.

    Group i has the register entries `register_entries[ends[i - 1]:ends[i]]`, sorted, one per register.
    """

    groups: Ints = field(default_factory=lambda: NO_INTS)
    ends: Ints = field(default_factory=lambda: NO_INTS)
    register_entries: RegisterEntries = field(default_factory=lambda: np.zeros(0, np.uint32))

    @property
    def panes(self) -> Ints:
        """Start of each group's pane, epoch seconds."""
        return self.groups >> (ROW_BITS + DISTINCT_BITS)

    @property
    def rows(self) -> Ints:
        """Row of each group."""
        return self.groups >> DISTINCT_BITS & ROW_MASK

    @property
    def distincts(self) -> Ints:
        """Distinct-count id of each group."""
        return self.groups & ((1 << DISTINCT_BITS) - 1)

    @property
    def sizes(self) -> Ints:
        """Number of register entries of each group."""
        return np.diff(self.ends, prepend=0)

    def sorted(self) -> Sketches:
        """The same sketches for groups in any order."""
        if _ascends(self.groups):
            return self
        order = np.argsort(self.groups, kind="stable")
        if _ascends(self.groups[order]):  # no duplicate groups: reorder them whole
            return self.take(order)
        return _united(self.groups, self.sizes, self.register_entries)

    def between(self, start_s: int, end_s: int) -> Sketches:
        """Groups of panes that start in [start_s, end_s)."""
        first, last = np.searchsorted(
            self.groups, [start_s << ROW_BITS + DISTINCT_BITS, end_s << ROW_BITS + DISTINCT_BITS]
        )
        return self.stretch(int(first), int(last))

    def stretch(self, first: int, last: int) -> Sketches:
        """Groups at the indexes [first, last)."""
        begin = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        end = int(ends[-1]) if len(ends) else begin
        return Sketches(self.groups[first:last], ends - begin, self.register_entries[begin:end])

    def __bool__(self) -> bool:
        return bool(len(self.groups))

    def take(self, chosen: Ints) -> Sketches:
        """Groups at these indexes, in this order."""
        sizes = self.sizes[chosen]
        starts = self.ends[chosen] - sizes
        return Sketches(self.groups[chosen], np.cumsum(sizes), self.register_entries[ranges(starts, sizes)])

    def of_row(self, row: int) -> Sketches:
        """Groups of one row."""
        return self.take(np.flatnonzero(self.rows == row))

    def in_one_pane(self) -> Sketches:
        """Unions over all panes, in pane 0."""
        return _united(self.groups & ((1 << ROW_BITS + DISTINCT_BITS) - 1), self.sizes, self.register_entries)

    def coarsen(self, step_s: int) -> Sketches:
        """Unions in panes of `step_s` seconds."""
        return _united(
            self.groups - (self.panes % step_s << ROW_BITS + DISTINCT_BITS), self.sizes, self.register_entries
        )


NO_SKETCHES = Sketches()


def _ascends(numbers: Ints) -> bool:
    return bool(np.all(numbers[1:] > numbers[:-1]))


def merge_sketches(parts: Sequence[Sketches]) -> Sketches:
    """The union of all parts."""
    parts = [part for part in parts if len(part.groups)]
    if len(parts) <= 1:
        return parts[0] if parts else NO_SKETCHES
    return _in_a_row([_united(*_one_after_another(beside)) for beside in _slices(parts)])


def group_keys(panes: Ints, rows: Ints, distinct: Ints | int) -> Ints:
    """Groups of `Sketches`."""
    return panes << ROW_BITS + DISTINCT_BITS | rows << DISTINCT_BITS | distinct


def sketches_from(table: Ints, place: Ints, drawn: Ints) -> Sketches:
    """Sketches from single register entries: `drawn[i]` belongs to group `table[place[i]]` (distinct, sorted).

    The entries of a group are ordered by register.
    """
    if len(place) == 0:
        return NO_SKETCHES
    by_group = radix_order(place, len(table))
    groups, drawn = place[by_group], drawn[by_group]
    registers = groups << REGISTER_BITS | drawn >> RANK_BITS
    firsts = np.flatnonzero(is_first(registers))
    greatest = np.maximum.reduceat(drawn, firsts)  # keep the greatest rank of each register
    sizes = np.bincount(groups[firsts], minlength=len(table))
    return Sketches(table, np.cumsum(sizes), greatest.astype(np.uint32))


def merge_disjoint(parts: Sequence[Sketches]) -> Sketches:
    """The union of parts without common groups."""
    groups, sizes, register_entries = _one_after_another(parts)
    order = np.argsort(groups)
    starts = np.cumsum(sizes) - sizes
    return Sketches(groups[order], np.cumsum(sizes[order]), register_entries[ranges(starts[order], sizes[order])])


def _one_after_another(parts: Sequence[Sketches]) -> tuple[Ints, Ints, RegisterEntries]:
    """Groups, sizes and register entries of all parts, concatenated."""
    return (
        np.concatenate([part.groups for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.register_entries for part in parts]),
    )


def _in_a_row(parts: Sequence[Sketches]) -> Sketches:
    """The union of parts whose groups ascend from part to part."""
    if len(parts) == 1:
        return parts[0]
    groups, sizes, register_entries = _one_after_another(parts)
    return Sketches(groups, np.cumsum(sizes), register_entries)


def _slices(parts: Sequence[Sketches]) -> Iterator[list[Sketches]]:
    """All parts cut at the same groups into slices of about `_AT_ONCE` register entries."""
    slices = -(-sum(len(part.register_entries) for part in parts) // _AT_ONCE)
    largest = max(parts, key=lambda part: len(part.register_entries))
    cuts = np.searchsorted(largest.ends, np.arange(1, slices) * len(largest.register_entries) // slices)
    at = [[0, *np.searchsorted(part.groups, largest.groups[cuts]).tolist(), len(part.groups)] for part in parts]
    for edges in zip(*map(pairwise, at), strict=True):
        beside = [part.stretch(first, last) for part, (first, last) in zip(parts, edges, strict=True) if first < last]
        if beside:
            yield beside


def _united(groups: Ints, sizes: Ints, register_entries: RegisterEntries) -> Sketches:
    """Sketches with distinct groups, from groups in any order."""
    if len(groups) == 0:
        return NO_SKETCHES
    if _ascends(groups):
        return Sketches(groups, np.cumsum(sizes), register_entries)
    table, place = numbered(groups, np.argsort(groups, kind="stable"))
    # Sorted parts are runs of these keys, which a stable sort merges.
    keys = np.repeat(place << REGISTER_ENTRY_BITS, sizes) | register_entries
    keys.sort(kind="stable")
    registers = keys >> RANK_BITS
    keys = keys[np.append(registers[1:] != registers[:-1], True)]  # keep the greatest rank of each register
    ends = np.searchsorted(keys, np.arange(1, len(table) + 1) << REGISTER_ENTRY_BITS)
    return Sketches(table, ends, (keys & ((1 << REGISTER_ENTRY_BITS) - 1)).astype(np.uint32))
