"""Distinct counts of rows in windows that end at the newest as-of, kept current while they are queried."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from streams.model.windows import Span, cover
from streams.panes.arrays import Ints
from streams.panes.sketches import REGISTERS, Sketches
from streams.view.registers import (
    DENSE_ENTRIES,
    N_DISTINCTS,
    Registers,
    SketchEntries,
    by_pane_and_row,
    empty_registers,
    entries_of,
    estimates,
    raise_to,
    select_rows,
)

if TYPE_CHECKING:
    from streams.panes.rows import RowIndex
    from streams.view.blocks import Blocks

PaneId: TypeAlias = tuple[int, int]
"""Length and start of a pane, seconds."""

STEPS = (10, 60, 600, 3600)
"""Lengths of panes, seconds, finest first."""
BLOCK_STEPS = {10: "s", 600: "m", 3600: "h"}
"""# {step: the level whose blocks have such panes}"""
_KEPT_S = {10: 1_200, 60: 4_500, 600: 90_000, 3600: 35 * 86_400}
"""# {step: seconds behind the as-of in which windows may begin; older panes are not needed}"""
_MOST_PARTS = 32
"""Number of parts of a pane beyond which they are united."""
LIMIT_BYTES = 200_000_000
"""Default limit of the panes and windows of all rows."""
_FORGOTTEN_AFTER_S = 300
"""Event time, seconds, after which a row that is not queried is dropped."""
_WINDOW_FORGOTTEN_AFTER_S = 20
"""Event time, seconds, after which an unqueried window of a row is dropped: most windows move on with each pane."""
_BLOCKS_AT_ONCE = 8
"""Blocks that are loaded together."""


class DistinctPane:
    """The register entries of one pane: parts, or whole registers once these are smaller."""

    def __init__(self, distincts: int = N_DISTINCTS) -> None:
        """`distincts`: number of sketches."""
        self._distincts = distincts
        self._parts: list[SketchEntries] = []
        self._registers: Registers | None = None

    @classmethod
    def of(cls, parts: Iterable[DistinctPane], distincts: int = N_DISTINCTS) -> DistinctPane:
        """The union of panes."""
        registers, union = empty_registers(1, distincts), cls(distincts)
        for part in parts:
            part.unite_into(registers)
        entries = entries_of(registers)
        if entries.nbytes < registers.nbytes:
            union._parts = [entries]
        else:
            union._registers = registers
        return union

    def add(self, entries: SketchEntries) -> None:
        """Add register entries."""
        if self._registers is not None:
            raise_to(self._registers, entries)
            return
        self._parts.append(entries)
        if len(self._parts) > _MOST_PARTS:
            united = DistinctPane.of([self], self._distincts)
            self._parts, self._registers = united._parts, united._registers

    def unite_into(self, registers: Registers) -> None:
        """Raise registers to the ranks in this pane."""
        if self._registers is not None:
            np.maximum(registers, self._registers, out=registers)
        for entries in self._parts:
            raise_to(registers, entries)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.nbytes for part in self._parts) if self._registers is None else self._registers.nbytes


class RowDistinctPanes:
    """The panes of one row. Polled entries are added; older ones must be read from blocks."""

    def __init__(self, steps: Sequence[int], fed_from_s: int, distincts: int = N_DISTINCTS) -> None:
        """`steps`: lengths of its panes. From `fed_from_s` on all entries were polled, so that a missing pane is
        empty. `distincts`: number of sketches in each."""
        self._distincts = distincts
        self._steps = tuple(steps)
        self._fed_from_s = fed_from_s
        self._panes: dict[PaneId, DistinctPane] = {}

    def feed(self, start_s: int, entries: SketchEntries) -> None:
        """Add polled entries of a pane of the finest step."""
        finest = self._steps[0]
        if start_s >= self._fed_from_s:
            self._panes.setdefault((finest, start_s), DistinctPane(self._distincts)).add(entries)
        elif (pane := self._panes.get((finest, start_s))) is not None:
            pane.add(entries)
        for step in self._steps[1:]:
            if (pane := self._panes.get((step, start_s - start_s % step))) is not None:
                pane.add(entries)

    def missing(self, span: Span, longest: int) -> Iterator[PaneId]:
        """The panes to read from blocks before `unite` of a span. `longest`: the longest panes to use."""
        for step, start in self._cover(span, longest):
            if not self._has(step, start):
                if step in BLOCK_STEPS:
                    yield step, start
                else:
                    yield from (finer for finer in self._finer(step, start) if not self._has(*finer))

    def lacks(self, pane_id: PaneId) -> bool:
        """Whether a pane must be read."""
        return not self._has(*pane_id)

    def begin(self, pane_id: PaneId) -> DistinctPane:
        """A new empty pane, to which the caller adds all of its entries in blocks."""
        pane = self._panes[pane_id] = DistinctPane(self._distincts)
        return pane

    def unite(self, span: Span, longest: int, registers: Registers) -> None:
        """Raise registers to the ranks in a span with no missing panes."""
        for pane_id in self._cover(span, longest):
            if (pane := self._panes.get(pane_id)) is not None:
                pane.unite_into(registers)

    def forget(self, end_s: int, longest_s: int) -> int:
        """Drop panes older than any window that ends at `end_s` or later and is at most `longest_s` long. Returns the
        size of the others in bytes."""
        oldest_s = {step: end_s - min(longest_s + 2 * step, _KEPT_S[step]) for step in self._steps}
        # Before this, a missing pane need not be empty.
        self._fed_from_s = max(self._fed_from_s, oldest_s[self._steps[0]])
        size = 0
        for (step, start), pane in list(self._panes.items()):
            if start < oldest_s[step]:
                del self._panes[step, start]
            else:
                size += pane.size
        return size

    def _cover(self, span: Span, longest: int) -> Iterator[PaneId]:
        steps = [step for step in self._steps if step <= longest]
        for level, part in cover(span, steps):
            for start in range(part.start_s, part.end_s, steps[level]):
                yield steps[level], start

    def _has(self, step: int, start: int) -> bool:
        """Whether a pane is held; builds it from finer ones if all of these are held."""
        if (step, start) in self._panes:
            return True
        if step == self._steps[0]:
            return start >= self._fed_from_s
        if not all(self._has(*finer) for finer in self._finer(step, start)):
            return False
        finer = (self._panes.get(pane_id) for pane_id in self._finer(step, start))
        self._panes[step, start] = DistinctPane.of([pane for pane in finer if pane is not None], self._distincts)
        return True

    def _finer(self, step: int, start: int) -> Iterator[PaneId]:
        finer = self._steps[self._steps.index(step) - 1]
        return ((finer, at) for at in range(start, start + step, finer))


