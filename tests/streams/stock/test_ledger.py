"""Ledgers merge in any order, and can be cut and merged again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.stock.ledger import (
    EMPTY_LEDGER,
    OTHER_BITS,
    Ledger,
    LedgerEntries,
    merge_ledgers,
    min_entries,
    pair_codes,
    sum_entries,
)
from tests.streams.stock.ledgers import Event, events, ledger_of, numbered

NAMES = numbered()
parts = st.lists(events, min_size=1, max_size=4)


def as_plain(ledger: Ledger) -> list[list[tuple[int, int, int]]]:
    return [
        list(zip(part.pairs.tolist(), part.times.tolist(), part.amounts.tolist(), strict=True))
        for part in (ledger.moves, ledger.levels, ledger.sales)
    ]


@given(parts, st.randoms())
def test_splits_merge_to_the_whole_in_any_order(happened: list[list[Event]], chance: object) -> None:
    split = [ledger_of(part, NAMES) for part in happened]
    chance.shuffle(split)  # type: ignore[attr-defined]
    while len(split) > 1:
        merged = merge_ledgers(split[:2])
        split = [*split[2:], merged]
    assert as_plain(split[0]) == as_plain(ledger_of([event for part in happened for event in part], NAMES))


@given(events)
def test_the_empty_ledger_is_neutral(happened: list[Event]) -> None:
    ledger = ledger_of(happened, NAMES)
    assert as_plain(merge_ledgers([EMPTY_LEDGER, ledger])) == as_plain(merge_ledgers([ledger])) == as_plain(ledger)
    assert bool(ledger) == any(as_plain(ledger))
    assert ledger.size == sum(map(len, as_plain(ledger)))


@given(events)
def test_entries_are_sorted_and_distinct(happened: list[Event]) -> None:
    for entries in as_plain(ledger_of(happened, NAMES)):
        keys = [(pair, time) for pair, time, _ in entries]
        assert keys == sorted(set(keys))


@given(events, st.sampled_from([1000, 60_000, 3_600_000]))
def test_cut_partitions_a_ledger(happened: list[Event], length_ms: int) -> None:
    ledger = ledger_of(happened, NAMES)
    stretches = dict(ledger.cut(length_ms))
    assert list(stretches) == sorted(stretches)
    assert as_plain(merge_ledgers(list(stretches.values()))) == as_plain(ledger)
    for start, stretch in stretches.items():
        assert stretch
        assert all(start <= time < start + length_ms for part in as_plain(stretch) for _, time, _ in part)


@given(events, st.sets(st.integers(0, 4)))
def test_of_skus_selects_skus(happened: list[Event], skus: set[int]) -> None:
    ledger = ledger_of(happened, NAMES)
    mine = ledger.of_skus(np.array(sorted(skus), np.int64))
    assert as_plain(mine) == [[entry for entry in part if entry[0] >> OTHER_BITS in skus] for part in as_plain(ledger)]


def test_of_two_counts_at_the_same_time_the_smaller_applies() -> None:
    pair, at = pair_codes(np.array([3, 3]), np.array([0, 0])), np.array([5, 5])
    assert min_entries(pair, at, np.array([7, 2])).amounts.tolist() == [2]
    assert sum_entries(pair, at, np.array([7, 2])).amounts.tolist() == [9]


def test_sorts_numbers_too_large_for_one_key() -> None:
    skus, others, at = np.array([1 << 30, 0, 0]), np.array([1 << 29, 5, -1]), np.array([9, 1 << 43, 7])
    entries = sum_entries(pair_codes(skus, others), at, np.array([1, 2, 3]))
    assert entries.skus.tolist() == [0, 0, 1 << 30]
    assert entries.others.tolist() == [-1, 5, 1 << 29]
    assert entries.amounts.tolist() == [3, 2, 1]


def test_rounded_sums_by_steps() -> None:
    pairs = pair_codes(np.array([1, 1, 1]), 0)
    assert sum_entries(pairs, np.array([100, 900, 1100]), np.array([1, 2, 4])).rounded(1000).amounts.tolist() == [3, 4]
    assert len(LedgerEntries().rounded(1000)) == 0


def test_very_many_warehouses_do_not_collide() -> None:
    for other in (2**20 - 2, 2**20 - 1, 2**20, 2**31 - 3):
        entries = sum_entries(pair_codes(np.array([0, 1]), other), np.array([5, 5]), np.array([7, 8]))
        assert (entries.skus.tolist(), entries.others.tolist()) == ([0, 1], [other, other])
        assert entries.of_skus(np.array([1])).amounts.tolist() == [8]
