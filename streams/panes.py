"""What panes hold, as an algebra: `zero`, `merge`, `coarsen`, `between`.

A pane is a step of event time, named by its start in seconds since the epoch. `Cells` are the additive counters of any
number of panes, `Sketches` their distinct counts; a `PaneDelta` is both, and is at once what a batch of events adds and
what a stored block holds. Merging is associative and commutative, so the batch sizes that led to a sum cannot be seen
in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.arrays import NO_INTS, Ints, radix_order, ranges
from streams.sketch import RANK_BITS, REGISTER_BITS, REGISTERS, Coupons

COUNTER_BITS = 6
DISTINCT_BITS = 2
ROW_BITS = 23
PANE_BITS = 34
"""Seconds since the epoch, up to the year 2514."""
MAX_ROWS = 1 << ROW_BITS

_ROW_MASK = (1 << ROW_BITS) - 1


@dataclass(frozen=True, slots=True)
class Cells:
    """Sums of counters. A key is `pane << 29 | row << 6 | counter`; keys are sorted and distinct, amounts parallel."""

    keys: Ints = field(default_factory=lambda: NO_INTS)
    amounts: Ints = field(default_factory=lambda: NO_INTS)

    @property
    def panes(self) -> Ints:
        """Start of each cell's pane, seconds since the epoch."""
        return self.keys >> (ROW_BITS + COUNTER_BITS)

    @property
    def rows(self) -> Ints:
        """Each cell's row."""
        return self.keys >> COUNTER_BITS & _ROW_MASK

    @property
    def counters(self) -> Ints:
        """Each cell's counter id."""
        return self.keys & ((1 << COUNTER_BITS) - 1)

    def sorted(self) -> Cells:
        """The same, for keys made in another order."""
        return _summed(self.keys, self.amounts)

    def between(self, start_s: int, end_s: int) -> Cells:
        """The cells of panes that start in [start_s, end_s)."""
        first, last = np.searchsorted(self.keys, [start_s << ROW_BITS + COUNTER_BITS, end_s << ROW_BITS + COUNTER_BITS])
        return Cells(self.keys[first:last], self.amounts[first:last])

    def of_row(self, row: int) -> Cells:
        """The cells of one row."""
        mine = self.rows == row
        return Cells(self.keys[mine], self.amounts[mine])

    def coarsen(self, step_s: int) -> Cells:
        """The same sums in panes of `step_s` seconds."""
        panes = self.panes
        return _summed(self.keys - (panes % step_s << ROW_BITS + COUNTER_BITS), self.amounts)


@dataclass(frozen=True, slots=True)
class Sketches:
    """Distinct counts. A group is `pane << 25 | row << 2 | distinct`; groups are sorted and distinct.

    The coupons of group i are `coupons[ends[i - 1]:ends[i]]`, sorted, one a register.
    """

    groups: Ints = field(default_factory=lambda: NO_INTS)
    ends: Ints = field(default_factory=lambda: NO_INTS)
    coupons: Coupons = field(default_factory=lambda: np.zeros(0, np.uint32))

    @property
    def panes(self) -> Ints:
        """Start of each group's pane, seconds since the epoch."""
        return self.groups >> (ROW_BITS + DISTINCT_BITS)

    @property
    def rows(self) -> Ints:
        """Each group's row."""
        return self.groups >> DISTINCT_BITS & _ROW_MASK

    @property
    def distincts(self) -> Ints:
        """Each group's distinct-count id."""
        return self.groups & ((1 << DISTINCT_BITS) - 1)

    @property
    def sizes(self) -> Ints:
        """How many coupons each group has."""
        return np.diff(self.ends, prepend=0)

    def sorted(self) -> Sketches:
        """The same, for groups made in another order."""
        return _united(self.groups, self.sizes, self.coupons)

    def between(self, start_s: int, end_s: int) -> Sketches:
        """The groups of panes that start in [start_s, end_s)."""
        first, last = np.searchsorted(
            self.groups, [start_s << ROW_BITS + DISTINCT_BITS, end_s << ROW_BITS + DISTINCT_BITS]
        )
        begin = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        return Sketches(
            self.groups[first:last],
            ends - begin,
            self.coupons[begin : int(ends[-1])] if len(ends) else self.coupons[:0],
        )

    def __bool__(self) -> bool:
        return bool(len(self.groups))

    def take(self, chosen: Ints) -> Sketches:
        """The groups at these places (ascending)."""
        sizes = self.sizes[chosen]
        starts = self.ends[chosen] - sizes
        return Sketches(self.groups[chosen], np.cumsum(sizes), self.coupons[ranges(starts, sizes)])

    def of_row(self, row: int) -> Sketches:
        """The groups of one row."""
        return self.take(np.flatnonzero(self.rows == row))

    def in_one_pane(self) -> Sketches:
        """The unions over all panes, in pane 0."""
        return _united(self.groups & ((1 << ROW_BITS + DISTINCT_BITS) - 1), self.sizes, self.coupons)

    def coarsen(self, step_s: int) -> Sketches:
        """The unions in panes of `step_s` seconds."""
        return _united(self.groups - (self.panes % step_s << ROW_BITS + DISTINCT_BITS), self.sizes, self.coupons)


