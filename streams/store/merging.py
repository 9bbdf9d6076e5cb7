"""When the parts of a block are merged: each roll adds one, and none may be rewritten each time.

Parts grow in tiers: eight of a tier become one of the next, so what is rolled is rewritten about log8 times. A block
that its partition has left behind is merged to one part. What would take in too much at once is left as it is, the
largest parts first: merging takes several times the memory of its parts, and large parts have little in common any
more. Only those of orders that wait have: what one adds a later one takes back, and both stay where they do not meet
in one merge. Readers then add up numbers that cancel, and answer the same. A million orders add some 1.5 MB to the
parts of their day in a partition, so most meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from streams.store.levels import PaneLevel

_FAN_IN = 8
LARGEST_MERGE = 4 << 20
"""Bytes of parts that are merged into one, at most."""

BlockId = tuple[str, int]
"""Level name and start, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class BlockPart:
    """One part of a block: one partition's, of one roll or of several merged."""

    name: str
    tier: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Parts of a block to be replaced by one, together with what is new."""

    parts: tuple[BlockPart, ...]

    @property
    def size(self) -> int:
        """Bytes of the parts."""
        return sum(part.size for part in self.parts)

    @property
    def tier(self) -> int:
        """Tier of the part that replaces them."""
        return max((part.tier for part in self.parts), default=-1) + 1 if self.parts else 0


class OpenBlocks:
    """The parts that one owner of a partition has written, of blocks that it still writes to.

    Parts that an earlier owner wrote are left as they are: readers add up all parts, whoever wrote them. Only where
    what is added later cancels what is there, and blocks stay open for days, are they taken over.
    """

    def __init__(self) -> None:
        self._parts: dict[BlockId, list[BlockPart]] = {}
        self.adopted = False
        """Whether parts of an earlier owner were taken over, of the levels where that matters."""

    def adopt(self, found: Mapping[BlockId, Sequence[BlockPart]]) -> None:
        """Take over the parts of earlier owners of the partition: all at once, and once, since a part that stood here
        twice would be merged with itself."""
        if self.adopted:
            return
        for block, theirs in found.items():
            ours = self._parts.get(block, [])
            held = {part.name for part in ours}
            self._parts[block] = [*ours, *(part for part in theirs if part.name not in held)]
        self.adopted = True

    def to_merge(self, block: BlockId) -> Merge:
        """Which parts of a block a new one should take in."""
        parts = self._parts.get(block, [])
        tier, merge = 0, Merge(())
        while True:
            same = _smallest((part for part in parts if part.tier == tier), LARGEST_MERGE - merge.size)
            if len(same) < _FAN_IN - 1:
                return merge
            tier, merge = tier + 1, Merge((*merge.parts, *same))

    def left_behind(self, level: PaneLevel, newest_s: int, written: set[BlockId]) -> list[tuple[BlockId, Merge]]:
        """Blocks of several parts that are over and that this roll does not write to: each to become one part."""
        return [
            (block, merge)
            for block, parts in self._parts.items()
            if block[0] == level.name
            and block not in written
            and self._is_over(level, block, newest_s)
            and (merge := _last_merge(parts))
        ]

    def written(self, block: BlockId, part: BlockPart, merge: Merge) -> None:
        """Remember a part, and that others are gone into it."""
        kept = [part for part in self._parts.get(block, []) if part not in merge.parts]
        self._parts[block] = [*kept, part]

    def forget(self, levels: dict[str, PaneLevel], newest_s: int) -> None:
        """Drop blocks that are over and merged."""
        self._parts = {
            block: parts
            for block, parts in self._parts.items()
            if not self._is_over(levels[block[0]], block, newest_s) or _last_merge(parts)
        }

    @staticmethod
    def _is_over(level: PaneLevel, block: BlockId, newest_s: int) -> bool:
        return block[1] + level.block_s + level.settle_s <= newest_s


def _last_merge(parts: Sequence[BlockPart]) -> Merge | None:
    """The small parts of a block that become one when it is over; None where there is nothing to merge."""
    smallest = _smallest(parts, LARGEST_MERGE)
    return Merge(tuple(smallest)) if len(smallest) > 1 else None


def _smallest(parts: Iterable[BlockPart], most: int) -> list[BlockPart]:
    """As many parts as `most` bytes hold: a large one does not keep the others from being merged."""
    by_size = sorted(parts, key=lambda part: part.size)
    sizes = accumulate(part.size for part in by_size)
    return [part for part, together in zip(by_size, sizes, strict=True) if together <= most]
