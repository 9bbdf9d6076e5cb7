"""What holds the as-of back: partitions whose feed brings old events, or whose counting is behind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.settings import Clock
from consumers.times import format_rough_duration
from consumers.topics import Partition
from streams.settings import Settings
from streams.store.as_of import STEP_MS, PartitionState, is_idle, is_stale

BLOCKING_AFTER_MS = 30_000
"""A partition whose newest event is older than this holds the as-of back."""


@dataclass(frozen=True, slots=True)
class BlockingPartition:
    """A partition that the as-of waits for."""

    partition: Partition
    age_ms: int
    """How old its newest event is."""
    lag: int | None
    """Records that are not counted yet."""
    is_late_feed: bool
    """Whether all that has arrived is counted: then what arrives is old. Else counting is behind."""


def blocking_as_of(
    states: Mapping[Partition, PartitionState], now_ms: int, settings: Settings
) -> Iterator[BlockingPartition]:
    """The partitions that the as-of waits for though their newest event is old; on the wall clock.

    Without those that are stale: nobody knows what waits in them, so that nothing can be said of their feed. `states`
    are those of partitions that the broker has.
    """
    if settings.clock is not Clock.WALL:
        return
    for partition, state in sorted(states.items()):
        if partition.topic not in settings.topics_in_as_of or state.newest_ms is None:
            continue
        if is_stale(state, now_ms, round(settings.stale_after_s * 1000)):
            continue
        age_ms = now_ms - state.newest_ms
        idle_after_ms = round(settings.idle_after_s * 1000)
        if age_ms + state.newest_ms % STEP_MS > BLOCKING_AFTER_MS and not is_idle(
            state, Clock.WALL, idle_after_ms, now_ms=now_ms
        ):
            yield BlockingPartition(partition, age_ms, state.lag, state.has_caught_up)


def late_feed_text(one: BlockingPartition) -> str:
    """What is wrong with a late feed, in a sentence."""
    age = format_rough_duration(one.age_ms)
    return f"{one.partition}: its newest event is {age} old: the feed is late, all that has arrived is counted"


def late_feed_fix(one: BlockingPartition) -> str:
    """What to do about it."""
    return (
        f"look at the producer that writes {one.partition.topic}; to let answers go on without it, take "
        f"{one.partition.topic} out of the setting as_of_topics"
    )