class _Window:
    """The registers and counts of one window of a row."""

    def __init__(self, span: Span, registers: Registers) -> None:
        self.span = span
        self.registers: Registers | None = registers
        self.counts: list[int] | None = None
        """None: they must be estimated again."""
        self.asked_s = 0
        """`end_s` of its row at the last query."""

    def raise_to(self, start_s: int, entries: SketchEntries) -> None:
        """Add late entries of a pane."""
        if self.span.start_s <= start_s < self.span.end_s:
            self.counts = None
            if self.registers is not None:
                raise_to(self.registers, entries)


class _Row:
    """One row that is kept current."""

    def __init__(self, panes: RowDistinctPanes, distincts: int) -> None:
        self.panes = panes
        self.distincts = distincts
        """Number of sketches."""
        self.windows: dict[int, _Window] = {}
        """# {start: window}"""
        self.size = 0
        """Bytes, approximately."""
        self.end_s = 0
        """Latest end of a queried window."""

    def feed(self, start_s: int, entries: SketchEntries) -> None:
        self.panes.feed(start_s, entries)
        for window in self.windows.values():
            window.raise_to(start_s, entries)

    def to_unite(self, span: Span) -> Span:
        """The part of a span that its window does not hold yet; the whole span if the window must be rebuilt."""
        window = self.windows.get(span.start_s)
        if window is None or window.span.end_s > span.end_s:
            return span
        if window.counts is None and window.registers is None:
            return span
        if window.registers is None and window.span != span:
            return span
        return Span(window.span.end_s, span.end_s)

    def window(self, span: Span, longest: int) -> _Window:
        """The window over a span with no missing panes."""
        part = self.to_unite(span)
        window = self.windows.get(span.start_s)
        if window is None or (part == span and span):
            window = self.windows[span.start_s] = _Window(span, empty_registers(1, self.distincts))
        if part:
            assert window.registers is not None
            self.panes.unite(part, longest, window.registers)
            window.counts = None
        window.span = span
        self.end_s = max(self.end_s, span.end_s)
        window.asked_s = self.end_s
        return window

    def forget(self) -> None:
        """Drop windows and panes that are no longer needed."""
        for start, window in list(self.windows.items()):
            if window.asked_s < self.end_s - _WINDOW_FORGOTTEN_AFTER_S:
                del self.windows[start]
        longest_s = max((self.end_s - start for start in self.windows), default=0)
        kept = sum(window.registers.nbytes for window in self.windows.values() if window.registers is not None)
        self.size = self.panes.forget(self.end_s, longest_s) + kept


