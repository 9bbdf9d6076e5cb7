"""The horizon of evaluation."""

from __future__ import annotations

from dataclasses import replace

from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.viewing.horizon import SETTLE_S, continuous_topics, disable_unsettled_rules, horizon
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.settings import Settings
from streams.store.as_of import PartitionState
from streams.store.state import StoreState

NOW = 1_762_776_000_000
WALL, EVENT = Settings(clock="wall"), Settings(clock="event")
SHOP = {Topic.CLICKS, Topic.ORDERS}


def counted(newest_s: float, *, lag: int | None = 0, seen_s: float = 0, fresh_s: float | None = None) -> PartitionState:
    """Seconds before now."""
    fresh = newest_s if fresh_s is None else fresh_s
    return PartitionState(
        position=1,
        compacted_to=1,
        newest_ms=NOW - round(newest_s * 1000),
        last_counted_ms=NOW - round(fresh * 1000),
        heartbeat_ms=NOW - round(seen_s * 1000),
        lag=lag,
    )


def state(**topics: list[PartitionState]) -> StoreState:
    held = {Partition(Topic(topic), i): one for topic, several in topics.items() for i, one in enumerate(several)}
    return StoreState(("e",), held, 0)


def behind_s(of: StoreState, settings: Settings = WALL, continuous_topics: set[Topic] = SHOP) -> float | None:
    found = horizon(of.existing_partitions, NOW, settings, continuous_topics)
    return None if found is None else (NOW - found.as_of_ms) / 1000


def test_there_is_no_horizon_without_events() -> None:
    assert behind_s(StoreState((), {}, 0)) is None
    assert behind_s(state(clicks=[replace(counted(0), newest_ms=None)])) is None


def test_an_idle_partition_of_an_active_topic_does_not_delay_the_horizon() -> None:
    assert behind_s(state(clicks=[counted(1), counted(8)], orders=[counted(1)])) == 1


def test_a_partition_with_lag_delays_the_horizon() -> None:
    assert behind_s(state(clicks=[counted(1), counted(8, lag=5)], orders=[counted(1)])) == 8


def test_a_busy_partition_is_known_up_to_its_last_arrival() -> None:
    busy = replace(counted(600, lag=3, seen_s=1), counted_through_ms=NOW - 2_000, last_empty_batch_ms=NOW - 1_500)
    assert behind_s(state(clicks=[counted(1), busy], orders=[counted(1)])) == 2
    behind = replace(busy, counted_through_ms=NOW - 60_000)
    assert behind_s(state(clicks=[counted(1), behind], orders=[counted(1)])) == 600


def test_the_horizon_is_never_ahead_of_the_clock() -> None:
    assert behind_s(state(clicks=[counted(-240)], orders=[counted(-240)])) == 0


def test_a_topic_outside_the_as_of_does_not_delay_the_horizon() -> None:
    shop = state(clicks=[counted(1)], orders=[counted(1)], logistics=[counted(1_200, lag=5, fresh_s=1)])
    assert behind_s(shop) == 1_200
    assert behind_s(shop, Settings(clock="wall", as_of_topics="clicks,orders")) == 1


def test_rules_that_mistake_a_late_feed_for_silence_are_disabled() -> None:
    rules = read_rules(default_text()).rules
    assert rules is not None
    assert disable_unsettled_rules(rules, ()) is rules
    kept = {rule.name for rule in disable_unsettled_rules(rules, (Topic.CLICKS,)).rules if rule.enabled}
    every = {rule.name for rule in rules.rules if rule.enabled}
    assert {"click-silence", "order-drop"} <= every - kept
    assert {"order-silence", "producer-silent", "payment-failures", "input-stale"} <= kept


def test_a_topic_that_stops_delays_the_horizon_first() -> None:
    stopped = state(clicks=[counted(1)], orders=[counted(8), counted(9)])
    assert behind_s(stopped) == 8
    silent = state(clicks=[counted(1)], orders=[counted(12), counted(13)])
    assert behind_s(silent) == 1


def test_a_topic_without_silence_rules_does_not_delay_the_horizon() -> None:
    assert behind_s(state(clicks=[counted(1)], orders=[counted(1)], logistics=[counted(8)])) == 1


def test_a_dead_worker_is_no_silence_of_the_shop() -> None:
    dead = state(clicks=[counted(11, seen_s=11)], orders=[counted(11, seen_s=11)])
    assert behind_s(dead) == 11
    one_of_two = state(clicks=[counted(1), counted(11, seen_s=11)], orders=[counted(1)])
    assert behind_s(one_of_two) == 11


def test_on_the_event_clock_everything_counted_is_evaluated() -> None:
    replayed = state(clicks=[counted(100)], orders=[counted(90, seen_s=50)], logistics=[counted(120)])
    assert behind_s(replayed, EVENT) == 90


def test_the_latest_seconds_are_excluded() -> None:
    found = horizon(state(clicks=[counted(0)]).existing_partitions, NOW, WALL, SHOP)
    assert found is not None
    assert found.settled_s == NOW // 1000 - SETTLE_S


def test_the_default_rules_wait_for_clicks_and_orders() -> None:
    rules = read_rules(default_text()).rules
    assert rules is not None
    assert continuous_topics(rules) == {Topic.CLICKS, Topic.ORDERS}
    assert set(EVENT_TOPICS) > continuous_topics(rules)


def test_added_partitions_do_not_move_the_horizon_back() -> None:
    found = horizon(state(clicks=[counted(1)]).existing_partitions, NOW, WALL, SHOP)
    assert found is not None
    assert found.not_after(found.settled_s + 5) == found
    assert found.not_after(found.settled_s - 5).settled_s == found.settled_s - 5
    assert found.not_after(found.settled_s - 5).as_of_ms == found.as_of_ms - 5_000


def test_removed_partitions_do_not_delay_the_horizon() -> None:
    found = replace(state(clicks=[counted(1), counted(3600, seen_s=3600)]), partition_counts={Topic.CLICKS: 1})
    assert behind_s(found) == 1
