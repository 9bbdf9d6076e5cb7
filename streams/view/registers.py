"""HyperLogLog registers in memory: the union of register entries of several sketches, and their estimates.

A sketch is one distinct count of one row. All registers of a sketch take 64 kB, an entry of a non-zero one 4 bytes:
unions of few entries are kept as entries, unions of more than `DENSE_ENTRIES` as registers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streams.panes.arrays import Ints
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
ROW_REGISTERS = N_DISTINCTS * REGISTERS
"""Registers of the sketches of one row."""
DENSE_ENTRIES = 20_000
"""From this many entries on, uniting whole registers is faster."""
DENSE_ROWS = 64
"""Up to this many rows, uniting whole registers is faster than sorting entries."""
_RANK_MASK = (1 << RANK_BITS) - 1


def empty_registers(rows: int = 1) -> Registers:
    """Registers that are all 0, of a number of rows."""
    return np.zeros(rows * ROW_REGISTERS, np.uint8)


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


def estimates(registers: Registers) -> list[list[int]]:
    """Distinct counts: [row][distinct]."""
    counted: list[list[int]] = estimate_all(histograms(registers)).reshape(-1, N_DISTINCTS).tolist()
    return counted


class DistinctUnion:
    """The union of panes of some rows, whatever their order and repetition."""

    def __init__(self, rows: Ints) -> None:
        self._place = _places(rows)
        self._rows = len(rows)
        self._registers = empty_registers(self._rows) if self._rows <= DENSE_ROWS else None
        self._total = NO_SKETCHES

    def take(self, parts: Iterable[Sketches]) -> None:
        """Unite with more panes."""
        wanted = [part.take(np.flatnonzero(self._is_wanted(part.rows))) for part in parts]
        if self._registers is None:
            self._total = merge_sketches([self._total, *(part.in_one_pane() for part in wanted)])
            return
        for part in wanted:
            raise_to(self._registers, entries_by_sketch(part, self._sketch_ids(part)))

    def counts(self) -> list[list[int]]:
        """Distinct counts: [row][distinct], rows in the order given."""
        if self._registers is not None:
            return estimates(self._registers)
        total = self._total
        sketch = np.repeat(self._sketch_ids(total), total.sizes)
        by_rank = _completed(sketch << RANK_BITS | (total.register_entries & _RANK_MASK), self._rows * N_DISTINCTS)
        counted: list[list[int]] = estimate_all(by_rank).reshape(self._rows, N_DISTINCTS).tolist()
        return counted

    def _sketch_ids(self, sketches: Sketches) -> Ints:
        return self._place[sketches.rows] * N_DISTINCTS + sketches.distincts

    def _is_wanted(self, rows: Ints) -> npt.NDArray[np.bool_]:
        index_of = self._place
        known = rows < len(index_of)
        return known & (index_of[np.where(known, rows, 0)] >= 0) if len(index_of) else known


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
