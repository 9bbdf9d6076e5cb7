"""A tiered sum has few parts, each merged few times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.panes.tiered_sum import TieredSum


def merge(parts: Sequence[Counter[int]]) -> Counter[int]:
    return sum(parts, Counter[int]())


@given(
    added=st.lists(st.lists(st.integers(0, 50), max_size=9), min_size=1, max_size=80), fan_in=st.sampled_from((2, 8))
)
def test_the_parts_add_up_to_all_that_was_added(added: list[list[int]], fan_in: int) -> None:
    tiers = TieredSum(merge, len, fan_in)
    for numbers in added:
        tiers.add(Counter(numbers))
        assert tiers.size == sum(map(len, tiers.parts))
    expected = Counter(number for numbers in added for number in numbers)
    assert merge(tiers.parts) == expected
    assert tiers.merged() == expected
    assert (len(tiers.parts), tiers.size) == (1, len(expected))


@pytest.mark.parametrize(("fan_in", "most_parts", "most_merges"), [(2, 13, 13), (8, 29, 5)])
def test_of_many_additions_few_parts_remain_and_each_is_merged_few_times(
    fan_in: int, most_parts: int, most_merges: int
) -> None:
    merged = 0

    def merge_counted(parts: Sequence[int]) -> int:
        nonlocal merged
        merged += sum(parts)
        return sum(parts)

    tiers = TieredSum(merge_counted, int, fan_in)
    for _ in range(4096):
        tiers.add(1)
        assert len(tiers.parts) <= most_parts
    assert merged <= most_merges * 4096
    assert tiers.merged() == 4096
