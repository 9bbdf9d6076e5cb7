"""HyperLogLog registers in memory: the union of register entries of several sketches, and their estimates.

A sketch is one distinct count of one row. All registers of a sketch take 64 kB, an entry of a non-zero one 4 bytes:
unions of few entries are kept as entries, unions of more than `DENSE_ENTRIES` as registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.names import ALL
from streams.dictionary.types import Model
from streams.panes.arrays import Ints, is_first, ranges
from streams.panes.counters import DISTINCTS
from streams.panes.sketches import (
    NO_SKETCHES,
    RANK_BITS,
    REGISTER_ENTRY_BITS,
    REGISTERS,
    Sketches,
    estimate_all,
    merge_sketches,
)

SketchEntries: TypeAlias = npt.NDArray[np.uint32]
"""Register entries of several sketches: `sketch << 22 | entry`."""
Registers: TypeAlias = npt.NDArray[np.uint8]
"""Ranks by `sketch << 16 | register`."""

N_DISTINCTS = len(DISTINCTS)
"""Sketches of a row in the built-in model."""
ROW_REGISTERS = N_DISTINCTS * REGISTERS
"""Registers of these."""
DENSE_ENTRIES = 20_000
"""From this many entries on, uniting whole registers is faster."""
DENSE_ROWS = 64
"""Up to this many rows, uniting whole registers is faster than sorting entries."""
_MOST_SKETCHES = 1 << 32 - REGISTER_ENTRY_BITS
"""Maximum number of sketches in `SketchEntries`."""
_RANK_MASK = (1 << RANK_BITS) - 1


@dataclass(frozen=True, slots=True)
class DistinctSlots:
    """The distinct counts of a dimension."""

    count: int
    slot_of: npt.NDArray[np.int8]
    """# [id of a distinct count]: index of its sketch in a row, -1 for one that the dimension lacks"""

    def placed(self, sketches: Sketches) -> tuple[Sketches, Ints]:
        """The sketches that the dimension has, and the index of each in its row."""
        slots = self.slot_of[sketches.distincts].astype(np.int64)
        known = slots >= 0
        return (sketches, slots) if known.all() else (sketches.take(np.flatnonzero(known)), slots[known])


def distinct_slots(model: Model, scope: str) -> DistinctSlots:
    """The distinct counts of a dimension of a model."""
    slot_of = model.distinct_slot[model.dimensions[scope].id]
    return DistinctSlots(int(slot_of.max()) + 1, slot_of)


_BUILT_IN = distinct_slots(BUILT_IN, ALL)


def empty_registers(rows: int = 1, distincts: int = N_DISTINCTS) -> Registers:
    """Registers that are all 0, of a number of rows with this many sketches each."""
    return np.zeros(rows * distincts * REGISTERS, np.uint8)


def entries_by_sketch(sketches: Sketches, sketch_ids: Ints | None = None) -> SketchEntries:
    """All register entries, in their order. `sketch_ids`: the sketch of each group; None: its distinct count."""
    ids = sketches.distincts if sketch_ids is None else sketch_ids
    return np.repeat((ids << REGISTER_ENTRY_BITS).astype(np.uint32), sketches.sizes) | sketches.register_entries


def raise_to(registers: Registers, entries: SketchEntries) -> None:
    """Raise registers to the ranks of entries."""
    np.maximum.at(registers, entries >> RANK_BITS, (entries & _RANK_MASK).astype(np.uint8))


def entries_of(registers: Registers) -> SketchEntries:
    """The entries of all registers that are not 0."""
    indexes = _nonzero(registers)
    return (indexes << RANK_BITS | registers[indexes]).astype(np.uint32)


