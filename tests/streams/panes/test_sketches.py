"""Distinct counts are within 2 %, or 1 if that is more, for any ids, order and repetition."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.dedup import hash_strings
from streams.fold.delta import PaneDelta, merge
from streams.panes.keys import pane_keys
from streams.panes.sketches import RANK_BITS, Sketches, register_entries, sketches_from
from tests.streams.distincts import estimates

SIZES = [0, 1, 2, 3, 10, 50, 99, 100, 101, 300, 1_000, 5_000, 20_000, 65_536, 150_000, 300_000]


def sketch(ids: list[str], *, pane: int = 0) -> Sketches:
    """A sketch of ids in row 0, distinct count 0."""
    drawn = np.sort(register_entries(hash_strings(ids)))
    return sketches_from(pane_keys(np.array([pane]), np.array([0]), 0), np.zeros(len(ids), np.int64), drawn)


def estimate(*parts: Sketches) -> int:
    return estimates(parts, np.array([0]))[0][0]


def register_entry_of(value: int) -> tuple[int, int]:
    """(register, rank) of one 64-bit hash."""
    drawn = int(register_entries(np.array([value], np.uint64))[0])
    return drawn >> RANK_BITS, drawn & ((1 << RANK_BITS) - 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_error_is_within_two_percent_or_one(size: int) -> None:
    for seed in range(3 if size > 50_000 else 20):
        found = estimate(sketch([f"{seed}/user-{i}" for i in range(size)]))
        assert abs(found - size) <= max(1, 0.02 * size), (seed, found)


@pytest.mark.parametrize("pattern", ["{}", "u{:012d}", "{:x}", "{}@example.com", "用户{}"])
def test_estimates_do_not_depend_on_the_pattern_of_ids(pattern: str) -> None:
    assert abs(estimate(sketch([pattern.format(i) for i in range(30_000)])) - 30_000) <= 600


@settings(max_examples=25)
@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 2_000))
def test_a_union_is_the_sketch_of_the_union(only_a: int, both: int, only_b: int) -> None:
    ids = [f"u-{i}" for i in range(only_a + both + only_b)]
    a, b = ids[: only_a + both], ids[only_a:]
    union = merge([PaneDelta(sketches=sketch(a)), PaneDelta(sketches=sketch(b))]).sketches
    whole = sketch(ids)
    assert union.groups.tolist() == whole.groups.tolist()
    assert union.register_entries.tolist() == whole.register_entries.tolist()
    assert estimate(sketch(a), sketch(b)) == estimate(whole)


@settings(max_examples=25)
@given(st.integers(1, 3_000), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(size: int, chance: Random) -> None:
    ids = [f"u-{i}" for i in range(size)]
    again = ids + [chance.choice(ids) for _ in range(size)]
    chance.shuffle(again)
    assert sketch(again).register_entries.tolist() == sketch(ids).register_entries.tolist()


def test_panes_are_united_rather_than_added() -> None:
    ids = [f"u-{i}" for i in range(100)]
    assert abs(estimate(*(sketch(ids, pane=pane) for pane in range(0, 600, 10))) - 100) <= 2


@pytest.mark.parametrize("rows", [1, 64, 65, 300])
def test_counts_many_values_independently(rows: int) -> None:
    parts = [
        Sketches(pane_keys(np.array([0]), np.array([row]), 0), part.ends, part.register_entries)
        for row in range(rows)
        for part in [sketch([f"u-{row}-{i}" for i in range(1 + 3 * row)])]
    ]
    asked = np.array(list(range(rows))[::-1])
    found = np.array(estimates(parts, asked))
    for place, row in enumerate(asked.tolist()):
        assert abs(int(found[place, 0]) - (1 + 3 * row)) <= max(1, 0.02 * (1 + 3 * row))
        assert found[place, 1:].tolist() == [0, 0]


@pytest.mark.parametrize("rows", [0, 1, 100])
def test_values_without_ids_count_zero(rows: int) -> None:
    assert estimates([], np.arange(rows)) == [[0, 0, 0]] * rows
    assert estimates([sketch(["u-1"])], np.arange(5, 5 + rows)) == [[0, 0, 0]] * rows


def test_the_register_is_the_first_16_bits_and_the_rank_one_more_than_the_leading_zeros_of_the_rest() -> None:
    assert register_entry_of(0xABCD_8000_0000_0000) == (0xABCD, 1)
    assert register_entry_of(0xABCD_FFFF_FFFF_FFFF) == (0xABCD, 1)
    assert register_entry_of(0x0000_4000_0000_0000) == (0, 2)
    assert register_entry_of(0xFFFF_0000_0000_0001) == (0xFFFF, 48)
    assert register_entry_of(0xFFFF_0000_0000_0000) == (0xFFFF, 49)


def test_hashes_never_change_between_versions() -> None:
    """The published test vectors of XXH3."""
    assert hash_strings(["", "abc"]).tolist() == [0x2D06_8005_38D3_94C2, 0x78AF_5F94_892F_3950]
