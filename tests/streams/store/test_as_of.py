"""The as-of: the event time of the slowest active partition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.settings import Clock
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.store.as_of import AsOf, PartitionState, as_of
from tests.support.events import ms

NOW = ms(1_000)
IDLE_S, STALE_S = 10, 15


def state(
    newest: float | None,
    *,
    fresh: float | None = 0,
    seen: float | None = 0,
    lag: int | None = 0,
    arrived: float | None = None,
    void: float | None = None,
) -> PartitionState:
    """Newest event at `newest` seconds after T0; last new event and last heartbeat this many seconds ago."""

    def ago(seconds: float | None) -> int | None:
        return None if seconds is None else NOW - round(seconds * 1000)

    return PartitionState(
        100, 100, None if newest is None else ms(newest), ago(fresh), ago(seen), lag, ago(arrived), ago(void)
    )


def at(*states: PartitionState, clock: Clock = Clock.WALL) -> AsOf:
    partitions = {Partition(EVENT_TOPICS[i % 3], i // 3): held for i, held in enumerate(states)}
    return as_of(partitions, now_ms=NOW, clock=clock, idle_after_ms=IDLE_S * 1000, stale_after_ms=STALE_S * 1000)


def test_it_is_the_smallest_newest_event_time_of_all_partitions() -> None:
    assert at(state(900), state(880), state(950)) == AsOf(ms(880), ())


def test_it_is_a_whole_second_at_most_the_event_time() -> None:
    assert at(state(900.999)).ms == ms(900)


@pytest.mark.parametrize(("fresh", "expected"), [(9.999, 100), (10, 900)])
def test_a_partition_without_new_events_for_ten_seconds_is_idle(fresh: float, expected: float) -> None:
    assert at(state(900), state(100, fresh=fresh)).ms == ms(expected)


def test_missing_heartbeats_do_not_make_a_partition_idle() -> None:
    """Its broker is down: missing events say nothing about the shop, even before it is stale."""
    assert at(state(900), state(880, fresh=STALE_S - 2, seen=STALE_S - 5)).ms == ms(880)


def test_idleness_is_measured_by_the_clock_rather_than_event_time() -> None:
    assert at(state(10_000, fresh=0), state(5, fresh=0)).ms == ms(5)


def test_it_is_never_ahead_of_the_clock() -> None:
    assert at(state(1_230), state(1_240)).ms == NOW
    assert at(state(1_230), state(900)).ms == ms(900)
    assert at(state(1_230), state(1_240), clock=Clock.EVENT).ms == ms(1_240), "there is no clock to be ahead of"


def test_a_partition_with_constant_traffic_of_old_events_is_idle() -> None:
    busy = state(100, fresh=60, lag=3, seen=1, arrived=2, void=1.5)
    assert at(state(900), busy).ms == ms(900), "such as duplicates or events ahead of the clock"
    assert at(state(900), replace(busy, counted_through_ms=NOW - 7_000)).ms == ms(100), "its worker is behind"
    assert at(state(900), replace(busy, last_counted_ms=NOW - 1_000)).ms == ms(100)
    assert at(state(900), replace(busy, last_empty_batch_ms=NOW - 7_000)).ms == ms(100), (
        "what waits now may be of the present"
    )
    assert at(state(900), replace(busy, last_empty_batch_ms=None)).ms == ms(100)
    assert at(state(900), replace(busy, newest_ms=None, last_counted_ms=None)).ms == ms(900)


@pytest.mark.parametrize("ahead", [90, 600])
def test_ignores_times_of_a_wrong_clock(ahead: float) -> None:
    assert at(state(900, seen=-ahead)).stale == (Partition(Topic.CLICKS, 0),)
    assert at(state(900), state(100, fresh=-ahead)).ms == ms(900), "the time of its last event is unknown: it is idle"
    assert at(state(900, seen=-1)).stale == (), "written after the clock was read"


@pytest.mark.parametrize("silent", [1, 4, 6, 8, 12])
def test_events_counted_before_a_new_owners_first_heartbeat_are_recent(silent: float) -> None:
    """Its old owner fell silent without a backlog; the new owner counts before its first heartbeat."""
    before = state(890, fresh=silent + 1, seen=silent)
    assert at(state(990), before).ms == ms(890)
    assert at(state(990), replace(before, newest_ms=ms(895), last_counted_ms=NOW)).ms == ms(895)


def test_a_topic_outside_as_of_topics_does_not_delay_it_but_can_be_stale() -> None:
    clicks, orders, late = state(900), state(950), state(-300)
    partitions = {Partition(topic, 0): held for topic, held in zip(EVENT_TOPICS, (clicks, orders, late), strict=True)}
    chosen = (Topic.CLICKS, Topic.ORDERS)

    def asked(states: dict[Partition, PartitionState], topics: tuple[Topic, ...] = chosen) -> AsOf:
        return as_of(states, now_ms=NOW, clock=Clock.WALL, idle_after_ms=10_000, stale_after_ms=15_000, topics=topics)

    assert asked(partitions) == AsOf(ms(900), ())
    assert asked(partitions, EVENT_TOPICS) == AsOf(ms(-300), ())
    silent = {**partitions, Partition(Topic.LOGISTICS, 0): replace(late, heartbeat_ms=NOW - 60_000)}
    assert asked(silent) == AsOf(ms(900), (Partition(Topic.LOGISTICS, 0),))
    assert asked({Partition(Topic.LOGISTICS, 0): late}).ms is None


def test_an_empty_partition_of_a_silent_worker_is_counted_up_to_its_last_heartbeat() -> None:
    silent = state(None, fresh=None, seen=60)
    assert at(state(990), silent).ms == NOW - 60_000
    assert at(state(900), silent).ms == ms(900)
    assert at(state(900), replace(silent, lag=3)).ms is None


def test_a_partition_without_any_event_does_not_delay_it() -> None:
    assert at(state(900), state(None, fresh=None)) == AsOf(ms(900), ())


def test_a_partition_with_a_backlog_is_never_idle() -> None:
    assert at(state(900), state(100, fresh=3600, lag=5)).ms == ms(100)
    assert at(state(900), state(100, fresh=3600, lag=None)).ms == ms(100)


def test_it_is_unknown_while_a_partition_with_a_backlog_was_never_counted() -> None:
    assert at(state(900), state(None, fresh=None, lag=5)).ms is None
    assert at(state(900), state(None, fresh=None, lag=None)).ms is None


def test_the_first_records_of_an_empty_partition_hold_it_before_their_arrival() -> None:
    first = state(None, fresh=None, lag=1, seen=0, arrived=1)
    assert at(state(990), first).ms == ms(990)
    assert at(state(999.5), first).ms == NOW - 1_000
    assert at(state(999.5), replace(first, counted_through_ms=NOW - 60_000)).ms == NOW - 60_000, (
        "however long they wait"
    )
    assert at(state(999.5), replace(first, last_empty_batch_ms=NOW - 500)).ms == ms(999), "they were ahead of the clock"


def test_with_all_partitions_idle_it_follows_the_clock() -> None:
    quiet = [state(900, fresh=60), state(100, fresh=600)]
    assert at(*quiet) == AsOf(NOW, ())
    assert at(*quiet, clock=Clock.EVENT) == AsOf(ms(900), ())


def test_with_all_partitions_idle_it_does_not_pass_records_that_may_wait() -> None:
    """What arrived since the last heartbeat is not counted yet: the clock would show it as zero."""
    resting = state(900, fresh=60, seen=0.4, arrived=0.5)
    assert at(resting, state(800, fresh=90, seen=0.2, arrived=1.2)).ms == ms(998)
    assert at(resting, state(None, fresh=None, seen=2.5)).ms == ms(997)


def test_on_the_event_clock_a_partition_is_idle_once_all_is_counted() -> None:
    assert at(state(900, fresh=0), state(100, fresh=0), clock=Clock.EVENT).ms == ms(900)
    assert at(state(900, lag=1), state(100, lag=0), clock=Clock.EVENT).ms == ms(900)
    assert at(state(900, lag=0), state(100, lag=1), clock=Clock.EVENT).ms == ms(100)


def test_a_silent_worker_makes_its_partition_stale_rather_than_idle() -> None:
    answer = at(state(900), state(100, fresh=3600, seen=15.001))
    assert answer == AsOf(ms(100), (Partition(Topic.ORDERS, 0),))
    assert at(state(900), state(100, fresh=3600, seen=15)).stale == ()
    assert at(state(900), state(100, seen=None)).stale == (Partition(Topic.ORDERS, 0),)


def test_without_partitions_it_is_unknown() -> None:
    for clock in Clock:
        assert at(clock=clock) == AsOf(None, ())


def test_on_the_event_clock_it_is_unknown_before_the_first_event() -> None:
    assert at(state(None, fresh=None), clock=Clock.EVENT).ms is None


@settings(max_examples=50)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_newer_event_never_moves_it_back(newest: list[int], chance: object) -> None:
    states = [state(at_s) for at_s in newest]
    before = at(*states).ms
    i = chance.randrange(len(states))  # type: ignore[attr-defined]
    states[i] = replace(states[i], newest_ms=states[i].newest_ms + chance.randrange(10_000))  # type: ignore[attr-defined]
    after = at(*states).ms
    assert before is not None
    assert after is not None
    assert after >= before


_SECONDS = st.none() | st.floats(-600, 3_000, allow_nan=False)
_STATES = st.builds(
    lambda newest, fresh, seen, lag, arrived, void: state(
        newest, fresh=fresh, seen=seen, lag=lag, arrived=arrived, void=void
    ),
    _SECONDS,
    _SECONDS,
    _SECONDS,
    st.none() | st.integers(0, 3),
    _SECONDS,
    _SECONDS,
)


@given(st.lists(_STATES, max_size=6))
def test_it_is_never_ahead_of_the_clock_for_any_stored_state(states: list[PartitionState]) -> None:
    now = at(*states)
    assert now.ms is None or now.ms <= NOW
    capped = at(*(held.capped(NOW) for held in states))
    assert capped == now
