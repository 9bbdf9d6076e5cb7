"""When a worker that reads nothing is in doubt, and when there is a reason for it."""

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
    """The seconds at which something was in doubt, of looking once a second."""
    dog = dog or Watchdog(AFTER_S)
    return [second for second, sight in enumerate(sights) if dog.check(second, sight)]


def test_a_partition_where_records_wait_and_nothing_is_done_for_too_long() -> None:
    assert in_doubt(*[seen()] * 40) == list(range(31, 40))


def test_idle_partitions_never() -> None:
    assert in_doubt(*[seen({CLICKS_0: IDLE})] * 100) == []


def test_work_on_it_begins_the_time_anew() -> None:
    steps = [seen({CLICKS_0: PartitionSample(second >= 25, has_backlog=True)}) for second in range(60)]
    assert in_doubt(*steps) == [56, 57, 58, 59]


def test_what_is_left_alone_longest_comes_first() -> None:
    dog = Watchdog(AFTER_S)
    for second in range(50):
        found = dog.check(second, seen({ORDERS_0: PartitionSample(second < 10, has_backlog=True), CLICKS_0: WAITING}))
    assert found == [CLICKS_0, ORDERS_0]


def test_not_while_redis_is_away_nor_soon_after() -> None:
    assert in_doubt(*[seen()] * 20, *[seen(redis_takes_writes=False)] * 60, *[seen()] * 40) == list(range(110, 120))


def test_not_during_rebalances_nor_soon_after() -> None:
    storm = [seen(rebalancing=second % 4 < 2) for second in range(200)]
    assert in_doubt(*storm) == []
    assert in_doubt(*[seen(rebalancing=True)] * 40, *[seen()] * 35) == [70, 71, 72, 73, 74]


def test_a_rebalance_that_does_not_end_is_told_apart() -> None:
    dog = Watchdog(AFTER_S)
    stuck = []
    for second in range(70):
        dog.check(second, seen(rebalancing=second >= 5))
        stuck.append(dog.rebalance_is_stuck(second))
    assert stuck.index(True) == 65
    for second in range(70, 140):
        dog.check(second, seen({CLICKS_0: PartitionSample(second, has_backlog=True)}, rebalancing=True))
        assert not dog.rebalance_is_stuck(second)


def test_a_worker_with_its_hands_full_is_judged_by_all_of_its_work() -> None:
    both = [
        seen({CLICKS_0: WAITING, ORDERS_0: PartitionSample(second, has_backlog=True)}, full=True)
        for second in range(100)
    ]
    assert in_doubt(*both) == []
    assert in_doubt(*[replace(step, full=False) for step in both]) == list(range(31, 100))
    assert in_doubt(*[seen(full=True)] * 40) == list(range(31, 40))


def test_a_worker_that_was_stopped_for_a_while_knows_nothing() -> None:
    dog = Watchdog(AFTER_S)
    for second in range(20):
        dog.check(second, seen())
    assert dog.check(60, seen()) == []
    assert [second for second in range(61, 100) if dog.check(second, seen())] == list(range(91, 100))


def test_a_partition_that_is_new_is_well() -> None:
    assert in_doubt(*[seen({CLICKS_0: IDLE})] * 40, *[seen({ORDERS_0: WAITING})] * 30) == []


def test_an_excuse_begins_the_time_anew() -> None:
    dog = Watchdog(AFTER_S)
    assert in_doubt(*[seen()] * 32, dog=dog) == [31]
    dog.restart_timers(32)
    assert [second for second in range(33, 70) if dog.check(second, seen())] == list(range(63, 70))
