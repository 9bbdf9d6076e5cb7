"""Blocks of panes in memory, kept current by the deltas that workers apply."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain
from typing import TypeAlias

from consumers.topics import Partition
from streams.fold.delta import PaneDelta, merge
from streams.model.windows import Pieces, Span, in_panes
from streams.panes.arrays import Ints
from streams.panes.cells import Cells
from streams.panes.keys import pane_span
from streams.panes.sketches import Sketches
from streams.panes.tiered_sum import TieredSum
from streams.shipping.delta import RetroactiveCorrections
from streams.store.levels import LevelContent, PaneLevel
from streams.store.merging import BlockId
from streams.store.reader import LogEntry, PaneSource, StoredBlock
from streams.view.query import NotAnswerableError
from streams.view.sums import MovingSum

LIMIT_BYTES = 400_000_000
"""Default limit of the cache."""
_CHUNK = 16
"""Blocks per read."""
_MOST_WAITING = 256
"""A block that nothing has read while this many deltas arrived is evicted."""
_NOWHERE = (0, -1)
"""The span of a delta without panes."""


class BlockContent(Enum):
    """The contents of a block that are cached separately."""

    CELLS = "cells"
    SKETCHES = "sketches"
    SHIPPING = "shipping"

    def of(self, delta: PaneDelta, start_s: int, end_s: int) -> PaneDelta:
        """This content of a delta, in panes that start in [start_s, end_s)."""
        if self is BlockContent.CELLS:
            return PaneDelta(cells=delta.cells.between(start_s, end_s))
        if self is BlockContent.SKETCHES:
            return PaneDelta(sketches=delta.sketches.between(start_s, end_s))
        return PaneDelta(shipping=delta.shipping.between(start_s, end_s))


CONTENTS_OF_LEVEL: Mapping[LevelContent, tuple[BlockContent, ...]] = {
    LevelContent.PANES: (BlockContent.CELLS, BlockContent.SKETCHES),
    LevelContent.SHIPPING_SUMS: (BlockContent.SHIPPING,),
    LevelContent.WAITING: (BlockContent.SHIPPING,),
    LevelContent.STOCK: (),
    LevelContent.STOCK_SALES: (),
}
"""Stock has none: `streams.view.stock_event_log` reads its blocks without the cache."""


class CachedBlock:
    """The sum of a block's parts. Appends are O(1); parts are merged lazily on read."""

    def __init__(
        self,
        content: BlockContent,
        level: PaneLevel,
        start_s: int,
        stored: Iterable[PaneDelta],
        compacted_to: Mapping[Partition, int],
    ) -> None:
        self.compacted_to = compacted_to
        """By partition, the position up to which the block was complete when it was read."""
        self._content = content
        self._level = level
        self._start_s = start_s
        self._stored = [part for delta in stored if (part := self._own_part(delta))]
        self._added = TieredSum(merge, _bytes)
        self._fresh: list[PaneDelta] = []
        self._stored_size = sum(map(_bytes, self._stored))

    @property
    def size(self) -> int:
        """Bytes, without pending deltas."""
        return self._stored_size + self._added.size

    @property
    def waiting(self) -> int:
        """Number of deltas that are not merged yet."""
        return len(self._fresh)

    def add(self, delta: PaneDelta) -> None:
        """Append a delta, any part of which may belong to the block."""
        self._fresh.append(delta)

    def parts(self) -> Iterator[PaneDelta]:
        """The parts of the block, in panes of its level or finer ones."""
        if self._fresh:
            fresh, self._fresh = [part for delta in self._fresh if (part := self._own_part(delta))], []
            if self._content is BlockContent.SKETCHES:  # uniting them costs more than reading each
                self._stored += fresh
                self._stored_size += sum(map(_bytes, fresh))
            elif part := self._level.coarsen(merge(fresh)):
                self._added.add(part)
        return chain(self._stored, self._added.parts)

    def _own_part(self, delta: PaneDelta) -> PaneDelta:
        return self._content.of(delta, self._start_s, self._start_s + self._level.block_s)


def touched_blocks(level: PaneLevel, delta: PaneDelta) -> range:
    """Starts of the blocks of a level that a delta may add to."""
    spans: list[tuple[int, int]] = []
    if level.content is LevelContent.PANES:
        # Panes of cells start at the second of the event; those of sketches are longer and may start earlier.
        spans = [_span(delta.cells.keys)] if len(delta.cells.keys) else [_span(delta.sketches.groups)]
    elif level.content is LevelContent.SHIPPING_SUMS:
        spans = [_span(delta.shipping.sums.keys), _span(delta.shipping.corrections.cells.keys)]
    elif level.content is LevelContent.WAITING:
        spans = [_span(delta.shipping.waiting.keys)]
    spans = [span for span in spans if span != _NOWHERE]
    if not spans:
        return range(0)
    first, last = min(first for first, _ in spans), max(last for _, last in spans)
    return range(level.block(first), last + 1, level.block_s)