class LiveDistincts:
    """Keeps the distinct counts of queried rows current."""

    def __init__(self, blocks: Blocks, rows: RowIndex, limit_bytes: int = LIMIT_BYTES) -> None:
        self._blocks = blocks
        self._index = rows
        self._limit = limit_bytes
        self._rows: OrderedDict[int, _Row] = OrderedDict()
        """# {row: state}, the least recently queried first"""
        self._wanted: Ints | None = None
        """`_dimension_of` all rows; None: they have changed."""
        self._newest_s = 0
        """Start of the newest pane that was polled."""

    def feed(self, polled: Sequence[Sketches]) -> None:
        """Add polled sketches."""
        parts = [part for part in polled if part]
        self._newest_s = max([self._newest_s, *(int(part.panes[-1]) for part in parts)])
        if not self._rows or not parts:
            return
        if self._wanted is None:
            self._wanted = self._dimension_of(self._rows)
        for start_s, row, entries in self._entries(parts, self._wanted):
            self._rows[row].feed(start_s, entries)

    async def counts(self, rows: Sequence[int], span: Span, steps: Sequence[int], newest_s: int) -> list[list[int]]:
        """Distinct counts of rows over a span: [row][distinct]. The span is aligned to panes.

        `steps`: lengths of the panes that blocks have of these rows, finest first. `newest_s`: newest event time.
        """
        if not span:
            return [[0] * self._distincts_of(row) for row in rows]
        self._newest_s = max(self._newest_s, newest_s)
        longest = steps[-1]
        while True:
            queried = {row: self._row(row, steps[0]) for row in rows}
            missing: dict[PaneId, list[int]] = defaultdict(list)
            for row, state in queried.items():
                for pane_id in state.panes.missing(state.to_unite(span), longest):
                    missing[pane_id].append(row)
            if not missing:
                break  # no await from here on
            await self._read(missing)
        ends = {row: state.end_s for row, state in queried.items()}
        windows = [queried[row].window(span, longest) for row in rows]
        _estimate([window for window in windows if window.counts is None])
        self._forget(queried, [row for row in queried if queried[row].end_s > ends[row]], span.end_s)
        return [window.counts or [] for window in windows]

    def _row(self, row: int, finest: int) -> _Row:
        state = self._rows.get(row)
        if state is None:
            fed_from_s = (self._newest_s // finest + 1) * finest
            distincts, self._wanted = self._distincts_of(row), None
            state = self._rows[row] = _Row(
                RowDistinctPanes(STEPS[STEPS.index(finest) :], fed_from_s, distincts), distincts
            )
        self._rows.move_to_end(row)
        return state

    async def _read(self, missing: Mapping[PaneId, Sequence[int]]) -> None:
        """Read panes from blocks, a few blocks at a time."""
        by_block: dict[tuple[str, int], list[PaneId]] = defaultdict(list)
        for step, start in missing:
            (block_id,) = self._blocks.block_ids([(BLOCK_STEPS[step], Span(start, start + step))])
            by_block[block_id].append((step, start))
        block_ids = sorted(by_block)
        for i in range(0, len(block_ids), _BLOCKS_AT_ONCE):
            chunk = block_ids[i : i + _BLOCKS_AT_ONCE]
            while await self._blocks.ensure(chunk, sketches=True):
                pass
            for block_id in chunk:
                for pane_id in by_block[block_id]:
                    self._fill(pane_id, missing[pane_id])

    def _fill(self, pane_id: PaneId, rows: Sequence[int]) -> None:
        step, start = pane_id
        rows = [row for row in rows if row in self._rows and self._rows[row].panes.lacks(pane_id)]
        if not rows:  # another query has read them meanwhile
            return
        panes, dimension_of = {row: self._rows[row].panes.begin(pane_id) for row in rows}, self._dimension_of(rows)
        pieces = [(BLOCK_STEPS[step], Span(start, start + step))]
        for sketches in self._blocks.sketches(pieces):
            for _, row, entries in self._entries([sketches], dimension_of):
                panes[row].add(entries)

    def _distincts_of(self, row: int) -> int:
        """Number of the distinct counts of a row."""
        return int(self._index.model.distinct_slot[self._index.scope_ids[row]].max()) + 1

    def _dimension_of(self, rows: Collection[int]) -> Ints:
        """# [row]: id of its dimension, -1 for other rows"""
        dimension_of = np.full(1 + max(rows), -1, np.int64)
        dimension_of[list(rows)] = [self._index.scope_ids[row] for row in rows]
        return dimension_of

    def _entries(self, parts: Sequence[Sketches], dimension_of: Ints) -> Iterator[tuple[int, int, SketchEntries]]:
        """# (pane, row, entries) of wanted rows in all parts"""
        return by_pane_and_row([select_rows(part, dimension_of, self._index.model.distinct_slot) for part in parts])

    def _forget(self, queried: Mapping[int, _Row], advanced: Sequence[int], end_s: int) -> None:
        """Drop old windows and panes of rows whose end advanced, then rows that are old or exceed the limit."""
        for number in advanced:
            queried[number].forget()
        if not advanced:
            return
        total = sum(row.size for row in self._rows.values())
        for number, row in list(self._rows.items()):
            if number in queried:
                return
            if total <= self._limit and row.end_s >= end_s - _FORGOTTEN_AFTER_S:
                return
            total -= row.size
            del self._rows[number]
            self._wanted = None


def _estimate(windows: Sequence[_Window]) -> None:
    """Estimate the counts of all these windows at once."""
    registers = [window.registers for window in windows if window.registers is not None]
    if not registers:
        return
    distincts = len(registers[0]) // REGISTERS  # the rows of one query have the same dimension
    for window, counts in zip(windows, estimates(np.concatenate(registers), distincts), strict=True):
        window.counts = counts
        if window.registers is not None and np.count_nonzero(window.registers) < DENSE_ENTRIES:
            window.registers = None  # cheap to rebuild for a late entry
