"""Event ids are recognised again, and only these, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.dedup import Hashes, HashTable, SeenIds, hash_ids

HOUR = 3_600_000
few = settings(max_examples=60)
batches = st.lists(st.lists(st.integers(0, 60), max_size=40), max_size=12)


def hashed(*ids: object) -> Hashes:
    return hash_ids(list(map(str, ids)))


def take(seen: SeenIds, ids: list[int], at_ms: int = 0) -> list[bool]:
    """Which ids of a batch are new; these are added."""
    hashes = hashed(*ids)
    first = seen.first_seen(hashes)
    seen.add(hashes[first], at_ms, at_ms)
    return first.tolist()


@few
@given(batches)
def test_seen_ids_equals_a_plain_set(stream: list[list[int]]) -> None:
    seen, known = SeenIds(HOUR), set[int]()
    for i, ids in enumerate(stream):
        expected = []
        for one in ids:
            expected.append(one not in known)
            known.add(one)
        assert take(seen, ids, at_ms=i * 600_000) == expected
    assert len(seen) == len(known)


def test_only_the_first_of_repeats_in_a_batch_is_new() -> None:
    assert take(SeenIds(HOUR), [7, 8, 7, 7, 8, 9]) == [True, True, False, False, False, True]


def test_lookups_do_not_add_ids() -> None:
    seen = SeenIds(HOUR)
    assert seen.first_seen(hashed(1)).tolist() == [True]
    assert seen.first_seen(hashed(1)).tolist() == [True]
    assert len(seen) == 0


def test_an_empty_batch_is_accepted() -> None:
    seen = SeenIds(HOUR)
    assert take(seen, []) == []
    assert take(seen, [1]) == [True]
    assert take(seen, []) == []


@few
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4 * HOUR)), max_size=60), st.integers(0, 6 * HOUR))
def test_an_id_is_kept_for_at_least_the_horizon(events: list[tuple[int, int]], as_of_ms: int) -> None:
    seen, times = SeenIds(HOUR), dict[int, int]()
    for one, at_ms in events:
        if take(seen, [one], at_ms)[0]:
            times[one] = at_ms
    seen.forget_before(as_of_ms)
    kept = {one for one in times if not seen.first_seen(hashed(one))[0]}
    assert kept >= {one for one, at_ms in times.items() if at_ms >= as_of_ms - HOUR}


def test_an_id_is_forgotten_some_time_after_the_horizon() -> None:
    seen = SeenIds(HOUR)
    for minute in range(240):
        take(seen, [minute], minute * 60_000)
    seen.forget_before(240 * 60_000)
    assert 60 <= len(seen) <= 60 + 16  # the horizon, and at most a quarter of it more
    assert seen.first_seen(hashed(100)).tolist() == [True]
    seen.forget_before(10 * HOUR)
    assert len(seen) == seen.nbytes == 0


def test_a_late_event_does_not_expire_newer_ids() -> None:
    seen = SeenIds(HOUR)
    take(seen, [1], 3 * HOUR)
    take(seen, [2], 0)
    seen.forget_before(3 * HOUR)
    assert take(seen, [1]) == [False]


def test_the_oldest_ids_are_evicted_first_and_the_eviction_time_is_kept() -> None:
    seen = SeenIds(HOUR)
    for quarter in range(8):
        take(seen, [2 * quarter, 2 * quarter + 1], quarter * (HOUR // 4 + 1))
        take(seen, [100 + quarter], quarter * (HOUR // 4 + 1) + HOUR // 4 + 1)
    assert seen.evicted_until_ms is None
    before = seen.nbytes
    seen.evict_oldest()
    assert seen.nbytes < before
    assert seen.evicted_until_ms is not None
    assert seen.first_seen(hashed(0, 14)).tolist() == [True, False]
    while len(seen):
        seen.evict_oldest()
    seen.evict_oldest()
    assert seen.nbytes == 0


def test_memory_is_a_few_bytes_per_id() -> None:
    seen = SeenIds(HOUR)
    for batch in range(50):
        take(seen, list(range(batch * 10_000, (batch + 1) * 10_000)))
    assert len(seen) == 500_000
    assert seen.nbytes <= 40 * len(seen)


def test_memory_is_at_most_15_bytes_per_id_for_many_ids() -> None:
    seen, chance = SeenIds(HOUR), np.random.default_rng(1)
    for _ in range(150):
        seen.add(np.unique(chance.integers(1, 2**64 - 1, 12_000, np.uint64)), 0, 0)
    assert seen.nbytes <= 15 * len(seen)


def test_a_batch_larger_than_a_generation_is_kept_whole() -> None:
    seen = SeenIds(HOUR)
    ids = np.arange(1, 400_001, dtype=np.uint64)
    seen.add(ids, 0, 0)
    assert seen.contains(ids).all()


@few
@given(st.sets(st.integers(1, 2**64 - 1), max_size=400), st.sets(st.integers(1, 2**64 - 1), max_size=100))
def test_a_table_contains_only_the_added_hashes(put: set[int], others: set[int]) -> None:
    table = HashTable()
    values = np.array(sorted(put), np.uint64)
    for part in np.array_split(values, 5):
        table.add(part)
    assert len(table) == len(put)
    assert table.contains(values).all()
    asked = sorted(others)
    assert table.contains(np.array(asked, np.uint64)).tolist() == [value in put for value in asked]


@pytest.mark.parametrize("size", [1, 614, 615, 2_000, 5_000])
def test_colliding_hashes_are_all_found(size: int) -> None:
    table = HashTable()
    crowded = np.arange(1, size + 1, dtype=np.uint64) << np.uint64(20)
    table.add(crowded[: size // 2])
    table.add(crowded[size // 2 :])
    assert table.contains(crowded).all()
    assert not table.contains(crowded + np.uint64(1)).any()


def test_a_hash_is_never_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.dedup.xxhash.xxh3_64_intdigest", lambda _: 0)
    assert hashed("x").tolist() == [1]