def histograms(registers: Registers) -> npt.NDArray[np.int64]:
    """How many registers of each sketch have each rank: [sketch, rank]."""
    indexes = _nonzero(registers)
    return _completed(indexes // REGISTERS << RANK_BITS | registers[indexes], len(registers) // REGISTERS)


def estimates(registers: Registers, distincts: int = N_DISTINCTS) -> list[list[int]]:
    """Distinct counts: [row][distinct], for rows with this many sketches each."""
    counted: list[list[int]] = estimate_all(histograms(registers)).reshape(-1, distincts).tolist()
    return counted


class DistinctUnion:
    """The union of panes of some rows of a dimension, whatever their order and repetition."""

    def __init__(self, rows: Ints, slots: DistinctSlots = _BUILT_IN) -> None:
        self._place = _places(rows)
        self._rows = len(rows)
        self._slots = slots
        dense = self._rows <= min(DENSE_ROWS, _MOST_SKETCHES // slots.count)
        self._registers = empty_registers(self._rows, slots.count) if dense else None
        self._total = NO_SKETCHES

    def take(self, parts: Iterable[Sketches]) -> None:
        """Unite with more panes."""
        wanted = [part.take(np.flatnonzero(self._is_wanted(part.rows))) for part in parts]
        if self._registers is None:
            self._total = merge_sketches([self._total, *(part.in_one_pane() for part in wanted)])
            return
        for part in wanted:
            raise_to(self._registers, entries_by_sketch(*self._sketch_ids(part)))

    def counts(self) -> list[list[int]]:
        """Distinct counts: [row][distinct], rows in the order given."""
        if self._registers is not None:
            return estimates(self._registers, self._slots.count)
        total, sketch_ids = self._sketch_ids(self._total)
        sketch = np.repeat(sketch_ids, total.sizes)
        distincts = self._slots.count
        by_rank = _completed(sketch << RANK_BITS | (total.register_entries & _RANK_MASK), self._rows * distincts)
        counted: list[list[int]] = estimate_all(by_rank).reshape(self._rows, distincts).tolist()
        return counted

    def _sketch_ids(self, sketches: Sketches) -> tuple[Sketches, Ints]:
        """The sketches that the dimension has, and the number of each."""
        known, slots = self._slots.placed(sketches)
        return known, self._place[known.rows] * self._slots.count + slots

    def _is_wanted(self, rows: Ints) -> npt.NDArray[np.bool_]:
        index_of = self._place
        known = rows < len(index_of)
        return known & (index_of[np.where(known, rows, 0)] >= 0) if len(index_of) else known


def select_rows(sketches: Sketches, dimension_of: Ints, slot_of: npt.NDArray[np.int8]) -> tuple[Sketches, Ints]:
    """The groups of wanted rows, and the index of each in its row.

    `dimension_of`: # [row]: id of its dimension, -1 for one that is not wanted. `slot_of`: see `Model.distinct_slot`.
    """
    rows = sketches.rows
    known = rows < len(dimension_of)
    chosen = sketches.take(np.flatnonzero(known & (dimension_of[np.where(known, rows, 0)] >= 0)))
    slots = slot_of[dimension_of[chosen.rows], chosen.distincts].astype(np.int64)
    if len(slots) and slots.min() < 0:
        return chosen.take(np.flatnonzero(slots >= 0)), slots[slots >= 0]
    return chosen, slots


def by_pane_and_row(parts: Sequence[tuple[Sketches, Ints]]) -> Iterator[tuple[int, int, SketchEntries]]:
    """# (pane, row, entries) of all parts, which come with the index of each sketch in its row"""
    panes = np.concatenate([part.panes for part, _ in parts])
    if not len(panes):
        return
    rows = np.concatenate([part.rows for part, _ in parts])
    sizes = np.concatenate([part.sizes for part, _ in parts])
    entries = np.concatenate([entries_by_sketch(part, slots) for part, slots in parts])
    order = np.lexsort((rows, panes))
    starts = (np.cumsum(sizes) - sizes)[order]
    panes, rows, sizes = panes[order], rows[order], sizes[order]
    entries = entries[ranges(starts, sizes)]
    first = np.flatnonzero(is_first(panes) | is_first(rows))
    edges = np.append(np.cumsum(sizes) - sizes, len(entries))[np.append(first, len(panes))].tolist()
    for i, (pane, row) in enumerate(zip(panes[first].tolist(), rows[first].tolist(), strict=True)):
        yield pane, row, entries[edges[i] : edges[i + 1]]


def _places(rows: Ints) -> Ints:
    """For each row number its index in `rows`, -1 if it is not among them."""
    index_of = np.full(int(rows.max()) + 1 if len(rows) else 0, -1, np.int64)
    index_of[rows] = np.arange(len(rows))
    return index_of


def _nonzero(registers: Registers) -> Ints:
    return np.flatnonzero(registers != 0)  # ten times as fast on booleans


def _completed(sketch_ranks: Ints, sketches: int) -> npt.NDArray[np.int64]:
    """Histograms of the non-zero registers (`sketch << 6 | rank`), with the registers that are 0: [sketch, rank]."""
    by_rank: npt.NDArray[np.int64] = np.bincount(sketch_ranks, minlength=sketches << RANK_BITS).reshape(
        -1, 1 << RANK_BITS
    )
    by_rank[:, 0] = REGISTERS - by_rank.sum(axis=1)
    return by_rank
