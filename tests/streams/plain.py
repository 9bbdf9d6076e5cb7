"""Panes as dictionaries that do not depend on row numbers, and random deltas."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from streams.fold.delta import ZERO, PaneDelta, merge
from streams.panes.arrays import Ints
from streams.panes.cells import Cells
from streams.panes.counters import N_COUNTERS
from streams.panes.keys import END_S, pane_keys
from streams.panes.rows import RowIndex
from streams.panes.scopes import SCOPES, Scope
from streams.panes.sketches import RANK_BITS, Sketches

Label = tuple[Scope, str]
Plain = tuple[dict[tuple[int, Label, int], int], dict[tuple[int, Label, int], dict[int, int]]]
"""{(pane, label, counter): amount}, {(pane, label, distinct): {register: rank}}."""


def plain(delta: PaneDelta, rows: RowIndex) -> Plain:
    cells, sketches = delta.cells, delta.sketches
    places = zip(cells.panes.tolist(), cells.rows.tolist(), cells.counters.tolist(), strict=True)
    sums = {(pane, rows.labels[row], counter): 0 for pane, row, counter in places}
    assert len(sums) == len(cells.keys), "keys are distinct"
    sums = dict(zip(sums, cells.amounts.tolist(), strict=True))
    registers = {}
    ends = [0, *sketches.ends.tolist()]
    groups = zip(sketches.panes.tolist(), sketches.rows.tolist(), sketches.distincts.tolist(), strict=True)
    for i, (pane, row, distinct) in enumerate(groups):
        register_entries = sketches.register_entries[ends[i] : ends[i + 1]].tolist()
        held = {coupon >> RANK_BITS: coupon & ((1 << RANK_BITS) - 1) for coupon in register_entries}
        assert len(held) == len(register_entries), "one register entry per register"
        registers[pane, rows.labels[row], distinct] = held
    assert len(registers) == len(sketches.groups), "groups are distinct"
    return sums, registers


def numbered(size: int = 40) -> RowIndex:
    """Rows with `size` labels of all scopes."""
    rows = RowIndex()
    for i in range(size):
        rows.row(SCOPES[i % len(SCOPES)], f"v{i}")
    return rows


def delta_of(
    cells: Iterable[tuple[int, int, int, int]], register_entries: Iterable[tuple[int, int, int, int, int]]
) -> PaneDelta:
    """From (pane, row, counter, amount) and (pane, row, distinct, register, rank), in any order, with duplicates."""

    def columns(found: Iterable[tuple[int, ...]], n: int) -> list[Ints]:
        return list(np.array(list(found), np.int64).reshape(-1, n).T)

    pane, row, counter, amount = columns(cells, 4)
    one_by_one = [Cells(pane_keys(pane, row, counter), amount).sorted()]
    pane, row, distinct, register, rank = columns(register_entries, 5)
    sizes = np.arange(1, len(pane) + 1)
    drawn = (register << RANK_BITS | rank).astype(np.uint32)
    return PaneDelta(one_by_one[0], Sketches(pane_keys(pane, row, distinct), sizes, drawn).sorted())


_PANES = st.integers(0, 12).map(lambda i: 1_699_660_800 + 600 * (i // 4) + 10 * (i % 4)) | st.integers(0, END_S - 1)
_ROWS = st.integers(0, 39)
_AMOUNTS = st.integers(1, 9) | st.integers(1, 2**50)

deltas = st.builds(
    delta_of,
    st.lists(st.tuples(_PANES, _ROWS, st.integers(0, N_COUNTERS - 1), _AMOUNTS), max_size=20),
    st.lists(st.tuples(_PANES, _ROWS, st.integers(0, 2), st.integers(0, 5), st.integers(1, 49)), max_size=20),
)
"""Deltas over the rows of `numbered()`."""

__all__ = ["ZERO", "Plain", "delta_of", "deltas", "merge", "numbered", "plain"]
