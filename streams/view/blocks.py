"""Blocks of panes in memory, kept current by the deltas that workers apply."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from streams.arrays import Ints
from streams.cells import Cells
from streams.panes import PaneDelta, merge
from streams.shipping.amendments import Amendments
from streams.sketches import Sketches
from streams.store.keys import Partition
from streams.store.levels import Holds, Level
from streams.store.reader import BlockId, LogEntry, PaneReader
from streams.windows import Span

_FAN_IN = 8
_CHUNK = 16


class Block:
    """All partitions' panes of one stretch of time, at one level."""

    def __init__(self, parts: Sequence[PaneDelta], rolled: Mapping[Partition, int]) -> None:
        self.rolled = rolled
        """Up to which position of each partition it was complete when it was read."""
        self._tiers: list[list[PaneDelta]] = []
        self.add(merge(parts))

    def add(self, part: PaneDelta) -> None:
        """Add what was applied since. Eight parts of a tier become one of the next: each number is merged few times."""
        tier = 0
        while part:
            if tier == len(self._tiers):
                self._tiers.append([])
            self._tiers[tier].append(part)
            if len(self._tiers[tier]) < _FAN_IN:
                return
            part = merge(self._tiers[tier])
            self._tiers[tier] = []
            tier += 1

    @property
    def parts(self) -> Iterator[PaneDelta]:
        """Its content is their sum."""
        return chain.from_iterable(self._tiers)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return sum(map(_size, self.parts))


