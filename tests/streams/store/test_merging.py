"""Which parts of a block are merged, and when. Pure, without Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import Settings
from streams.store import merging
from streams.store.levels import pane_levels
from streams.store.merging import LARGEST_MERGE, BlockPart, OpenBlocks

LEVEL = pane_levels(Settings())[0]
BLOCK = LEVEL.name, 600
OVER_S = 600 + LEVEL.block_s + LEVEL.settle_s


def rolled(blocks: OpenBlocks, sizes: list[int]) -> list[BlockPart]:
    """The parts of a block after compactions that each added a number of bytes; a merged part has the size of its
    content."""
    held: dict[str, BlockPart] = {}
    for i, size in enumerate(sizes):
        merge = blocks.to_merge(BLOCK)
        assert merge.size <= LARGEST_MERGE
        part = BlockPart(str(i), merge.tier, merge.size + size)
        blocks.written(BLOCK, part, merge)
        held = {name: kept for name, kept in held.items() if kept not in merge.parts} | {part.name: part}
    return list(held.values())


def left_behind(blocks: OpenBlocks) -> list[int]:
    """Sizes of the merges of each compaction after the block is closed."""
    merged = []
    while found := blocks.left_behind(LEVEL, OVER_S, set()):
        [(block, merge)] = found
        merged.append(merge.size)
        blocks.written(block, BlockPart(f"merged {len(merged)}", merge.tier, merge.size), merge)
    return merged


@pytest.mark.parametrize(("rolls", "parts"), [(7, 7), (8, 1), (15, 8), (16, 2), (64, 1)])
def test_eight_parts_of_a_tier_become_one_of_the_next(rolls: int, parts: int) -> None:
    assert len(rolled(OpenBlocks(), [1] * rolls)) == parts


def test_skips_merges_above_the_size_limit() -> None:
    large = LARGEST_MERGE // 7 + 1
    assert len(rolled(OpenBlocks(), [large] * 20)) == 20
    assert len(rolled(OpenBlocks(), [large - 1] * 16)) == 2


def test_a_large_part_does_not_block_merging_small_ones() -> None:
    for large in ([LARGEST_MERGE + 1], [LARGEST_MERGE // 2] * 7):
        assert len(rolled(OpenBlocks(), [*large, *[1] * 1000])) < len(large) + 7 * 4


def test_merges_as_many_adopted_parts_as_the_limit_allows() -> None:
    blocks = OpenBlocks()
    size = LARGEST_MERGE // 10
    blocks.adopt({BLOCK: [BlockPart(f"theirs {i}", 0, size) for i in range(25)]})
    assert len(blocks.to_merge(BLOCK).parts) == 10
    assert left_behind(blocks) == [10 * size, 10 * size, 5 * size]


def test_open_blocks_get_no_final_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = OpenBlocks()
    rolled(blocks, [1, 2, 3])
    monkeypatch.setattr(merging, "_last_merge", None)
    blocks.forget({LEVEL.name: LEVEL}, OVER_S - 1)
    monkeypatch.undo()
    assert left_behind(blocks) == [6]


def test_a_closed_block_is_merged_into_one_part_and_dropped() -> None:
    blocks = OpenBlocks()
    rolled(blocks, [1, 2, 3])
    assert blocks.left_behind(LEVEL, OVER_S - 1, set()) == []
    assert blocks.left_behind(LEVEL, OVER_S, {BLOCK}) == [], "it is being written to"
    blocks.forget({LEVEL.name: LEVEL}, OVER_S)
    assert left_behind(blocks) == [6], "what remains to be merged is kept"
    assert blocks.to_merge(BLOCK).parts == ()
    blocks.forget({LEVEL.name: LEVEL}, OVER_S)
    rolled(blocks, [1])
    assert left_behind(blocks) == [], "its single part is dropped"


@given(st.lists(st.integers(1, LARGEST_MERGE), max_size=30))
def test_merges_are_bounded_and_terminate(sizes: list[int]) -> None:
    blocks = OpenBlocks()
    rolled(blocks, sizes)
    assert all(size <= LARGEST_MERGE for size in left_behind(blocks))
    blocks.forget({LEVEL.name: LEVEL}, OVER_S)
    assert blocks.left_behind(LEVEL, 2 * OVER_S, set()) == []
