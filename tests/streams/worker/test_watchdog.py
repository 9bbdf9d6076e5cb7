"""When a worker that reads nothing is suspect, and what excuses it."""

from __future__ import annotations

from dataclasses import replace

from consumers.topics import Partition
from streams.worker.watchdog import PartitionSample, Watchdog, WorkerSample
from tests.streams.shop import CLICKS_0, ORDERS_0

AFTER_S = 30
WAITING, IDLE = PartitionSample(0, has_backlog=True), PartitionSample(0, has_backlog=False)


def seen(partitions: dict[Partition, PartitionSample] | None = None, **changes: bool) -> WorkerSample:
    plain = WorkerSample(partitions or {CLICKS_0: WAITING}, redis_takes_writes=True, rebalancing=False, full=False)
    return replace(plain, **changes)


def in_doubt(*sights: WorkerSample, dog: Watchdog | None = None) -> list[int]:
    """The seconds at which a partition was suspect, checking once a second."""
    dog = dog or Watchdog(AFTER_S)
    return [second for second, sight in enumerate(sights) if dog.check(second, sight)]


def test_suspects_a_partition_with_a_backlog_and_no_progress() -> None:
    assert in_doubt(*[seen()] * 40) == list(range(31, 40))


def test_never_suspects_idle_partitions() -> None:
    assert in_doubt(*[seen({CLICKS_0: IDLE})] * 100) == []


def test_progress_restarts_the_timer() -> None:
    steps = [seen({CLICKS_0: PartitionSample(second >= 25, has_backlog=True)}) for second in range(60)]
    assert in_doubt(*steps) == [56, 57, 58, 59]


def test_lists_the_longest_suspect_first() -> None:
    dog = Watchdog(AFTER_S)
    for second in range(50):
        found = dog.check(second, seen({ORDERS_0: PartitionSample(second < 10, has_backlog=True), CLICKS_0: WAITING}))
    assert found == [CLICKS_0, ORDERS_0]


def test_suspects_nothing_while_redis_is_unavailable_or_just_back() -> None:
    assert in_doubt(*[seen()] * 20, *[seen(redis_takes_writes=False)] * 60, *[seen()] * 40) == list(range(110, 120))


def test_suspects_nothing_during_a_rebalance_or_just_after() -> None:
    storm = [seen(rebalancing=second % 4 < 2) for second in range(200)]
    assert in_doubt(*storm) == []
    assert in_doubt(*[seen(rebalancing=True)] * 40, *[seen()] * 35) == [70, 71, 72, 73, 74]


def test_reports_a_rebalance_that_does_not_end() -> None:
    dog = Watchdog(AFTER_S)
    stuck = []
    for second in range(70):
        dog.check(second, seen(rebalancing=second >= 5))
        stuck.append(dog.rebalance_is_stuck(second))
    assert stuck.index(True) == 65
    for second in range(70, 140):
        dog.check(second, seen({CLICKS_0: PartitionSample(second, has_backlog=True)}, rebalancing=True))
        assert not dog.rebalance_is_stuck(second)


def test_with_a_full_budget_progress_of_any_partition_suffices() -> None:
    both = [
        seen({CLICKS_0: WAITING, ORDERS_0: PartitionSample(second, has_backlog=True)}, full=True)
        for second in range(100)
    ]
    assert in_doubt(*both) == []
    assert in_doubt(*[replace(step, full=False) for step in both]) == list(range(31, 100))
    assert in_doubt(*[seen(full=True)] * 40) == list(range(31, 40))


def test_a_suspended_process_restarts_all_timers() -> None:
    dog = Watchdog(AFTER_S)
    for second in range(20):
        dog.check(second, seen())
    assert dog.check(60, seen()) == []
    assert [second for second in range(61, 100) if dog.check(second, seen())] == list(range(91, 100))


def test_does_not_suspect_a_new_partition() -> None:
    assert in_doubt(*[seen({CLICKS_0: IDLE})] * 40, *[seen({ORDERS_0: WAITING})] * 30) == []


def test_an_excuse_restarts_the_timers() -> None:
    dog = Watchdog(AFTER_S)
    assert in_doubt(*[seen()] * 32, dog=dog) == [31]
    dog.restart_timers(32)
    assert [second for second in range(33, 70) if dog.check(second, seen())] == list(range(63, 70))
