"""The as-of: the event time up to which answers count, and the partitions that delay it.

Defined in the metric dictionary, section "As-of".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from consumers.settings import Clock
from consumers.times import format_rough_duration
from consumers.topics import CONTRACT_FEEDS, EVENT_TOPICS, Feeds, InputTopic, Partition, Topic, topics_feeding
from streams.settings import Settings

STEP_MS = 1000
"""As-of times are multiples of this."""
CAUGHT_UP_WITHIN_MS = 5_000
"""A worker is caught up if its last heartbeat had counted all records that arrived this long before."""
CLOCK_TOLERANCE_MS = 5_000
"""Stored times further ahead of the clock than this are ignored: a wrong clock wrote them."""
BLOCKING_AFTER_MS = 30_000
"""A partition whose newest event is older than this delays the as-of."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """State of one partition of an event topic in Redis."""

    position: int | None
    """Offset of the next record to count."""
    compacted_to: int | None
    """Position up to which deltas are in blocks."""
    newest_ms: int | None
    """Newest event time counted."""
    last_counted_ms: int | None
    """When the last new event that was not ahead of the clock was counted, by Redis's clock."""
    heartbeat_ms: int | None
    """Last heartbeat of the worker, by Redis's clock."""
    lag: int | None
    """Number of uncounted records at the last heartbeat."""
    counted_through_ms: int | None = None
    """All records that arrived in Kafka by this time are counted, as far as the worker knew; by Redis's clock."""

    last_empty_batch_ms: int | None = None
    """When the last batch without a new event, except events ahead of the clock, was counted; by Redis's clock."""

    @property
    def has_caught_up(self) -> bool:
        """Whether the worker had counted, at its last heartbeat, all records or all but the most recent ones.

        Under constant traffic some record is nearly always uncounted, which is no backlog.
        """
        if self.lag == 0:
            return True
        return (
            self.counted_through_ms is not None
            and self.heartbeat_ms is not None
            and self.heartbeat_ms - self.counted_through_ms < CAUGHT_UP_WITHIN_MS
        )

    @property
    def is_drained(self) -> bool:
        """Whether no backlog of new events is known: either no record is uncounted, or recent batches held no new
        events.

        With a constant flow of duplicates, rejected messages or events ahead of the clock, some record is always
        uncounted.
        """
        if self.lag == 0:
            return True
        has_recent_empty_batch = (
            self.last_empty_batch_ms is not None
            and self.heartbeat_ms is not None
            and self.heartbeat_ms - self.last_empty_batch_ms < CAUGHT_UP_WITHIN_MS
        )
        return (
            has_recent_empty_batch
            and (self.last_empty_batch_ms or 0) > (self.last_counted_ms or 0)
            and self.has_caught_up
        )

    def capped(self, now_ms: int) -> PartitionState:
        """A copy without event times in the future, which earlier versions stored."""
        return self if self.newest_ms is None or self.newest_ms <= now_ms else replace(self, newest_ms=now_ms)


@dataclass(frozen=True, slots=True)
class AsOf:
    """The as-of and its inputs."""

    ms: int | None
    """Epoch ms, a multiple of 1 s; None if unknown."""
    stale: tuple[Partition, ...]
    """Partitions without a recent heartbeat: their data is not live."""


def as_of(
    states: Mapping[Partition, PartitionState],
    *,
    now_ms: int,
    clock: Clock,
    idle_after_ms: int,
    stale_after_ms: int,
    topics: Collection[InputTopic] = EVENT_TOPICS,
) -> AsOf:
    """The smallest newest event time over the active partitions; if all are idle, the time by which all arrived records
    are counted. Never beyond the clock.

    A partition with a backlog, or whose worker is silent, is never idle: idleness is measured up to its last heartbeat.
    Only partitions of `topics` delay the as-of; `stale` covers all partitions.
    """
    stale = tuple(partition for partition, state in states.items() if is_stale(state, now_ms, stale_after_ms))
    waited_for = {partition: state for partition, state in states.items() if partition.topic in topics}
    active = [
        state
        for partition, state in waited_for.items()
        if partition in stale or not is_idle(state, clock, idle_after_ms, now_ms=now_ms)
    ]
    reached_ms = [_reached_ms(state, clock) for state in active]
    as_of_ms: int | None
    if None in reached_ms or not waited_for:
        as_of_ms = None
    elif reached_ms:
        as_of_ms = min(ms for ms in reached_ms if ms is not None)
    elif clock is Clock.WALL:
        as_of_ms = min(_counted_until_ms(state) for state in waited_for.values())
    else:
        as_of_ms = max((state.newest_ms for state in waited_for.values() if state.newest_ms is not None), default=None)
    if as_of_ms is not None and clock is Clock.WALL:
        as_of_ms = min(as_of_ms, now_ms)
    return AsOf(None if as_of_ms is None else as_of_ms - as_of_ms % STEP_MS, stale)


