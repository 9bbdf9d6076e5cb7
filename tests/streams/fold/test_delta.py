"""Deltas are an algebra: results do not depend on batches and their order."""

from __future__ import annotations

import itertools
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.fold.codec import encode
from streams.fold.delta import ZERO, PaneDelta, merge
from streams.panes.histograms import merge_histograms
from streams.panes.keys import END_S
from tests.streams.plain import Plain, delta_of, deltas, numbered, plain

ROWS = numbered()
few = settings(max_examples=60)


def as_plain(delta: PaneDelta) -> Plain:
    return plain(delta, ROWS)


def test_merging_adds_counters_and_keeps_the_greatest_rank_per_register() -> None:
    one = delta_of([(60, 1, 0, 5), (60, 1, 0, 6), (61, 1, 0, 1)], [(60, 1, 2, 7, 3), (60, 1, 2, 7, 9)])
    two = delta_of([(60, 1, 0, 1), (60, 2, 0, 1)], [(60, 1, 2, 7, 4), (60, 1, 2, 8, 1)])
    label, other = ROWS.labels[1], ROWS.labels[2]
    assert as_plain(merge([one, two]))[:2] == (
        {(60, label, 0): 12, (60, other, 0): 1, (61, label, 0): 1},
        {(60, label, 2): {7: 9, 8: 1}},
    )


@few
@given(st.lists(deltas, min_size=2, max_size=4), st.randoms())
def test_merging_is_commutative(parts: list[PaneDelta], chance: object) -> None:
    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert as_plain(merge(shuffled)) == as_plain(merge(parts))


@few
@given(deltas, deltas, deltas)
def test_merging_is_associative(a: PaneDelta, b: PaneDelta, c: PaneDelta) -> None:
    assert as_plain(merge([merge([a, b]), c])) == as_plain(merge([a, merge([b, c])])) == as_plain(merge([a, b, c]))


@few
@given(st.lists(deltas, min_size=2, max_size=5), st.integers(1, 20))
def test_the_size_of_union_steps_does_not_matter(parts: list[PaneDelta], at_once: int) -> None:
    with mock.patch("streams.panes.sketches._AT_ONCE", at_once):
        sliced = merge(parts)
    whole = merge(parts)
    for name in ("groups", "ends", "register_entries"):
        assert getattr(sliced.sketches, name).tolist() == getattr(whole.sketches, name).tolist()


@few
@given(deltas)
def test_zero_is_neutral(delta: PaneDelta) -> None:
    assert (
        as_plain(merge([delta, ZERO])) == as_plain(merge([ZERO, delta])) == as_plain(merge([delta])) == as_plain(delta)
    )


def test_only_zero_is_false() -> None:
    assert not ZERO
    assert not merge([])
    assert delta_of([(0, 0, 0, 1)], [])
    assert delta_of([], [(0, 0, 0, 1, 1)])
    assert delta_of([], [], [(0, 0, 0, 1)])
    assert delta_of([], [], [], [(0, 0, 0, 1)])


@few
@given(deltas)
def test_merging_sketches_is_idempotent(delta: PaneDelta) -> None:
    assert as_plain(merge([delta, delta]))[1] == as_plain(delta)[1]


@few
@given(deltas)
def test_merging_extremes_is_idempotent(delta: PaneDelta) -> None:
    assert as_plain(merge([delta, delta, delta]))[2] == as_plain(delta)[2]


@few
@given(st.lists(deltas, min_size=2, max_size=4), st.randoms())
def test_bytes_do_not_depend_on_the_order_of_merging(parts: list[PaneDelta], chance: object) -> None:
    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one_by_one = shuffled[0]
    for part in shuffled[1:]:
        one_by_one = merge([part, one_by_one])
    assert encode(one_by_one, ROWS) == encode(merge(parts), ROWS)


def test_merging_keeps_the_greatest_extreme_and_adds_histograms() -> None:
    one = delta_of([], [], [(60, 1, 0, 5), (119, 1, 0, 9), (120, 1, 0, 1)], [(60, 1, 0, 5), (60, 1, 0, 5)])
    two = delta_of([], [], [(60, 1, 0, 7), (60, 1, 1, -3), (60, 1, 1, -8)], [(60, 1, 0, 5), (60, 1, 0, 127)])
    label = ROWS.labels[1]
    extremes = {(60, label, 0): 9, (60, label, 1): -3, (120, label, 0): 1}
    assert as_plain(merge([one, two])) == ({}, {}, extremes, {(60, label, 0): {5: 3, 127: 1}})


@few
@given(deltas, deltas)
def test_subtracting_histograms_undoes_adding_them(a: PaneDelta, b: PaneDelta) -> None:
    both = merge_histograms([a.quantiles, b.quantiles])
    assert as_plain(PaneDelta(quantiles=merge_histograms([both, b.quantiles.negated()])))[3] == as_plain(a)[3]


@few
@given(deltas, deltas)
def test_coarsening_commutes_with_merging(a: PaneDelta, b: PaneDelta) -> None:
    for counters_s, distincts_s in ((1, 10), (60, 600), (3600, 3600)):
        whole = merge([a, b]).coarsen(counters_s, distincts_s)
        parts = merge([a.coarsen(counters_s, distincts_s), b.coarsen(counters_s, distincts_s)])
        assert as_plain(whole) == as_plain(parts)
        assert not (whole.cells.panes % counters_s).any()
        assert not (whole.sketches.panes % distincts_s).any()
        assert not (whole.quantiles.panes % counters_s).any()
        assert not (whole.extremes.panes % max(counters_s, 60)).any()


@few
@given(deltas)
def test_coarsening_twice_equals_coarsening_once(delta: PaneDelta) -> None:
    assert as_plain(delta.coarsen(60, 600).coarsen(3600, 3600)) == as_plain(delta.coarsen(3600, 3600))


@few
@given(deltas, st.lists(st.integers(0, END_S) | st.integers(1_699_660_700, 1_699_663_000), max_size=4))
def test_adjacent_spans_partition_a_delta(delta: PaneDelta, edges: list[int]) -> None:
    bounds = [0, *sorted(edges), 2**34]  # as far as queries may ask
    parts = [delta.between(start, end) for start, end in itertools.pairwise(bounds)]
    assert as_plain(merge(parts[::-1])) == as_plain(delta)
    for (start, end), part in zip(itertools.pairwise(bounds), parts, strict=True):
        assert all(start <= pane < end for content in as_plain(part) for pane, _, _ in content)


@few
@given(deltas, st.sampled_from([60, 600, 3600]))
def test_cut_partitions_a_delta_into_aligned_spans(delta: PaneDelta, length_s: int) -> None:
    parts = dict(delta.cut(length_s))
    assert list(parts) == sorted(parts)
    assert as_plain(merge(list(parts.values()))) == as_plain(delta)
    for start, part in parts.items():
        assert start % length_s == 0
        assert part
        assert as_plain(part) == as_plain(delta.between(start, start + length_s))


@few
@given(deltas)
def test_in_one_pane_holds_the_union_of_all_panes(delta: PaneDelta) -> None:
    expected: dict[tuple[object, int], dict[int, int]] = {}
    for (_, label, distinct), ranks in as_plain(delta)[1].items():
        union = expected.setdefault((label, distinct), {})
        for register, rank in ranks.items():
            union[register] = max(rank, union.get(register, 0))
    united = as_plain(PaneDelta(sketches=delta.sketches.in_one_pane()))[1]
    assert {(label, distinct): ranks for (_, label, distinct), ranks in united.items()} == expected
    assert {pane for pane, _, _ in united} <= {0}
