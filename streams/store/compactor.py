"""Compaction: moves deltas from a partition's log into blocks of panes, under the same fence as applying.

Readers add up the parts of a block and the rest of the log. Each delta is in exactly one of them at any time: before
the script call in the log, after it in the blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import numpy as np
from redis.asyncio import Redis

from consumers.settings import Clock
from consumers.topics import Partition
from streams.fold.codec import decode, encode
from streams.fold.delta import PaneDelta, merge
from streams.panes.counters import COARSE_DISTINCTS_STEP_S
from streams.panes.keys import pane_span
from streams.panes.rows import RowIndex
from streams.store.connection import script
from streams.store.keys import Keys
from streams.store.levels import SETTLE_S, LevelContent, PaneLevel
from streams.store.merging import LARGEST_MERGE, BlockId, BlockPart, Merge, OpenBlocks
from streams.store.retained_spans import NO_RETAINED_SPANS, RetainedSpans

_TTL_SLACK_S = 3600
"""Margin of the TTL of blocks over their retention."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """The input of a compaction."""

    partition: Partition
    upto: int
    """Stored position: the log up to here is compacted."""
    compacted_to: int
    """End of the previous compaction."""
    pending: Sequence[PaneDelta]
    """The deltas of the log in (compacted_to, upto]."""
    keep_ids_from: int
    """Position of the first id entry that is still needed."""
    id_ends: Sequence[int] = ()
    """End offsets of the entries that recent ids are joined into."""
    oldest_s: Mapping[str, int] = field(default_factory=dict)
    """# <level: event time in seconds before which its panes have expired>"""
    retained_spans: RetainedSpans = NO_RETAINED_SPANS
    """Expired spans that are retained nevertheless."""

    def keeps(self, level: PaneLevel, start_s: int) -> bool:
        """Whether a block is still retained."""
        within_retention = start_s + level.block_s > self.oldest_s.get(level.name, 0)
        return within_retention or self.retained_spans.retains(level.name, start_s, level.block_s)

    def keep_s(self, level: PaneLevel, start_s: int) -> int:
        """Extra retention of a block, in seconds."""
        return self.retained_spans.keep_s if self.retained_spans.retains(level.name, start_s, level.block_s) else 0


@dataclass(frozen=True, slots=True)
class _Write:
    """One part to write to a block."""

    level: PaneLevel
    start: int
    """Start of the block, epoch seconds."""
    new: PaneDelta | None
    """New content; None: only merge."""
    merge: Merge
    """The parts that this one replaces."""
    newest_s: int
    """Newest event time, epoch seconds; 0 if unknown."""
    keep_s: int
    """Minimum retention in seconds, also beyond the level's own."""

    @property
    def block(self) -> tuple[str, int]:
        return self.level.name, self.start

    @property
    def seconds_to_live(self) -> int | str:
        """TTL from Redis's clock; a block ahead of the newest event must outlive its own retention."""
        if self.level.keep_s is None:
            return ""
        ahead_s = max(0, self.start - self.newest_s) if self.newest_s else 0
        return max(self.level.keep_s, self.keep_s) + self.level.block_s + _TTL_SLACK_S + ahead_s


@dataclass(frozen=True, slots=True)
class PlannedCompaction:
    """A compaction that is not written yet."""

    compaction: Compaction
    writes: Sequence[_Write]
    contents: Sequence[bytes]
    """The encoded part of each write."""


