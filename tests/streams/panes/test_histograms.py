"""Quantiles are within 1 % of the exact ones, for values from 0 to 10^15, in any parts and order."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.histograms import (
    BUCKET_BITS,
    MAX_VALUE,
    NO_HISTOGRAMS,
    Histograms,
    buckets_of,
    histograms_of,
    merge_histograms,
    middles_of,
    quantiles_of,
)
from streams.panes.keys import pane_keys

PERCENTS = (50, 90, 95, 99)
EDGES = [0, 1, 127, 128, 129, 255, 256, 10**9, 2**49 - 1, 2**49, MAX_VALUE - 1, MAX_VALUE]
VALUES = st.sampled_from(EDGES) | st.integers(0, 1_000) | st.integers(0, MAX_VALUE)


def histogram(values: list[int], row: int = 0) -> Histograms:
    keys = pane_keys(np.zeros(len(values), np.int64), np.full(len(values), row), 0)
    return histograms_of(keys, buckets_of(np.array(values, np.int64)), np.ones(len(values), np.int64))


def same(a: Histograms, b: Histograms) -> bool:
    columns = ("groups", "ends", "buckets", "counts")
    return all(getattr(a, name).tolist() == getattr(b, name).tolist() for name in columns)


@given(st.lists(VALUES, min_size=1))
def test_the_middle_of_a_bucket_is_within_one_percent_and_exact_below_128(values: list[int]) -> None:
    found = middles_of(buckets_of(np.array(values, np.int64))).tolist()
    for value, middle in zip(values, found, strict=True):
        assert abs(middle - value) <= value / 128
        assert value >= 128 or middle == value


def test_buckets_ascend_with_their_values_and_have_no_gaps() -> None:
    values = np.unique(np.concatenate([np.arange(5_000), *(2**e + np.arange(-2, 3) for e in range(3, 50))]))
    buckets = buckets_of(np.clip(values, 0, MAX_VALUE)).astype(np.int64)
    assert (np.diff(buckets) >= 0).all()
    assert set(np.diff(buckets_of(np.arange(5_000)).astype(np.int64)).tolist()) == {0, 1}
    assert buckets.max() < 1 << BUCKET_BITS
    assert buckets_of(np.array([-5, MAX_VALUE + 9])).tolist() == buckets_of(np.array([0, MAX_VALUE])).tolist()


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=200))
def test_quantiles_are_within_one_percent_of_those_of_sorted_values(values: list[int]) -> None:
    ordered = sorted(values)
    for percent, found in zip(PERCENTS, quantiles_of(histogram(values), PERCENTS)[0].tolist(), strict=True):
        exact = ordered[percent * (len(ordered) - 1) // 100]
        assert abs(found - exact) <= exact / 100


@settings(max_examples=60)
@given(st.lists(st.lists(VALUES, max_size=20), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_merged_parts_are_the_histogram_of_all_values(parts: list[list[int]], chance: Random) -> None:
    whole = histogram([value for part in parts for value in part])
    chance.shuffle(parts)
    assert same(merge_histograms([histogram(part) for part in parts]), whole)


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30))
def test_subtraction_undoes_addition(kept: list[int], gone: list[int]) -> None:
    both = merge_histograms([histogram(kept), histogram(gone)])
    assert same(merge_histograms([both, histogram(gone).negated()]), histogram(kept))
    assert same(merge_histograms([both, both.negated()]), NO_HISTOGRAMS)


@pytest.mark.parametrize("sizes", [[1], [3, 1, 200], [1, 1, 1, 1]])
def test_each_group_has_its_own_quantiles(sizes: list[int]) -> None:
    parts = [histogram([100 * row + i % 100 for i in range(n)], row) for row, n in enumerate(sizes)]
    found = quantiles_of(merge_histograms(parts), PERCENTS)
    assert found.tolist() == [quantiles_of(part, PERCENTS)[0].tolist() for part in parts]


def test_of_row_keeps_the_groups_of_one_row() -> None:
    parts = [histogram([1, 1, 500], row) for row in range(3)]
    assert same(merge_histograms(parts).of_row(1), parts[1])
