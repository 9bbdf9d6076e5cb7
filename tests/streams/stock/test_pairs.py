"""Pairs are found in any order of insertion."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.stock.ledger import pair_codes
from streams.stock.pairs import PairIndex

codes = st.lists(st.tuples(st.integers(0, 8), st.integers(-1, 5)), max_size=12)


def coded(pairs: list[tuple[int, int]]) -> np.ndarray:
    sku, other = np.array(pairs, np.int64).reshape(-1, 2).T
    return pair_codes(sku, other)


@given(st.lists(codes, max_size=6), codes)
def test_behaves_like_a_dictionary(batches: list[list[tuple[int, int]]], asked: list[tuple[int, int]]) -> None:
    index, place_of = PairIndex(), {}
    for batch in batches:
        places = index.place(coded(batch)).tolist()
        for pair, place in zip(batch, places, strict=True):
            assert place_of.setdefault(pair, place) == place
    assert sorted(place_of.values()) == list(range(len(index)))
    assert index.find(coded(asked)).tolist() == [place_of.get(pair, -1) for pair in asked]
    for sku in range(10):
        mine = sorted(place for pair, place in place_of.items() if pair[0] == sku)
        assert sorted(index.of_skus(np.array([sku])).tolist()) == mine
