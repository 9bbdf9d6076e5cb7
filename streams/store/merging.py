"""Decides which parts of a block to merge. Pure.

Each compaction adds a part; rewriting all earlier parts each time would be too slow.

Parts grow in tiers: eight of a tier become one of the next, so that data is rewritten about log8 times. A block that
its partition has passed is merged into one part. A merge takes several times the memory of its parts, so it leaves out
the largest once they exceed `LARGEST_MERGE`; large parts share few cells. Waiting orders are the exception: a later
part cancels an earlier one only if they are merged; else readers add numbers that cancel, with the same result. A
million orders add some 1.5 MB per partition to the parts of their day, so most are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from streams.store.levels import PaneLevel

_FAN_IN = 8
LARGEST_MERGE = 4 << 20
"""Maximum bytes of parts that are merged into one."""

BlockId = tuple[str, int]
"""Level name and start, epoch seconds."""


@dataclass(frozen=True, slots=True)
class BlockPart:
    """One part of a block: from one compaction of one partition, or several merged."""

    name: str
    tier: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Parts of a block that one new part replaces."""

    parts: tuple[BlockPart, ...]

    @property
    def size(self) -> int:
        """Bytes of the parts."""
        return sum(part.size for part in self.parts)

    @property
    def tier(self) -> int:
        """Tier of the new part."""
        return max((part.tier for part in self.parts), default=-1) + 1 if self.parts else 0


class OpenBlocks:
    """The parts that this owner of a partition has written to blocks that are still open.

    Parts of earlier owners are left alone, since readers add up all parts; they are only adopted at levels where later
    content cancels earlier content and blocks stay open for days.
    """

    def __init__(self) -> None:
        self._parts: dict[BlockId, list[BlockPart]] = {}
        self.adopted = False
        """Whether parts of earlier owners were adopted at these levels."""

    def adopt(self, stored: Mapping[BlockId, Sequence[BlockPart]]) -> None:
        """Adopt the parts of earlier owners, all at once and only once: a duplicate part would be merged with
        itself."""
        if self.adopted:
            return
        for block, earlier in stored.items():
            own = self._parts.get(block, [])
            known_names = {part.name for part in own}
            self._parts[block] = [*own, *(part for part in earlier if part.name not in known_names)]
        self.adopted = True

    def to_merge(self, block: BlockId) -> Merge:
        """The parts of a block that a new part should replace."""
        parts = self._parts.get(block, [])
        tier, merge = 0, Merge(())
        while True:
            mergeable = _smallest((part for part in parts if part.tier == tier), LARGEST_MERGE - merge.size)
            if len(mergeable) < _FAN_IN - 1:
                return merge
            tier, merge = tier + 1, Merge((*merge.parts, *mergeable))

    def left_behind(self, level: PaneLevel, newest_s: int, written: set[BlockId]) -> list[tuple[BlockId, Merge]]:
        """Closed blocks with several parts that this compaction does not write to, and the merge of each."""
        return [
            (block, merge)
            for block, parts in self._parts.items()
            if block[0] == level.name
            and block not in written
            and self._is_over(level, block, newest_s)
            and (merge := _last_merge(parts))
        ]

    def written(self, block: BlockId, part: BlockPart, merge: Merge) -> None:
        """Record a written part and the parts that it replaced."""
        kept = [part for part in self._parts.get(block, []) if part not in merge.parts]
        self._parts[block] = [*kept, part]

    def forget(self, levels: dict[str, PaneLevel], newest_s: int) -> None:
        """Drop blocks that are closed and merged."""
        self._parts = {
            block: parts
            for block, parts in self._parts.items()
            if not self._is_over(levels[block[0]], block, newest_s) or _last_merge(parts)
        }

    @staticmethod
    def _is_over(level: PaneLevel, block: BlockId, newest_s: int) -> bool:
        return block[1] + level.block_s + level.settle_s <= newest_s


def _last_merge(parts: Sequence[BlockPart]) -> Merge | None:
    """The final merge of a closed block's small parts; None if there is nothing to merge."""
    smallest = _smallest(parts, LARGEST_MERGE)
    return Merge(tuple(smallest)) if len(smallest) > 1 else None


def _smallest(parts: Iterable[BlockPart], max_bytes: int) -> list[BlockPart]:
    """As many of the smallest parts as fit into `max_bytes`: large parts must not block the others."""
    by_size = sorted(parts, key=lambda part: part.size)
    sizes = accumulate(part.size for part in by_size)
    return [part for part, together in zip(by_size, sizes, strict=True) if together <= max_bytes]