def _reached_ms(state: PartitionState, clock: Clock) -> int | None:
    """Time up to which an active partition is counted: its newest event; if it had none, its last heartbeat if
    that reported no backlog, else the time by which all arrived records are counted."""
    if state.newest_ms is None and clock is Clock.WALL:
        return state.heartbeat_ms if state.lag == 0 else state.counted_through_ms
    return state.newest_ms


def _counted_until_ms(state: PartitionState) -> int:
    """Time by which all records of an idle partition that had arrived are counted.

    Not the clock: records that arrived after the last heartbeat may be uncounted.
    """
    counted_ms = state.counted_through_ms if state.counted_through_ms is not None else state.heartbeat_ms
    assert counted_ms is not None, "without a heartbeat it is stale, not idle"
    return counted_ms


def is_stale(state: PartitionState, now_ms: int, stale_after_ms: int) -> bool:
    """Whether the worker's last heartbeat is too old."""
    return state.heartbeat_ms is None or not -CLOCK_TOLERANCE_MS <= now_ms - state.heartbeat_ms <= stale_after_ms


def is_idle(state: PartitionState, clock: Clock, idle_after_ms: int, *, now_ms: int) -> bool:
    """Whether a partition with heartbeats does not delay the as-of."""
    if clock is Clock.EVENT:
        return state.lag == 0
    return state.is_drained and is_quiet(state.last_counted_ms, state.heartbeat_ms or 0, idle_after_ms, now_ms=now_ms)


def is_quiet(last_counted_ms: int | None, until_ms: int, idle_after_ms: int, *, now_ms: int) -> bool:
    """Whether the last new event was counted longer ago than `idle_after_ms`, on the wall clock.

    Events counted after `until_ms` are recent: the new owner of a partition counts before its first heartbeat.
    """
    if last_counted_ms is None or last_counted_ms > now_ms + CLOCK_TOLERANCE_MS:
        return True
    return until_ms - last_counted_ms >= idle_after_ms


@dataclass(frozen=True, slots=True)
class BlockingPartition:
    """A partition that delays the as-of."""

    partition: Partition
    age_ms: int
    """Age of its newest event."""
    lag: int | None
    is_late_feed: bool
    """Whether all records that arrived are counted, so that the feed is late; else counting is behind."""


def blocking_as_of(
    states: Mapping[Partition, PartitionState], now_ms: int, settings: Settings, feeds: Feeds = CONTRACT_FEEDS
) -> Iterator[BlockingPartition]:
    """The partitions that delay the as-of although their newest event is old, on the wall clock.

    Stale partitions are left out, since their backlog is unknown. `states`: existing partitions only. `feeds`: of
    topics that workers read.
    """
    if settings.clock is not Clock.WALL:
        return
    waited_for = topics_feeding(feeds, settings.topics_in_as_of)
    for partition, state in sorted(states.items()):
        if partition.topic not in waited_for or state.newest_ms is None:
            continue
        if is_stale(state, now_ms, round(settings.stale_after_s * 1000)):
            continue
        age_ms = now_ms - state.newest_ms
        idle_after_ms = round(settings.idle_after_s * 1000)
        if age_ms + state.newest_ms % STEP_MS > BLOCKING_AFTER_MS and not is_idle(
            state, Clock.WALL, idle_after_ms, now_ms=now_ms
        ):
            yield BlockingPartition(partition, age_ms, state.lag, state.has_caught_up)


def late_feed_text(blocking: BlockingPartition) -> str:
    """Describe a late feed in a sentence."""
    age = format_rough_duration(blocking.age_ms)
    return (
        f"{blocking.partition}: its newest event is {age} old: the feed is late, all records that arrived are counted"
    )


def late_feed_fix(blocking: BlockingPartition) -> str:
    """How to fix a late feed."""
    topic = blocking.partition.topic
    removed = topic if isinstance(topic, Topic) else "the topics that it feeds"
    return (
        f"check the producer of {topic}; to let answers advance without it, remove {removed} from the setting "
        "as_of_topics"
    )
