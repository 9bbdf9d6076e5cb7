"""Corrections add up in any order, and those that cancel out disappear."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.panes.keys import pane_keys
from streams.shipping.delta import RetroactiveCorrections, merge_corrections

Plain = dict[tuple[int, int, int, int], int]
"""# <(pane, row, counter, valid from): amount>"""

_one = st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 2), st.integers(0, 9), st.integers(-2, 2))
lists = st.lists(_one, max_size=12)


def made(entries: list[tuple[int, int, int, int, int]]) -> RetroactiveCorrections:
    pane, row, counter, valid_s, amount = np.array(entries, np.int64).reshape(-1, 5).T
    return RetroactiveCorrections(pane_keys(pane, row, counter), valid_s, amount).sorted()


def plain(corrections: RetroactiveCorrections) -> Plain:
    cells = corrections.cells
    arrays = (cells.panes, cells.rows, cells.counters, corrections.valid_s)
    keys = list(zip(*(array.tolist() for array in arrays), strict=True))
    assert keys == sorted(set(keys))
    assert all(corrections.amounts)
    return dict(zip(keys, corrections.amounts.tolist(), strict=True))


def summed(entries: list[tuple[int, int, int, int, int]]) -> Plain:
    sums: Counter[tuple[int, int, int, int]] = Counter()
    for *key, amount in entries:
        sums[key[0], key[1], key[2], key[3]] += amount
    return {key: amount for key, amount in sums.items() if amount}


@given(lists, lists, lists)
def test_merging_adds_amounts(one: list, two: list, three: list) -> None:  # type: ignore[type-arg]
    left = merge_corrections([made(one), merge_corrections([made(two), made(three)])])
    assert plain(left) == summed(one + two + three)


@given(lists, st.integers(0, 10), st.integers(0, 10))
def test_between_selects_panes_of_the_span(entries: list, low: int, high: int) -> None:  # type: ignore[type-arg]
    whole = made(entries)
    assert plain(whole.between(low, max(low, high))) == summed([e for e in entries if low <= e[0] < max(low, high)])
    assert plain(whole.known_at(low)) == summed([e for e in entries if e[3] < low])
    assert plain(whole.unknown_at(low)) == summed([e for e in entries if e[3] >= low])
    assert plain(whole.of_row(1)) == summed([e for e in entries if e[1] == 1])
