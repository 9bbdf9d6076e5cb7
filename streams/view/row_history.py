"""One row at many as-ofs, for series: blocks are read once for all of them.

Counters are prefix sums over the edges of all spans, so that each span is a difference of two. Distinct counts cannot
be subtracted: they are unions of the row's sketches in each block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from streams.dictionary.types import Model
from streams.model.windows import Pieces, Span
from streams.panes.arrays import Ints
from streams.panes.cells import NO_CELLS, Cells, merge_cells
from streams.panes.sketches import NO_SKETCHES, Sketches, merge_sketches
from streams.shipping.counters import COUNTERS_PER_ROW
from streams.store.levels import PaneLevel
from streams.store.merging import BlockId
from streams.view.blocks import Blocks
from streams.view.registers import (
    DENSE_ENTRIES,
    DistinctSlots,
    Registers,
    distinct_slots,
    empty_registers,
    entries_by_sketch,
    estimates,
    raise_to,
)

T = TypeVar("T")

_AT_ONCE = 32
"""Spans after which other tasks may run."""


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """What a history has of each pane."""

    counters: int
    """Number of columns of counters."""
    slot_of: npt.NDArray[np.int16] | None
    """# [id of a counter]: its column, -1 for one that is not wanted; None: its id"""
    distincts: DistinctSlots


def columns_of(model: Model, scope: str) -> HistoryColumns:
    """The counters of a model, and the distinct counts of a scope."""
    return HistoryColumns(len(model.counters), model.counter_slot, distinct_slots(model, scope))


SHIPPING_COLUMNS = HistoryColumns(COUNTERS_PER_ROW, None, DistinctSlots(0, np.full(256, -1, np.int8)))
"""The counters of shipments, which have no distinct counts."""


class RowHistory:
    """The counters and sketches of one row in the blocks that one query reads."""

    def __init__(
        self,
        blocks: Blocks,
        levels: Sequence[PaneLevel],
        row: Callable[[], int | None],
        columns: HistoryColumns,
        cells: Callable[[Pieces], Iterable[Cells]] | None = None,
    ) -> None:
        """`row`: its number, None while no block with it was read. `cells`: reads counters from blocks; None: those of
        events."""
        self._columns = columns
        self._blocks = blocks
        self._cells_in = cells or blocks.cells
        self._block_s = {level.name: level.block_s for level in levels}
        self._row = row
        self._cells: dict[BlockId, Cells] = {}
        self._sketches: dict[BlockId, Sketches] = {}
        self._registers: dict[BlockId, Registers] = {}

    async def counters(self, spans: Sequence[Span], pieces: Callable[[Span], Pieces]) -> Ints:
        """The row's counters in each span: [span, counter]."""
        bounds = np.array([(span.start_s, max(span.start_s, span.end_s)) for span in spans], np.int64).reshape(-1, 2)
        edges = np.unique(bounds)
        starts, ends = np.searchsorted(edges, bounds[:, 0]), np.searchsorted(edges, bounds[:, 1])
        depth = np.zeros(len(edges), np.int64)
        np.add.at(depth, starts, 1)
        np.add.at(depth, ends, -1)
        sums = np.zeros((len(edges) + 1, self._columns.counters), np.int64)
        for chunk in _chunks(np.flatnonzero(np.cumsum(depth) > 0).tolist()):
            parts = {i: pieces(Span(int(edges[i]), int(edges[i + 1]))) for i in chunk}
            await self._have(self._cells, parts.values())
            for i, part in parts.items():
                for block_id, stretch in self._by_block(part):
                    cells = self._cells[block_id].between(stretch.start_s, stretch.end_s)
                    columns, amounts = cells.counters, cells.amounts
                    if self._columns.slot_of is not None:
                        columns = self._columns.slot_of[columns].astype(np.int64)
                        columns, amounts = columns[columns >= 0], amounts[columns >= 0]
                    np.add.at(sums[i + 1], columns, amounts)
            await asyncio.sleep(0)
        running = np.cumsum(sums, axis=0)
        answer: Ints = running[ends] - running[starts]
        return answer

    async def distincts(self, spans: Sequence[tuple[Span, Pieces]]) -> list[list[int]]:
        """The row's distinct counts in each span: [span][distinct]. Each span comes with its panes."""
        answers: list[list[int]] = []
        distincts = self._columns.distincts.count
        united = empty_registers(1, distincts)
        for chunk in _chunks(spans):
            await self._have(self._sketches, [pieces for _, pieces in chunk])
            for _, pieces in chunk:
                united[:] = 0
                for block_id, stretch in self._by_block(pieces):
                    self._unite(united, block_id, stretch)
                answers += estimates(united, distincts)
                await asyncio.sleep(0)
        return answers

    def _unite(self, united: Registers, block_id: BlockId, stretch: Span) -> None:
        is_whole_block = stretch.end_s - stretch.start_s == self._block_s[block_id[0]]
        if is_whole_block and block_id in self._registers:
            np.maximum(united, self._registers[block_id], out=united)
            return
        sketches = self._sketches[block_id].between(stretch.start_s, stretch.end_s)
        entries = entries_by_sketch(*self._columns.distincts.placed(sketches))
        if is_whole_block and len(entries) >= DENSE_ENTRIES:
            registers = self._registers[block_id] = empty_registers(1, self._columns.distincts.count)
            raise_to(registers, entries)
            np.maximum(united, registers, out=united)
        else:
            raise_to(united, entries)

    async def _have(self, extracted: dict[BlockId, Cells] | dict[BlockId, Sketches], parts: Iterable[Pieces]) -> None:
        """Extract the row from the blocks of these panes that were not read yet."""
        wanted = list(
            {block_id for part in parts for block_id in self._blocks.block_ids(part) if block_id not in extracted}
        )
        while wanted and await self._blocks.ensure(wanted, sketches=extracted is self._sketches):
            pass  # blocks may have been evicted while it waited
        row = self._row()
        for name, start in wanted:
            block_pieces = [(name, Span(start, start + self._block_s[name]))]
            if row is None:
                self._cells[name, start], self._sketches[name, start] = NO_CELLS, NO_SKETCHES
            elif extracted is self._cells:
                self._cells[name, start] = merge_cells([cells.of_row(row) for cells in self._cells_in(block_pieces)])
            else:
                row_sketches = [sketches.of_row(row) for sketches in self._blocks.sketches(block_pieces)]
                self._sketches[name, start] = merge_sketches(row_sketches)

    def _by_block(self, pieces: Pieces) -> Iterable[tuple[BlockId, Span]]:
        for name, piece in pieces:
            for block_id in self._blocks.block_ids([(name, piece)]):
                end = block_id[1] + self._block_s[name]
                yield block_id, Span(max(piece.start_s, block_id[1]), min(piece.end_s, end))


def _chunks(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    return (whole[i : i + _AT_ONCE] for i in range(0, len(whole), _AT_ONCE))
