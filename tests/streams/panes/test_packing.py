"""Columns round-trip for any numbers, and ascending ones compress."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streams.panes.arrays import Ints
from streams.panes.packing import Column, pack, pack_delta_encoded, unpack, unpack_uint32

SIZES = st.sampled_from([(0, 255), (0, 65_535), (0, 2**32 - 1), (-(2**62), 2**62)])
COLUMNS = SIZES.flatmap(lambda bounds: st.lists(st.integers(*bounds)))


@given(COLUMNS)
def test_a_packed_column_round_trips(numbers: list[int]) -> None:
    assert unpack(pack(np.array(numbers, np.int64))).tolist() == numbers


@given(COLUMNS)
def test_a_delta_encoded_column_round_trips_even_if_not_ascending(numbers: list[int]) -> None:
    assert unpack(pack_delta_encoded(np.array(numbers, np.int64))).tolist() == numbers


@pytest.mark.parametrize("edge", [0, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1, -(2**63)])
def test_differences_wrap_at_the_edges_of_every_type(edge: int) -> None:
    numbers = [0, edge, 0, edge, edge, 1]
    assert unpack(pack_delta_encoded(np.array(numbers, np.int64))).tolist() == numbers


@pytest.mark.parametrize("column", [pack, pack_delta_encoded])
def test_unpacks_to_the_requested_type(column: Callable[[Ints], Column]) -> None:
    packed = column(np.array([3, 70_000], np.int64))
    for read, kind in ((unpack, np.int64), (unpack_uint32, np.uint32)):
        assert (read(packed).dtype, read(packed).tolist()) == (kind, [3, 70_000])


def test_delta_encoding_halves_the_compressed_size_of_sketches() -> None:
    chance = np.random.default_rng(1)
    registers = np.concatenate([np.sort(chance.choice(65_536, 10_000, replace=False)) for _ in range(20)])
    plain, rising = (len(zstandard.compress(bytes(column(registers)), 1)) for column in (pack, pack_delta_encoded))
    assert rising < plain / 2