class Compactor:
    """Writes blocks for one worker."""

    def __init__(self, redis: Redis, keys: Keys, levels: Sequence[PaneLevel], clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._levels = levels
        # TTLs run on the wall clock. On the event clock a replay may query a block for much longer: workers then delete
        # by event time, and the TTL is the longest retention of all, for abandoned stores.
        longest_s = max((level.keep_s or 0 for level in levels), default=0)
        self._live_s = longest_s if clock is Clock.EVENT else 0
        """Minimum TTL of a block."""
        self._compact = script(redis, "compact")
        self._read_parts = script(redis, "read_parts")

    async def plan(self, compaction: Compaction, blocks: OpenBlocks, rows: RowIndex) -> PlannedCompaction:
        """Compute all writes of a compaction. Slow, but changes nothing: batches may be applied meanwhile."""
        shard = self._keys.shard(compaction.partition)
        if not blocks.adopted:
            await self._adopt(compaction, blocks)
        writes = await asyncio.to_thread(self._plan, compaction, blocks, rows)
        contents: list[bytes] = []
        for portion in _portions(writes):
            contents += await self._contents(shard, portion, rows)
        return PlannedCompaction(compaction, [replace(write, new=None) for write in writes], contents)

    async def write(self, planned: PlannedCompaction, position: int, batch_id: str, blocks: OpenBlocks) -> bool:
        """Write a planned compaction; False and no change if another worker wrote meanwhile.

        `position` is the stored position and `batch_id` the batch that set it. The log keeps these entries until the
        next compaction, for readers that lag slightly.
        """
        compaction = planned.compaction
        shard = self._keys.shard(compaction.partition)
        name = f"{compaction.partition}:{uuid4().hex}"
        names = (self._keys.log, self._keys.ids, self._keys.compacted_ids)
        keys = [self._keys.state(shard), *(of(compaction.partition) for of in names)]
        args: list[str | int | bytes] = [
            str(compaction.partition),
            position,
            batch_id,
            compaction.compacted_to,
            compaction.upto,
            f"{compaction.compacted_to + 1}-0",
            f"{compaction.keep_ids_from}-0",
            len(compaction.id_ends),
            *compaction.id_ends,
        ]
        for write, content in zip(planned.writes, planned.contents, strict=True):
            keys += [self._keys.blocks(shard, write.level.name), self._keys.block(shard, write.level.name, write.start)]
            replaced = [part.name for part in write.merge.parts]
            args += [write.start, write.seconds_to_live, name, content, len(replaced), *replaced]
        if await self._compact(keys=keys, args=args) != b"ok":
            return False
        for write, content in zip(planned.writes, planned.contents, strict=True):
            blocks.written(write.block, BlockPart(name, write.merge.tier, len(content)), write.merge)
        return True

    async def _adopt(self, compaction: Compaction, blocks: OpenBlocks) -> None:
        """Adopt the parts that earlier owners wrote to blocks that stay open for days.

        Adopt only after all reads succeeded: Redis may fail midway, and two compactions may run this concurrently.
        """
        newest_s = max(map(_newest_s, compaction.pending), default=0)
        if not newest_s:
            return
        shard, prefix = self._keys.shard(compaction.partition), f"{compaction.partition}:".encode()
        parts: dict[BlockId, list[BlockPart]] = {}
        for level in self._levels:
            if level.settle_s <= SETTLE_S:
                continue
            index = self._keys.blocks(shard, level.name)
            since_s = newest_s - level.settle_s - level.block_s
            starts: list[bytes] = await self._redis.zrangebyscore(index, since_s, "+inf")  # type: ignore[assignment]
            for start in map(int, starts):
                parts[level.name, start] = await self._held(self._keys.block(shard, level.name, start), prefix)
        blocks.adopt(parts)

    async def _held(self, block: str, prefix: bytes) -> list[BlockPart]:
        """The parts of a block whose names have this prefix. Their tier is unknown."""
        fields: list[bytes] = await self._redis.hkeys(block)  # type: ignore[assignment]
        names = [name.decode() for name in fields if name.startswith(prefix)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hstrlen(block, name)
            sizes: list[int] = await pipe.execute()
        return [BlockPart(name, 0, size) for name, size in zip(names, sizes, strict=True)]

    def _plan(self, compaction: Compaction, blocks: OpenBlocks, rows: RowIndex) -> list[_Write]:
        writes = []
        total = rest = merge(compaction.pending)
        newest_s = _newest_s(total)
        for level in self._levels:
            if level.content is LevelContent.PANES:
                rest = level.coarsen(rest)  # coarsen each level from the finer one, which is smaller than the whole
                is_fine = level.distincts_step_s < COARSE_DISTINCTS_STEP_S
                source = _of_fine_panes(rest, rows) if is_fine else rest
            else:
                source = total
            new = {start: part for start, part in level.blocks(source) if compaction.keeps(level, start)}
            changes: list[tuple[int, PaneDelta | None, Merge]]
            changes = [(start, part, blocks.to_merge((level.name, start))) for start, part in new.items()]
            closed = blocks.left_behind(level, newest_s, {(level.name, start) for start in new})
            changes += [(start, None, parts) for (_, start), parts in closed]
            for start, part, parts in changes:
                keep_s = max(self._live_s, compaction.keep_s(level, start))
                writes.append(_Write(level, start, part, parts, newest_s, keep_s))
        blocks.forget({level.name: level for level in self._levels}, newest_s)
        return writes

    async def _contents(self, shard: int, writes: Sequence[_Write], rows: RowIndex) -> list[bytes]:
        """The content of each write, merged with the parts that it replaces."""
        keys = [self._keys.block(shard, write.level.name, write.start) for write in writes for _ in write.merge.parts]
        names = [part.name for write in writes for part in write.merge.parts]
        stored: list[bytes | None] = await self._read_parts(keys=keys, args=names) if keys else []
        return await asyncio.to_thread(_encoded, writes, stored, rows)


def _portions(writes: Sequence[_Write]) -> Iterator[list[_Write]]:
    """Split writes, in order, into portions whose parts fit into memory together."""
    portion: list[_Write] = []
    size = 0
    for write in writes:
        merged_size = write.merge.size
        if portion and size + merged_size > LARGEST_MERGE:
            yield portion
            portion, size = [], 0
        portion.append(write)
        size += merged_size
    if portion:
        yield portion


def _encoded(writes: Sequence[_Write], stored: Sequence[bytes | None], rows: RowIndex) -> list[bytes]:
    contents = iter(stored)
    return [encode(_sum(write, contents, rows), rows) for write in writes]


def _sum(write: _Write, contents: Iterator[bytes | None], rows: RowIndex) -> PaneDelta:
    """Sum of the new delta and the merged parts. A missing part has expired with its block."""
    parts = [decode(content, rows) for _ in write.merge.parts if (content := next(contents)) is not None]
    return merge(parts if write.new is None else [*parts, write.new])


def _of_fine_panes(delta: PaneDelta, rows: RowIndex) -> PaneDelta:
    """A delta without coarse distinct counts, and without extremes, whose shortest panes are as long as a block."""
    is_coarse = rows.coarse_distincts()
    sketches = delta.sketches.take(np.flatnonzero(~is_coarse[delta.sketches.rows]))
    return PaneDelta(delta.cells, sketches, quantiles=delta.quantiles)


def _newest_s(delta: PaneDelta) -> int:
    """Event time of the newest event that counts; 0 if none does."""
    parts = (delta.cells.keys, delta.quantiles.groups, delta.extremes.keys)
    counted = max((pane_span(keys)[1] for keys in parts if len(keys)), default=0)
    return max(counted, int(delta.stock.times.max()) // 1000) if delta.stock else counted