def _span(keys: Ints) -> tuple[int, int]:
    """Start of the first and of the last pane."""
    return pane_span(keys) if len(keys) else _NOWHERE


def _bytes(delta: PaneDelta) -> int:
    cells, sketches = delta.cells, delta.sketches
    arrays = (cells.keys, cells.amounts, sketches.groups, sketches.ends, sketches.register_entries)
    return sum(array.nbytes for array in arrays) + 24 * delta.shipping.size


CachedBlockId: TypeAlias = tuple[BlockId, BlockContent]


class Blocks:
    """An LRU cache of blocks, at most `limit` bytes."""

    def __init__(
        self, reader: PaneSource, levels: Sequence[PaneLevel], partitions: Iterable[Partition], limit: int = LIMIT_BYTES
    ) -> None:
        self._reader = reader
        self._levels = {level.name: level for level in levels}
        self._limit = limit
        self._cached: OrderedDict[CachedBlockId, CachedBlock] = OrderedDict()
        """# {id: block}, the least recently used first"""
        self._size = 0
        """Bytes of all cached blocks."""
        self._recent: dict[Partition, list[LogEntry]] = {partition: [] for partition in partitions}
        """Log entries that Redis may not have compacted into blocks yet."""
        self._loading = 0
        self._one_at_a_time = asyncio.Lock()

    def apply(self, applied: Mapping[Partition, Sequence[LogEntry]], compacted_to: Mapping[Partition, int]) -> None:
        """Add log entries. `compacted_to`: by partition, the position up to which Redis has compacted its log."""
        for partition, entries in applied.items():
            self._recent[partition] += entries
        if not self._loading:  # a block that is being read may lack entries compacted since
            for partition, position in compacted_to.items():
                self._recent[partition] = [entry for entry in self._recent[partition] if entry.end_offset > position]
        for cached_id in self._spread(applied, self._cached):
            if self._cached[cached_id].waiting > _MOST_WAITING:
                self._drop(cached_id)
        self._evict(())

    def _spread(
        self, applied: Mapping[Partition, Sequence[LogEntry]], among: Mapping[CachedBlockId, CachedBlock]
    ) -> set[CachedBlockId]:
        """Add log entries to the cached blocks that do not hold them yet. Returns the ids of these blocks."""
        reached: set[CachedBlockId] = set()
        for partition, entries in applied.items():
            for entry in entries:
                for level in self._levels.values():
                    for cached_id in _within(among, level, touched_blocks(level, entry.delta)):
                        if entry.end_offset > among[cached_id].compacted_to.get(partition, 0):
                            among[cached_id].add(entry.delta)
                            reached.add(cached_id)
        return reached

    async def ensure(self, wanted: Sequence[BlockId], *, sketches: bool = False) -> bool:
        """Load blocks that are not cached. Returns whether it waited for any.

        `sketches`: load distinct counts; otherwise counters, or sums of shipment intervals. Raises NotAnswerableError
        where a block has expired.
        """
        ids = [(block_id, self._content(block_id, sketches)) for block_id in dict.fromkeys(wanted)]
        for cached_id in ids:
            if cached_id in self._cached:
                self._cached.move_to_end(cached_id)
        if all(cached_id in self._cached for cached_id in ids):
            return False
        for i in range(0, len(ids), _CHUNK):
            async with self._one_at_a_time:  # another query may have loaded them meanwhile
                missing = [cached_id for cached_id in ids[i : i + _CHUNK] if cached_id not in self._cached]
                if missing:
                    await self._load(missing)
                    self._evict(ids)
        return True

    async def _load(self, ids: Sequence[CachedBlockId]) -> None:
        stored = await self._read([block_id for block_id, _ in ids])
        loaded: dict[CachedBlockId, CachedBlock] = {}
        for (name, start), block in stored.items():
            level = self._levels[name]
            for content in CONTENTS_OF_LEVEL[level.content]:
                cached_id = (name, start), content
                if cached_id not in self._cached:
                    cached_block = CachedBlock(
                        content, level, start, [part for _, part in block.parts], block.compacted_to
                    )
                    self._cached[cached_id] = loaded[cached_id] = cached_block
                    self._cached.move_to_end(cached_id, last=cached_id in ids)
                    self._size += cached_block.size
        self._spread(self._recent, loaded)

    async def _read(self, block_ids: Sequence[BlockId]) -> dict[BlockId, StoredBlock]:
        self._loading += 1
        try:
            stored = await self._reader.blocks(block_ids, list(self._recent))
        finally:
            self._loading -= 1
        for (name, start), block in stored.items():
            if block.gone:
                raise NotAnswerableError(
                    f"this needs panes from {start * 1000} that are no longer kept: no worker ran for longer "
                    f"than their level's retention (level {name}: {self._levels[name].keep_s} s); query a later as_of"
                )
        return stored

    def _content(self, block_id: BlockId, sketches: bool) -> BlockContent:
        return BlockContent.SKETCHES if sketches else CONTENTS_OF_LEVEL[self._levels[block_id[0]].content][0]

    def _evict(self, kept: Collection[CachedBlockId]) -> None:
        if self._size <= self._limit:
            return
        for cached_id in [cached_id for cached_id in self._cached if cached_id not in kept]:
            self._drop(cached_id)
            if self._size <= self._limit:
                return

    def _drop(self, cached_id: CachedBlockId) -> None:
        self._size -= self._cached.pop(cached_id).size

    async def read(self, wanted: Sequence[BlockId]) -> dict[BlockId, PaneDelta]:
        """Blocks of one level with all log entries, read without the cache. Raises NotAnswerableError."""
        stored = await self._read(wanted)
        level = self._levels[wanted[0][0]]
        parts = {block_id: [part for _, part in block.parts] for block_id, block in stored.items()}
        compacted_to = next(iter(stored.values())).compacted_to  # the same for all: read in one call
        for partition, entries in self._recent.items():
            for entry in entries:
                if entry.end_offset <= compacted_to.get(partition, 0):
                    continue
                for start, part in level.blocks(entry.delta):
                    if (level.name, start) in stored:
                        parts[level.name, start].append(part)
        return {block_id: merge(deltas) for block_id, deltas in parts.items()}

    def chunks(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[list[tuple[str, Span]]]:
        """The same pieces, split so that each touches few blocks."""
        for name, piece in pieces:
            starts = [start for _, start in self.block_ids([(name, piece)])]
            for i in range(0, len(starts), _CHUNK):
                first, last = starts[i], starts[min(i + _CHUNK, len(starts)) - 1] + self._levels[name].block_s
                yield [(name, Span(max(first, piece.start_s), min(last, piece.end_s)))]

    def block_ids(self, pieces: Iterable[tuple[str, Span]]) -> list[BlockId]:
        """The blocks that pieces lie in."""
        return [
            (name, start)
            for name, piece in pieces
            for start in range(self._levels[name].block(piece.start_s), piece.end_s, self._levels[name].block_s)
        ]

    def cells(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """Counters in pieces whose blocks are cached."""
        for part, piece in self._parts(pieces, BlockContent.CELLS):
            yield part.cells.between(piece.start_s, piece.end_s)

    def sketches(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Sketches]:
        """Distinct counts in pieces whose blocks are cached."""
        for part, piece in self._parts(pieces, BlockContent.SKETCHES):
            yield part.sketches.between(piece.start_s, piece.end_s)

    def shipping_sums(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """Sums of shipment intervals in pieces whose blocks are cached."""
        for part, piece in self._parts(pieces, BlockContent.SHIPPING):
            yield part.shipping.sums.between(piece.start_s, piece.end_s)

    def corrections(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[RetroactiveCorrections]:
        """Retroactive corrections of shipment intervals in pieces whose blocks are cached."""
        for part, piece in self._parts(pieces, BlockContent.SHIPPING):
            yield part.shipping.corrections.between(piece.start_s, piece.end_s)

    def waiting(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """Waiting orders by time of payment, in pieces whose blocks are cached."""
        for part, piece in self._parts(pieces, BlockContent.SHIPPING):
            yield part.shipping.waiting.between(piece.start_s, piece.end_s)

    def _parts(self, pieces: Iterable[tuple[str, Span]], content: BlockContent) -> Iterator[tuple[PaneDelta, Span]]:
        for name, piece in pieces:
            for block_id in self.block_ids([(name, piece)]):
                cached_block = self._cached[block_id, content]
                before = cached_block.size
                parts = cached_block.parts()
                self._size += cached_block.size - before
                for part in parts:
                    yield part, piece


async def move_sum(
    total: MovingSum,
    span: Span,
    levels: Sequence[tuple[str, int]],
    blocks: Blocks,
    cells: Callable[[Pieces], Iterable[Cells]],
    require_kept: Callable[[Pieces], None] = lambda _: None,
) -> None:
    """Move a sum to another span. `cells`: reads pieces of these levels whose blocks are cached.

    `require_kept`: raises if panes have expired.
    """
    while True:
        steps = list(total.steps_to(span))
        pieces = [piece for sign, part in steps if sign for piece in in_panes(part, levels)]
        require_kept(pieces)
        if not await blocks.ensure(blocks.block_ids(pieces)):
            break  # no await, so the steps are still valid
    for sign, part in steps:
        total.take(sign, cells(in_panes(part, levels)) if sign else ())
    total.span = span


def _within(
    cached_blocks: Mapping[CachedBlockId, CachedBlock], level: PaneLevel, starts: range
) -> Iterator[CachedBlockId]:
    """Ids of a level's cached blocks that begin at one of the starts. The starts may span years and hit few blocks."""
    if len(starts) > len(cached_blocks):
        yield from (
            ((name, start), content)
            for (name, start), content in cached_blocks
            if name == level.name and start in starts
        )
        return
    for start in starts:
        for content in CONTENTS_OF_LEVEL[level.content]:
            cached_id = (level.name, start), content
            if cached_id in cached_blocks:
                yield cached_id