@dataclass(frozen=True, slots=True)
class PaneDelta:
    """What some events add: counters in panes of 1 s, distinct counts in panes of 10 s (scope `sku`: 10 min)."""

    cells: Cells = field(default_factory=Cells)
    sketches: Sketches = field(default_factory=Sketches)

    def between(self, start_s: int, end_s: int) -> PaneDelta:
        """What falls in panes that start in [start_s, end_s)."""
        return PaneDelta(self.cells.between(start_s, end_s), self.sketches.between(start_s, end_s))

    def coarsen(self, counters_step_s: int, distincts_step_s: int) -> PaneDelta:
        """The same in coarser panes."""
        return PaneDelta(self.cells.coarsen(counters_step_s), self.sketches.coarsen(distincts_step_s))

    def cut(self, length_s: int) -> Iterator[tuple[int, PaneDelta]]:
        """The parts in each aligned stretch of `length_s` seconds that is not empty, with its start, in order."""
        cell_panes, group_panes = self.cells.panes, self.sketches.panes
        starts = np.unique(np.concatenate((cell_panes - cell_panes % length_s, group_panes - group_panes % length_s)))
        edges = np.concatenate((starts, starts[-1:] + length_s))
        cell_edges = np.searchsorted(cell_panes, edges).tolist()
        group_edges = np.searchsorted(group_panes, edges)
        coupon_edges = np.concatenate(([0], self.sketches.ends))[group_edges].tolist()
        group_edges = group_edges.tolist()
        keys, amounts = self.cells.keys, self.cells.amounts
        groups, ends, coupons = self.sketches.groups, self.sketches.ends, self.sketches.coupons
        for i, start in enumerate(starts.tolist()):
            cell, group, coupon = (slice(at[i], at[i + 1]) for at in (cell_edges, group_edges, coupon_edges))
            sketches = Sketches(groups[group], ends[group] - coupon.start, coupons[coupon])
            yield start, PaneDelta(Cells(keys[cell], amounts[cell]), sketches)

    def __bool__(self) -> bool:
        return bool(len(self.cells.keys) or len(self.sketches.groups))


ZERO = PaneDelta()


def merge_cells(parts: Sequence[Cells]) -> Cells:
    """The sum of all parts."""
    parts = [part for part in parts if len(part.keys)]
    if len(parts) <= 1:
        return parts[0] if parts else ZERO.cells
    return _summed(np.concatenate([part.keys for part in parts]), np.concatenate([part.amounts for part in parts]))


def merge_sketches(parts: Sequence[Sketches]) -> Sketches:
    """The union of all parts."""
    parts = [part for part in parts if len(part.groups)]
    if len(parts) <= 1:
        return parts[0] if parts else ZERO.sketches
    return _united(
        np.concatenate([part.groups for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.coupons for part in parts]),
    )


