"""Up to which moment everything that had arrived is counted."""

from __future__ import annotations

from consumers.topics import Partition, Topic
from streams.worker.arrivals import Arrivals

ORDERS, CLICKS = Partition(Topic.ORDERS, 0), Partition(Topic.CLICKS, 0)


def test_it_is_the_last_end_that_counting_has_passed() -> None:
    held = Arrivals()
    assert held.counted_ms(ORDERS, 0) is None
    for end, at_ms in ((10, 1_000), (20, 2_000), (30, 3_000)):
        held.note(ORDERS, end, at_ms)
    assert held.counted_ms(ORDERS, 9) is None
    assert held.counted_ms(ORDERS, 10) == 1_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(ORDERS, 29) == 2_000
    assert held.counted_ms(CLICKS, 29) is None


def test_a_partition_that_is_always_a_little_behind_is_known_to_keep_up() -> None:
    held = Arrivals()
    for second in range(1, 600):
        held.note(ORDERS, 100 * second, 1_000 * second)
        counted_ms = held.counted_ms(ORDERS, 100 * second - 5)
    assert counted_ms == 598_000


def test_a_backlog_takes_little_memory_and_is_never_told_to_be_less() -> None:
    held = Arrivals()
    for second in range(1, 10_000):
        held.note(ORDERS, 100 * second, 1_000 * second)
        assert held.counted_ms(ORDERS, 50) is None
    assert held.counted_ms(ORDERS, 100 * 9_999) == 60_000, "the ends after that were not remembered"
    held.note(ORDERS, 1_000_000, 10_000_000)
    assert held.counted_ms(ORDERS, 1_000_000) == 10_000_000


def test_a_topic_made_again_or_a_clock_that_jumped_begins_anew() -> None:
    held = Arrivals()
    held.note(ORDERS, 1_000, 1_000)
    held.note(ORDERS, 5, 2_000)
    assert held.counted_ms(ORDERS, 5) == 2_000
    held.note(ORDERS, 9, 1_500)
    assert held.counted_ms(ORDERS, 9) == 1_500
