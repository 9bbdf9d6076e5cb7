"""Partitions that delay the as-of: their feed is late, or counting is behind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.settings import Clock
from consumers.times import format_rough_duration
from consumers.topics import Partition
from streams.settings import Settings
from streams.store.as_of import STEP_MS, PartitionState, is_idle, is_stale

BLOCKING_AFTER_MS = 30_000
"""A partition whose newest event is older than this delays the as-of."""


@dataclass(frozen=True, slots=True)
class BlockingPartition:
    """A partition that delays the as-of."""

    partition: Partition
    age_ms: int
    """Age of its newest event."""
    lag: int | None
    """Number of uncounted records."""
    is_late_feed: bool
    """Whether all records that arrived are counted, so that the feed is late; else counting is behind."""


def blocking_as_of(
    states: Mapping[Partition, PartitionState], now_ms: int, settings: Settings
) -> Iterator[BlockingPartition]:
    """The partitions that delay the as-of although their newest event is old, on the wall clock.

    Stale partitions are left out, since their backlog is unknown. `states`: existing partitions only.
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
    """Describe a late feed in a sentence."""
    age = format_rough_duration(one.age_ms)
    return f"{one.partition}: its newest event is {age} old: the feed is late, all records that arrived are counted"


def late_feed_fix(one: BlockingPartition) -> str:
    """How to fix a late feed."""
    return (
        f"check the producer of {one.partition.topic}; to let answers advance without it, remove "
        f"{one.partition.topic} from the setting as_of_topics"
    )
