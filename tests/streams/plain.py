"""Panes as dictionaries that do not depend on row numbers, and random deltas."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from streams.fold.delta import ZERO, PaneDelta, merge
from streams.panes.arrays import Ints
from streams.panes.cells import Cells
from streams.panes.counters import N_COUNTERS
from streams.panes.extremes import extremes_of
from streams.panes.histograms import MAX_VALUE, buckets_of, histograms_of
from streams.panes.keys import END_S, pane_keys
from streams.panes.rows import RowIndex
from streams.panes.scopes import SCOPES, Scope
from streams.panes.sketches import RANK_BITS, Sketches

Label = tuple[Scope, str]
Sums = dict[tuple[int, Label, int], int]
"""# <(pane, label, id): number>"""
Tables = dict[tuple[int, Label, int], dict[int, int]]
"""# <(pane, label, id): <place: number>>"""
Plain = tuple[Sums, Tables, Sums, Tables]
"""Counters, ranks by register of distinct counts, extremes, and counts by bucket of quantiles."""


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
    return sums, registers, _extremes(delta, rows), _histograms(delta, rows)


def _extremes(delta: PaneDelta, rows: RowIndex) -> Sums:
    extremes = delta.extremes
    assert extremes.keys.tolist() == sorted(set(extremes.keys.tolist()))
    places = zip(extremes.panes.tolist(), extremes.rows.tolist(), extremes.ids.tolist(), strict=True)
    return {
        (pane, rows.labels[row], i): value
        for (pane, row, i), value in zip(places, extremes.values.tolist(), strict=True)
    }


def _histograms(delta: PaneDelta, rows: RowIndex) -> Tables:
    held = delta.quantiles
    assert held.groups.tolist() == sorted(set(held.groups.tolist()))
    ends, buckets, counts = [0, *held.ends.tolist()], held.buckets.tolist(), held.counts.tolist()
    tables = {}
    for i, place in enumerate(zip(held.panes.tolist(), held.rows.tolist(), held.ids.tolist(), strict=True)):
        of_group = slice(ends[i], ends[i + 1])
        assert buckets[of_group] == sorted(set(buckets[of_group]))
        tables[place[0], rows.labels[place[1]], place[2]] = dict(zip(buckets[of_group], counts[of_group], strict=True))
    return tables


def numbered(size: int = 40) -> RowIndex:
    """Rows with `size` labels of all scopes."""
    rows = RowIndex()
    for i in range(size):
        rows.row(SCOPES[i % len(SCOPES)], f"v{i}")
    return rows


def delta_of(
    cells: Iterable[tuple[int, int, int, int]],
    register_entries: Iterable[tuple[int, int, int, int, int]],
    extremes: Iterable[tuple[int, int, int, int]] = (),
    values: Iterable[tuple[int, int, int, int]] = (),
) -> PaneDelta:
    """From (pane, row, counter, amount), (pane, row, distinct, register, rank), (second, row, extreme, value) and
    (pane, row, quantiles, value), in any order, with duplicates."""

    def columns(found: Iterable[tuple[int, ...]], n: int) -> list[Ints]:
        return list(np.array(list(found), np.int64).reshape(-1, n).T)

    pane, row, counter, amount = columns(cells, 4)
    one_by_one = [Cells(pane_keys(pane, row, counter), amount).sorted()]
    pane, row, distinct, register, rank = columns(register_entries, 5)
    sizes = np.arange(1, len(pane) + 1)
    drawn = (register << RANK_BITS | rank).astype(np.uint32)
    sketches = Sketches(pane_keys(pane, row, distinct), sizes, drawn).sorted()
    second, row, extreme, value = columns(extremes, 4)
    greatest = extremes_of(pane_keys(second - second % 60, row, extreme), value)
    pane, row, quantiles, value = columns(values, 4)
    histograms = histograms_of(pane_keys(pane, row, quantiles), buckets_of(value), np.ones_like(value))
    return PaneDelta(one_by_one[0], sketches, extremes=greatest, quantiles=histograms)


_PANES = st.integers(0, 12).map(lambda i: 1_699_660_800 + 600 * (i // 4) + 10 * (i % 4)) | st.integers(0, END_S - 1)
_ROWS = st.integers(0, 39)
_AMOUNTS = st.integers(1, 9) | st.integers(1, 2**50)

_IDS = st.integers(0, 2) | st.integers(128, 255)
_VALUES = st.integers(0, 300) | st.integers(0, MAX_VALUE)

built_in_deltas = st.builds(
    delta_of,
    st.lists(st.tuples(_PANES, _ROWS, st.integers(0, N_COUNTERS - 1), _AMOUNTS), max_size=20),
    st.lists(st.tuples(_PANES, _ROWS, st.integers(0, 2), st.integers(0, 5), st.integers(1, 49)), max_size=20),
)
"""Deltas over the rows of `numbered()`, of the built-in model."""

deltas = built_in_deltas | st.builds(
    delta_of,
    st.lists(st.tuples(_PANES, _ROWS, st.integers(0, N_COUNTERS - 1) | _IDS, _AMOUNTS), max_size=9),
    st.lists(st.tuples(_PANES, _ROWS, _IDS, st.integers(0, 5), st.integers(1, 49)), max_size=9),
    st.lists(st.tuples(_PANES, _ROWS, _IDS, _VALUES | _VALUES.map(lambda value: -value)), max_size=12),
    st.lists(st.tuples(_PANES, _ROWS, _IDS, _VALUES), max_size=12),
)
"""Deltas over the rows of `numbered()`, of any model."""

__all__ = ["ZERO", "Plain", "built_in_deltas", "delta_of", "deltas", "merge", "numbered", "plain"]
