"""Sums of a window are the same for common and for rare rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.panes.cells import Cells
from streams.panes.keys import pane_keys
from streams.view import sums
from streams.view.sums import RowSums, WindowSum

ROWS, COUNTERS = 12, 5
Taken = list[tuple[int, list[tuple[int, int, int, int]]]]
"""# [(sign, [(pane, row, counter, amount)])]"""

cell = st.tuples(st.integers(0, 3), st.integers(0, ROWS - 1), st.integers(0, COUNTERS - 1), st.integers(-3, 5))
taken = st.lists(st.tuples(st.sampled_from((1, 1, -1, 0)), st.lists(cell, max_size=8)), max_size=12)


@pytest.fixture(params=[0, 4, ROWS], ids=["all rare", "some rare", "none rare"], autouse=True)
def common(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "COMMON", request.param)
    monkeypatch.setattr(sums, "_WAITING", 3)


def cells(held: list[tuple[int, int, int, int]]) -> Cells:
    panes, rows, counters, amounts = (np.array(column, np.int64) for column in zip(*held, strict=True))
    return Cells(pane_keys(panes, rows, counters), amounts).sorted()


@pytest.mark.parametrize("kind", [WindowSum, RowSums])
@given(taken=taken, asked=st.lists(st.integers(0, ROWS + 3), unique=True))
@settings(max_examples=60, deadline=None)
def test_sums_equal_all_cells_taken(kind: type[WindowSum | RowSums], taken: Taken, asked: list[int]) -> None:
    window, expected = WindowSum(COUNTERS) if kind is WindowSum else RowSums(), Counter[tuple[int, int]]()
    for sign, held in taken:
        window.take(sign, [cells(held)] if held else [])
        if sign == 0:
            expected.clear()
        for _, row, counter, amount in held if sign else ():
            expected[row, counter] += sign * amount
        assert window.of(np.array([0], np.int64))[0, 0] == expected[0, 0]
    rows = np.array(asked, np.int64)
    wanted = [[expected[row, counter] for counter in range(COUNTERS)] for row in asked]
    assert window.of(rows)[:, :COUNTERS].tolist() == wanted
    together = [sum(expected[row, counter] for row in asked) for counter in range(COUNTERS)]
    assert window.total(rows)[0, :COUNTERS].tolist() == together
    if isinstance(window, WindowSum):
        mask = np.isin(np.arange(ROWS + 4), asked)
        holding = sorted({row for (row, _), amount in expected.items() if amount and row in asked})
        assert window.nonzero_rows(mask).tolist() == holding
        for counter in range(COUNTERS):
            assert window.column(rows, counter).tolist() == [expected[row, counter] for row in asked]


def test_cancelled_cells_free_their_memory_without_reads() -> None:
    window = WindowSum(COUNTERS)
    some = cells([(0, row, counter, 1) for row in range(ROWS) for counter in range(COUNTERS)])
    window.take(1, [some])
    size = window.size
    for _ in range(200):
        window.take(1, [some])
        window.take(-1, [some])
    assert window.size <= 4 * size
    assert window.of(np.arange(ROWS)).tolist() == [[1] * COUNTERS] * ROWS


def test_columns_are_slots_and_a_counter_without_one_is_not_summed() -> None:
    slot_of = np.full(256, -1, np.int16)
    slot_of[[3, 40, 1]] = [0, 1, 2]
    window = WindowSum(3, slot_of)
    window.take(1, [cells([(0, 0, 3, 5), (0, 0, 40, 6), (0, 5, 1, 7), (0, 5, 2, 8), (1, 0, 3, 1), (1, 11, 2, 9)])])
    assert window.of(np.array([0, 5, 11])).tolist() == [[6, 6, 0], [0, 0, 7], [0, 0, 0]]
    assert window.column(np.array([0, 5]), 2).tolist() == [0, 7]
    assert window.nonzero_rows(np.ones(ROWS, np.bool_)).tolist() == [0, 5]
    assert window.total(np.array([0, 5, 11])).tolist() == [[6, 6, 7]]
