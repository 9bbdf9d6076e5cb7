"""The panes of one row give the union of all entries in a span, read or polled."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.model.windows import Span
from streams.panes.sketches import RANK_BITS
from streams.view.live_distincts import BLOCK_STEPS, STEPS, DistinctPane, RowDistinctPanes
from streams.view.registers import ROW_REGISTERS, SketchEntries

DAY_S = 86_400
marks_ = st.lists(st.tuples(st.integers(0, ROW_REGISTERS - 1), st.integers(1, 49)), max_size=5)
events = st.lists(st.tuples(st.integers(0, DAY_S // 10 - 1), marks_), max_size=40)


def marks(pairs: list[tuple[int, int]]) -> SketchEntries:
    return np.array([at << RANK_BITS | rank for at, rank in pairs], np.uint32)


def united(panes: RowDistinctPanes, span: Span) -> dict[int, int]:
    registers = np.zeros(ROW_REGISTERS, np.uint8)
    panes.unite(span, STEPS[-1], registers)
    return {int(at): int(registers[at]) for at in np.flatnonzero(registers)}


def expected(held: list[tuple[int, list[tuple[int, int]]]], span: Span) -> dict[int, int]:
    greatest: dict[int, int] = {}
    for pane, pairs in held:
        if span.start_s <= 10 * pane < span.end_s:
            for at, rank in pairs:
                greatest[at] = max(rank, greatest.get(at, 0))
    return greatest


@given(
    before=events,
    after=events,
    spans=st.lists(st.tuples(st.integers(0, 8640), st.integers(0, 8640)), min_size=1, max_size=6),
    fed_from=st.integers(0, DAY_S // 10),
    forget=st.booleans(),
)
def test_a_union_has_all_entries_read_and_polled(
    before: list[tuple[int, list[tuple[int, int]]]],
    after: list[tuple[int, list[tuple[int, int]]]],
    spans: list[tuple[int, int]],
    fed_from: int,
    forget: bool,
) -> None:
    before = [(pane, pairs) for pane, pairs in before if pane < fed_from]
    held = list(before)
    panes = RowDistinctPanes(STEPS, 10 * fed_from)
    for i, (one, other) in enumerate(spans):
        for pane, pairs in after[i :: len(spans)]:
            held.append((pane, pairs))
            panes.feed(10 * pane, marks(pairs))
        span = Span(10 * min(one, other), 10 * max(one, other))
        for step, start in list(panes.missing(span, STEPS[-1])):
            assert step in BLOCK_STEPS
            read = panes.begin((step, start))
            for at, rank in expected(held, Span(start, start + step)).items():
                read.add(marks([(at, rank)]))
        assert not list(panes.missing(span, STEPS[-1]))
        assert united(panes, span) == expected(held, span)
        if forget:
            panes.forget(span.end_s, span.end_s - span.start_s)


def test_a_pane_is_the_union_of_its_parts() -> None:
    chance, pane, greatest = np.random.default_rng(1), DistinctPane(), np.zeros(ROW_REGISTERS, np.uint8)
    for _ in range(100):
        at, ranks = chance.integers(0, ROW_REGISTERS, 3_000), chance.integers(1, 49, 3_000)
        np.maximum.at(greatest, at, ranks.astype(np.uint8))
        pane.add((at << RANK_BITS | ranks).astype(np.uint32))
    registers = np.zeros(ROW_REGISTERS, np.uint8)
    pane.unite_into(registers)
    assert np.array_equal(registers, greatest)
    assert pane.size <= ROW_REGISTERS + 33 * 12_000