def merge(parts: Sequence[PaneDelta]) -> PaneDelta:
    """The sum of all parts: associative, commutative, `ZERO` changes nothing."""
    return PaneDelta(merge_cells([part.cells for part in parts]), merge_sketches([part.sketches for part in parts]))


def cell_keys(panes: Ints, rows: Ints, counters: Ints) -> Ints:
    """The keys of `Cells`."""
    return panes << ROW_BITS + COUNTER_BITS | rows << COUNTER_BITS | counters


def group_keys(panes: Ints, rows: Ints, distinct: Ints | int) -> Ints:
    """The groups of `Sketches`."""
    return panes << ROW_BITS + DISTINCT_BITS | rows << DISTINCT_BITS | distinct


def sketches_from(table: Ints, place: Ints, drawn: Ints) -> Sketches:
    """Sketches of single coupons: `drawn[i]` falls in group `table[place[i]]` (distinct, sorted).

    The coupons of a group come in the order of their registers.
    """
    if len(place) == 0:
        return ZERO.sketches
    by_group = radix_order(place, len(table))
    groups, drawn = place[by_group], drawn[by_group]
    registers = groups << REGISTER_BITS | drawn >> RANK_BITS
    firsts = np.flatnonzero(np.append(True, registers[1:] != registers[:-1]))
    greatest = np.maximum.reduceat(drawn, firsts)  # of a register's coupons the one with the greatest rank
    sizes = np.bincount(groups[firsts], minlength=len(table))
    return Sketches(table, np.cumsum(sizes), greatest.astype(np.uint32))


def side_by_side(parts: Sequence[Sketches]) -> Sketches:
    """The union of parts that have no group in common."""
    groups = np.concatenate([part.groups for part in parts])
    sizes = np.concatenate([part.sizes for part in parts])
    coupons = np.concatenate([part.coupons for part in parts])
    order = np.argsort(groups)
    starts = np.cumsum(sizes) - sizes
    return Sketches(groups[order], np.cumsum(sizes[order]), coupons[ranges(starts[order], sizes[order])])


def cells_from(panes: Ints, rows: Ints, place: Ints, measures: Sequence[tuple[Ints, Ints]], size: int) -> Cells:
    """Cells of single contributions.

    `panes` and `rows` are the distinct (pane, row) pairs, sorted; contribution i falls in pair `place[i]`. Each measure
    is for every contribution the counter (below `size`) and the amount. Sums of 0 are left out: absent means 0.
    """
    sums = np.zeros(len(panes) * size, np.int64)
    for counter, amount in measures:
        np.add.at(sums, place * size + counter, amount)
    at = np.flatnonzero(sums)
    pair, counters = np.divmod(at, size)
    return Cells(cell_keys(panes[pair], rows[pair], counters), sums[at])


def _summed(keys: Ints, amounts: Ints) -> Cells:
    """Cells with distinct keys, from keys in any order."""
    if len(keys) == 0:
        return ZERO.cells
    if np.all(keys[1:] > keys[:-1]):
        return Cells(keys, amounts)
    order = np.argsort(keys)
    keys, amounts = keys[order], amounts[order]
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return Cells(keys[firsts], np.add.reduceat(amounts, firsts))


def _united(groups: Ints, sizes: Ints, coupons: Coupons) -> Sketches:
    """Sketches with distinct groups, from groups in any order."""
    if len(groups) == 0:
        return ZERO.sketches
    if np.all(groups[1:] > groups[:-1]):
        return Sketches(groups, np.cumsum(sizes), coupons)
    table, place = np.unique(groups, return_inverse=True)
    place, drawn = np.repeat(place, sizes), coupons.astype(np.int64)
    by_register = radix_order(drawn >> RANK_BITS, REGISTERS)
    return sketches_from(table, place[by_register], drawn[by_register])
