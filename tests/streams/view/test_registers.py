"""Unions of registers and of register entries are the same union."""

from __future__ import annotations

import numpy as np
import pytest

from streams.panes.keys import pane_keys
from streams.panes.sketches import REGISTERS, Sketches, sketches_from
from streams.view import registers as registers_module
from streams.view.registers import (
    N_DISTINCTS,
    ROW_REGISTERS,
    DistinctUnion,
    empty_registers,
    entries_by_sketch,
    entries_of,
    estimates,
    histograms,
    raise_to,
)


def some_sketches(seed: int, panes: int, rows: int, entries: int) -> Sketches:
    random = np.random.default_rng(seed)
    keys = np.array([(pane, row, d) for pane in range(panes) for row in range(rows) for d in range(N_DISTINCTS)])
    table = pane_keys(10 * keys[:, 0], keys[:, 1], keys[:, 2])
    drawn = random.integers(0, REGISTERS, entries) << 6 | random.integers(1, 49, entries)
    order = np.argsort(drawn >> 6, kind="stable")
    return sketches_from(table, random.integers(0, len(table), entries), drawn[order])


@pytest.mark.parametrize("dense_rows", [0, 64])
def test_a_union_estimates_the_same_from_entries_as_from_registers(
    dense_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers_module, "DENSE_ROWS", dense_rows)
    parts = [some_sketches(seed, 3, 4, 5_000) for seed in range(3)]
    union = DistinctUnion(np.array([2, 0, 7]))
    union.take(parts)
    united = []
    for row in (2, 0, 7):
        expected = empty_registers()
        for part in parts:
            raise_to(expected, entries_by_sketch(part.of_row(row)))
        united += estimates(expected)
    assert union.counts() == united
    assert united[2] == [0] * N_DISTINCTS


def test_registers_are_the_union_of_their_entries() -> None:
    united = empty_registers()
    raise_to(united, entries_by_sketch(some_sketches(1, 1, 1, 30_000)))
    again = empty_registers()
    raise_to(again, entries_of(united))
    assert np.array_equal(united, again)


def test_a_histogram_counts_every_register() -> None:
    registers = empty_registers()
    registers[[0, 5, REGISTERS, ROW_REGISTERS - 1]] = [3, 3, 7, 49]
    by_rank = histograms(registers)
    assert by_rank.sum(axis=1).tolist() == [REGISTERS] * N_DISTINCTS
    assert (by_rank[0, 3], by_rank[1, 7], by_rank[2, 49]) == (2, 1, 1)
