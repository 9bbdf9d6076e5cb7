"""Producers with fast clocks are reported, up to a limit."""

from __future__ import annotations

from consumers.topics import Partition, Topic
from streams.fold.columns import read_columns
from streams.panes.rows import RowIndex
from streams.worker.fast_clocks import MAX_CLOCK_ERROR_MS, MAX_REPORTED, REPORTED_FOR_MS, FastClocks, find_fast_clocks
from streams.worker.lateness import EventTimeBounds
from tests.support.events import ms, paid, wire

NOW = ms(1_000)
ORDERS = Partition(Topic.ORDERS, 3)


def found(*events: dict[str, object], now_ms: int | None = NOW) -> dict[tuple[str, str], int]:
    rows = RowIndex()
    columns, rejected = read_columns(Topic.ORDERS, [wire(event) for event in events], rows)
    assert not rejected
    return find_fast_clocks(columns, ORDERS, EventTimeBounds(None, None, None, now_ms=now_ms), rows)


def test_finds_the_largest_offset_per_source_above_two_seconds() -> None:
    events = [
        paid(at=1_002, source="right"),
        paid(at=1_003, source="till-7"),
        paid(at=1_240, source="till-7"),
        paid(at=900, source="till-7"),
        paid(at=1_010, source="a/b"),
        paid(at=1_020),
    ]
    assert found(*events) == {("orders", "till-7"): 240_000, ("orders", "a/b"): 10_000, ("orders", "orders/3"): 20_000}


def test_no_source_is_ahead_of_the_event_clock() -> None:
    assert found(paid(at=10_000, source="x"), now_ms=None) == {}


def test_ignores_times_in_another_unit() -> None:
    assert found(paid(at=1_000 + MAX_CLOCK_ERROR_MS / 1000 + 1, source="x")) == {}


def test_reports_the_last_offset_of_a_source_for_five_minutes() -> None:
    held = FastClocks()
    held.note({("orders", "a"): 5_000, ("orders", "b"): 9_000}, 0)
    held.note({("orders", "a"): 4_000}, 1_000)
    assert [(one.source, one.ahead_ms) for one in held.named(2_000)] == [("b", 9_000), ("a", 4_000)]
    assert [one.source for one in held.named(REPORTED_FOR_MS + 1)] == ["a"]
    assert held.named(REPORTED_FOR_MS + 1_001) == []


def test_reports_only_the_sources_furthest_ahead() -> None:
    held = FastClocks()
    for number in range(5_000):
        held.note({("orders", f"s-{number}"): 3_000 + number}, number)
    named = held.named(5_000)
    assert len(named) == MAX_REPORTED
    assert named[0].source == "s-4999"
