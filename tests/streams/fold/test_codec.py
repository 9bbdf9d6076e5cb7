"""Deltas round-trip between processes with different row numbers."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.fold import codec
from streams.fold.codec import decode, encode
from streams.fold.delta import ZERO, PaneDelta, merge
from streams.panes.rows import RowIndex
from streams.panes.scopes import SCOPES, Scope
from tests.streams.plain import built_in_deltas, delta_of, deltas, numbered, plain

ROWS = numbered()
AWKWARD = ["\x00", "a\x00b", '"', "'", "\\", "\n", "é", "漢字", "🛒", "\u202e", "x" * 128, "{0}", "%s", "null"]


def elsewhere() -> RowIndex:
    """Another process, with other labels first and some of ours in another order."""
    rows = RowIndex()
    for i in range(50, 20, -1):
        rows.row(SCOPES[i % len(SCOPES)], f"v{i}")
    return rows


@settings(max_examples=60)
@given(deltas, st.sampled_from([0, 1, 9]))
def test_a_round_trip_changes_nothing_but_row_numbers(delta: PaneDelta, compress: bool) -> None:
    there = elsewhere()
    assert plain(decode(encode(delta, ROWS, compress=compress), there), there) == plain(delta, ROWS)


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 70_000])
@pytest.mark.parametrize("compress", [False, True])
def test_the_plain_and_the_packed_form_decode_alike(n: int, compress: bool) -> None:
    chance = Random(n)
    cells = [(1_699_660_800 + i // 40, i % 40, chance.randrange(29), chance.randrange(1, 2**45)) for i in range(n // 2)]
    register_entries = [
        (1_699_660_800, i % 40, i % 3, i // 120 % 65_536, chance.randrange(1, 50)) for i in range(n - n // 2)
    ]
    delta, there = delta_of(cells, register_entries), elsewhere()
    assert plain(decode(encode(delta, ROWS, compress=compress), there), there) == plain(delta, ROWS)


@pytest.mark.parametrize("few", [0, 10_000])
@settings(max_examples=40)
@given(
    values=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(AWKWARD),
        min_size=1,
    )
)
def test_values_may_hold_any_character(few: int, values: list[str]) -> None:
    rows, there = RowIndex(), elsewhere()
    cells = [(60, rows.row(Scope.CHANNEL, value), 0, 1 + i) for i, value in enumerate(values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_FEW", few)  # both forms, even for few numbers
        again = decode(encode(delta_of(cells, []), rows), there)
    assert plain(again, there) == plain(delta_of(cells, []), rows)
    assert {value for (_, (_, value), _) in plain(again, there)[0]} == set(values)


@pytest.mark.parametrize("amount", [1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62, -1, -(2**40)])
def test_numbers_keep_their_size_and_sign(amount: int) -> None:
    cells = [(60, row, counter, amount) for row in range(20) for counter in range(29)]
    for some in (cells[:1], cells):
        there = elsewhere()
        assert plain(decode(encode(delta_of(some, []), ROWS), there), there) == plain(delta_of(some, []), ROWS)


def test_an_empty_delta_round_trips() -> None:
    assert not decode(encode(ZERO, ROWS), RowIndex())


def test_the_same_value_in_two_scopes_stays_two_rows() -> None:
    rows, there = RowIndex(), RowIndex()
    delta = delta_of([(60, rows.row(Scope.CHANNEL, "x"), 0, 1), (60, rows.row(Scope.REGION, "x"), 0, 2)], [])
    assert plain(decode(encode(delta, rows), there), there) == plain(delta, rows)


def test_decoded_deltas_merge_with_local_ones() -> None:
    there = elsewhere()
    delta = delta_of([(60, 3, 0, 5), (60, 21, 0, 5)], [(60, 3, 0, 1, 2)])
    data = encode(delta, ROWS)
    twice = plain(merge([decode(data, there), decode(data, there)]), there)
    assert set(twice[0].values()) == {10}
    assert twice[1] == plain(delta, ROWS)[1]


def test_rejects_an_unknown_format_version() -> None:
    wire = codec._few(delta_of([(60, 0, 0, 1)], []), ROWS)
    wire.version = 99
    with pytest.raises(ValueError, match="99"):
        decode(b"\x00" + codec._encoder.encode(wire), RowIndex())


def version_of(delta: PaneDelta, rows: RowIndex = ROWS) -> int:
    version: int = msgspec.msgpack.decode(encode(delta, rows, compress=False)[1:])[0]
    return version


@settings(max_examples=60)
@given(built_in_deltas)
def test_numbers_of_the_built_in_model_can_be_read_by_releases_without_models(delta: PaneDelta) -> None:
    assert version_of(delta) == 4


def test_what_format_4_does_not_know_is_written_as_format_5() -> None:
    own = RowIndex()
    own.read(bytes([192]), ["x"])
    many = [(60 + i, i % 40, i % 31, 1) for i in range(300)]
    for cells in ([], many):
        assert version_of(delta_of([*cells, (60, 1, 31, 1)], [])) == 5
        assert version_of(delta_of(cells, [(60, 1, 3, 1, 1)])) == 5
        assert version_of(delta_of(cells, [], [(60, 1, 0, 1)])) == 5
        assert version_of(delta_of(cells, [], [], [(60, 1, 0, 1)])) == 5
    assert version_of(delta_of([(60, 0, 0, 1)], []), own) == 5


@pytest.mark.parametrize("n", [1, 100, 40_000])
@pytest.mark.parametrize("compress", [False, True])
def test_extremes_and_quantiles_round_trip_in_any_number(n: int, compress: bool) -> None:
    chance = Random(n)
    some = [(1_699_660_800 + i // 40, i % 40, i % 256, chance.randrange(10**15)) for i in range(n)]
    negated = [(pane, row, i, -value) for pane, row, i, value in some]
    delta, there = delta_of([], [], negated, some), elsewhere()
    assert plain(decode(encode(delta, ROWS, compress=compress), there), there) == plain(delta, ROWS)
