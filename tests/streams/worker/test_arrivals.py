"""The time up to which all arrived records are counted."""

from __future__ import annotations

from consumers.topics import Partition, Topic
from streams.worker.arrivals import Arrivals

ORDERS, CLICKS = Partition(Topic.ORDERS, 0), Partition(Topic.CLICKS, 0)


def test_finds_the_newest_end_offset_that_was_counted() -> None:
    held = Arrivals()
    assert held.counted_ms(ORDERS, 0) is None
    for end, at_ms in ((10, 1_000), (20, 2_000), (30, 3_000)):
        held.note(ORDERS, end, at_ms)
    assert held.counted_ms(ORDERS, 9) is None
    assert held.counted_ms(ORDERS, 10) == 1_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(CLICKS, 29) is None


def test_reports_a_partition_with_a_constant_small_lag_as_current() -> None:
    held = Arrivals()
    for second in range(1, 600):
        held.note(ORDERS, 100 * second, 1_000 * second)
        counted_ms = held.counted_ms(ORDERS, 100 * second - 5)
    assert counted_ms == 598_000


def test_a_long_backlog_keeps_few_samples_and_is_never_underestimated() -> None:
    held = Arrivals()
    for second in range(1, 10_000):
        held.note(ORDERS, 100 * second, 1_000 * second)
        assert held.counted_ms(ORDERS, 50) is None
    assert held.counted_ms(ORDERS, 100 * 9_999) == 60_000, "later ends were not stored"
    held.note(ORDERS, 1_000_000, 10_000_000)
    assert held.counted_ms(ORDERS, 1_000_000) == 10_000_000


def test_a_recreated_topic_or_a_clock_jump_drops_all_samples() -> None:
    held = Arrivals()
    held.note(ORDERS, 1_000, 1_000)
    held.note(ORDERS, 5, 2_000)
    assert held.counted_ms(ORDERS, 5) == 2_000
    held.note(ORDERS, 9, 1_500)
    assert held.counted_ms(ORDERS, 9) == 1_500