class Blocks:
    """A cache of blocks, the least recently used dropped beyond `limit` numbers."""

    def __init__(
        self, reader: PaneReader, levels: Sequence[Level], partitions: Iterable[Partition], limit: int = 100_000_000
    ) -> None:
        self._reader = reader
        self._levels = {level.name: level for level in levels}
        self._limit = limit
        self._blocks: OrderedDict[BlockId, Block] = OrderedDict()
        self._recent: dict[Partition, list[LogEntry]] = {partition: [] for partition in partitions}
        """Deltas that may not be in the blocks of Redis yet."""
        self._loading = 0

    def apply(self, applied: Mapping[Partition, Sequence[LogEntry]], rolled: Mapping[Partition, int]) -> None:
        """Take in what was applied, of which Redis has put into blocks what is up to `rolled`."""
        for partition, entries in applied.items():
            self._recent[partition] += entries
        if not self._loading:  # a block that is being read may still be without what was rolled meanwhile
            for partition, position in rolled.items():
                self._recent[partition] = [entry for entry in self._recent[partition] if entry.next > position]
        for level in self._levels.values():
            self._spread(level, applied, {start for name, start in self._blocks if name == level.name})

    def _spread(self, level: Level, applied: Mapping[Partition, Sequence[LogEntry]], among: set[int]) -> None:
        """Add what was applied to some blocks of a level, as far as they did not hold it when they were read."""
        if not among:
            return
        parts: dict[int, list[PaneDelta]] = {}
        for partition, entries in applied.items():
            for entry in entries:
                starts = [start for start in _touched(level, entry.delta) if start in among]
                if not starts:
                    continue
                cut = dict(level.blocks(entry.delta))
                for start in starts:
                    if start in cut and entry.next > self._blocks[level.name, start].rolled.get(partition, 0):
                        parts.setdefault(start, []).append(cut[start])
        for start, added in parts.items():
            self._blocks[level.name, start].add(merge(added))

    async def ensure(self, wanted: Sequence[BlockId]) -> bool:
        """Load the blocks that are not here; returns whether any had to be."""
        missing = []
        for block_id in dict.fromkeys(wanted):  # what moves on at both ends may want a block twice
            if block_id in self._blocks:
                self._blocks.move_to_end(block_id)
            else:
                missing.append(block_id)
        if not missing:
            return False
        for i in range(0, len(missing), 200):
            self._loading += 1
            try:
                stored = await self._reader.blocks(missing[i : i + 200], list(self._recent))
            finally:
                self._loading -= 1
            for block_id, held in stored.items():
                self._blocks[block_id] = Block([part for _, part in held.parts], held.rolled)
            for level in self._levels.values():
                self._spread(level, self._recent, {start for name, start in stored if name == level.name})
        size = sum(block.size for block in self._blocks.values())
        while size > self._limit and len(self._blocks) > len(wanted):
            size -= self._blocks.popitem(last=False)[1].size
        return True

    async def read(self, wanted: Sequence[BlockId]) -> dict[BlockId, PaneDelta]:
        """Blocks of one level with all that was applied until now, past the cache."""
        self._loading += 1
        try:
            stored = await self._reader.blocks(wanted, list(self._recent))
        finally:
            self._loading -= 1
        level = self._levels[wanted[0][0]]
        parts = {block_id: [part for _, part in held.parts] for block_id, held in stored.items()}
        for partition, entries in self._recent.items():
            for entry in entries:
                for start, part in level.blocks(entry.delta):
                    held = stored.get((level.name, start))
                    if held is not None and entry.next > held.rolled.get(partition, 0):
                        parts[level.name, start].append(part)
        return {block_id: merge(found) for block_id, found in parts.items()}

    def chunks(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[list[tuple[str, Span]]]:
        """The same stretches in parts that lie in few blocks each."""
        for name, piece in pieces:
            starts = [start for _, start in self.needed([(name, piece)])]
            for i in range(0, len(starts), _CHUNK):
                first, last = starts[i], starts[min(i + _CHUNK, len(starts)) - 1] + self._levels[name].block_s
                yield [(name, Span(max(first, piece.start_s), min(last, piece.end_s)))]

    def needed(self, pieces: Iterable[tuple[str, Span]]) -> list[BlockId]:
        """The blocks that stretches of levels lie in."""
        return [
            (name, start)
            for name, piece in pieces
            for start in range(self._levels[name].block(piece.start_s), piece.end_s, self._levels[name].block_s)
        ]

    def cells(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """The counters in stretches of levels whose blocks are here."""
        for content, piece in self._pieces(pieces):
            yield content.cells.between(piece.start_s, piece.end_s)

    def legs(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """What orders add in stretches of levels whose blocks are here."""
        for content, piece in self._pieces(pieces):
            yield content.shipping.legs.between(piece.start_s, piece.end_s)

    def amendments(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Amendments]:
        """Of it what counts only from a later moment on."""
        for content, piece in self._pieces(pieces):
            yield content.shipping.amendments.between(piece.start_s, piece.end_s)

    def waiting(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Cells]:
        """The orders that wait, by payment, in stretches of levels whose blocks are here."""
        for content, piece in self._pieces(pieces):
            yield content.shipping.waiting.between(piece.start_s, piece.end_s)

    def sketches(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[Sketches]:
        """The distinct counts in stretches of levels whose blocks are here."""
        for content, piece in self._pieces(pieces):
            yield content.sketches.between(piece.start_s, piece.end_s)

    def _pieces(self, pieces: Iterable[tuple[str, Span]]) -> Iterator[tuple[PaneDelta, Span]]:
        for name, piece in pieces:
            for block_id in self.needed([(name, piece)]):
                for part in self._blocks[block_id].parts:
                    yield part, piece


def _size(delta: PaneDelta) -> int:
    return len(delta.cells.keys) + len(delta.sketches.coupons) + delta.stock.size + delta.shipping.size


def _touched(level: Level, delta: PaneDelta) -> range:
    """Starts of the blocks between the first and the last pane of a delta."""
    arrays: tuple[Ints, ...] = ()
    if level.holds is Holds.PANES:
        arrays = (delta.cells.panes, delta.sketches.panes)
    elif delta.shipping and level.holds is Holds.LEGS:
        arrays = (delta.shipping.legs.panes, delta.shipping.amendments.cells.panes)
    elif delta.shipping and level.holds is Holds.WAITING:
        arrays = (delta.shipping.waiting.panes,)
    panes = [int(array[at]) for array in arrays if len(array) for at in (0, -1)]
    return range(level.block(min(panes)), max(panes) + 1, level.block_s) if panes else range(0)
