"""Entries of event ids are joined into few, and none is dropped early."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.store import id_log
from streams.store.id_log import ENTRIES_PER_HORIZON, IdLog, IdSpan

HORIZON_MS = ENTRIES_PER_HORIZON * 100


def spans(held: list[tuple[int, int, int]]) -> list[IdSpan]:
    """(oldest, newest minus oldest, number) of each entry, at the positions from 1 on."""
    return [IdSpan(i, oldest, oldest + more, count) for i, (oldest, more, count) in enumerate(held, 1)]


_entries = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 150), st.integers(1, 9)), max_size=12).map(spans)


def applied(*held: IdSpan) -> IdLog:
    log = IdLog(HORIZON_MS)
    for span in held:
        log.add(span)
    return log


@given(_entries, st.integers(0, 13))
def test_compaction_joins_only_entries_behind_it(entries: list[IdSpan], upto: int) -> None:
    log = applied(*entries)
    ends = log.ends(upto)
    assert list(ends) == sorted(set(ends))
    assert all(end <= upto for end in ends)
    assert not ends or ends[-1] == min(upto, len(entries))
    log.compact(ends)
    assert log.ends(upto) == []
    whole = [*log._compacted, *log._recent]
    assert sum(span.count for span in whole) == sum(span.count for span in entries)
    assert [span.end_offset for span in log._recent] == [span.end_offset for span in entries if span.end_offset > upto]


@given(_entries)
def test_joined_entries_span_a_bounded_time(entries: list[IdSpan]) -> None:
    log = applied(*entries)
    begins = 0
    for end in log.ends(len(entries)):
        within = [span for span in entries if begins < span.end_offset <= end]
        newest, oldest = max(span.newest_ms for span in within), min(span.oldest_ms for span in within)
        assert len(within) == 1 or newest - oldest <= HORIZON_MS // ENTRIES_PER_HORIZON
        begins = end


@given(_entries, st.integers(0, 700), st.integers(0, 13))
def test_an_entry_is_kept_until_its_newest_id_expires(entries: list[IdSpan], ts_ms: int, upto: int) -> None:
    log = applied(*entries)
    log.compact(log.ends(upto))
    log.forget_before(ts_ms)
    needed = [span.end_offset for span in entries if span.newest_ms >= ts_ms]
    if needed:
        assert log.first is not None
        assert log.first <= min((end for end in log.ends(99) if end >= needed[0]), default=99)
        assert log.first <= next(
            span.end_offset for span in [*log._compacted, *log._recent] if span.end_offset >= needed[0]
        )


def test_does_not_join_large_entries() -> None:
    many = id_log.MAX_IDS_PER_ENTRY // 2 + 1
    log = applied(IdSpan(1, 0, 0, many), IdSpan(2, 0, 0, many), IdSpan(3, 0, 0, 1), IdSpan(4, 0, 0, many))
    assert log.ends(4) == [1, 3, 4]


def test_entries_of_a_topics_predecessor_expire_with_the_next_entry() -> None:
    log = IdLog(HORIZON_MS, recent=[IdSpan(0, 0, 9, 1), IdSpan(0, 500, 900, 1), IdSpan(4, 950, 990, 1)])
    assert IdLog(HORIZON_MS, recent=[IdSpan(0, 0, 9, 1)]).ends(9) == []
    assert log.ends(9) == [4]
