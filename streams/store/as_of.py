"""The as-of: the event time up to which answers count. Definition: the metric dictionary, section "As-of"."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from consumers.settings import Clock
from consumers.topics import EVENT_TOPICS, Partition, Topic

STEP_MS = 1000
"""As-of times are multiples of this."""
CAUGHT_UP_WITHIN_MS = 5_000
"""A worker that had counted, when it last spoke, all that was in Kafka so long before is not behind."""
CLOCK_TOLERANCE_MS = 5_000
"""A time in Redis that is further ahead of the clock than this was left by a clock that was wrong, and says nothing."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What Redis knows of one partition of an event topic."""

    position: int | None
    """Offset of the next record to count."""
    compacted_to: int | None
    """Position up to which deltas are in blocks."""
    newest_ms: int | None
    """Newest event time counted."""
    last_counted_ms: int | None
    """When, by Redis's clock, the last new event was counted that was not ahead of that clock."""
    heartbeat_ms: int | None
    """When its worker last said that it is at work, by Redis's clock."""
    lag: int | None
    """Records that were not yet counted then."""
    counted_through_ms: int | None = None
    """Redis's clock: everything that had arrived in Kafka by then is counted, as far as its worker knew."""

    last_empty_batch_ms: int | None = None
    """When, by Redis's clock, the last batch was counted that held no new event but such as are ahead of that clock."""

    @property
    def has_caught_up(self) -> bool:
        """Whether its worker had counted, when it last spoke, all that was there or had been there a little before.

        Where something comes in all the time, some record nearly always waits: that is no backlog.
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
        """Whether nothing of the present is known to wait: no record does, or all that came lately was none.

        Where events ahead of the clock, repeats or refused messages come in all the time, some record always waits.
        """
        if self.lag == 0:
            return True
        lately = (
            self.last_empty_batch_ms is not None
            and self.heartbeat_ms is not None
            and self.heartbeat_ms - self.last_empty_batch_ms < CAUGHT_UP_WITHIN_MS
        )
        return lately and (self.last_empty_batch_ms or 0) > (self.last_counted_ms or 0) and self.has_caught_up

    def capped(self, now_ms: int) -> PartitionState:
        """The same without an event time that the clock has not reached, as versions before left one."""
        return self if self.newest_ms is None or self.newest_ms <= now_ms else replace(self, newest_ms=now_ms)


@dataclass(frozen=True, slots=True)
class AsOf:
    """A moment of event time, and what it rests on."""

    ms: int | None
    """Epoch ms, a multiple of 1 s; None while nothing can be said yet."""
    stale: tuple[Partition, ...]
    """Partitions without word from a worker for too long: what is shown is not live."""
    idle: int
    """How many partitions hold nothing back."""


def as_of(
    states: Mapping[Partition, PartitionState],
    *,
    now_ms: int,
    clock: Clock,
    idle_after_ms: int,
    stale_after_ms: int,
    topics: Collection[Topic] = EVENT_TOPICS,
) -> AsOf:
    """The least newest event time over the partitions that are not idle; the clock when all are. Never past the clock.

    A partition with a backlog is never idle, and one whose worker is silent is not either: its silence says nothing
    about the shop. So how long a partition was quiet is measured up to its last heartbeat, not to now. Partitions of
    other than these `topics` hold nothing back; whether they are stale is said of all.
    """
    stale = tuple(partition for partition, state in states.items() if is_stale(state, now_ms, stale_after_ms))
    waited_for = {partition: state for partition, state in states.items() if partition.topic in topics}
    active = [
        state
        for partition, state in waited_for.items()
        if partition in stale or not is_idle(state, clock, idle_after_ms, now_ms=now_ms)
    ]
    newest = [_reached_ms(state, clock) for state in active]
    moment: int | None
    if None in newest or not waited_for:
        moment = None
    elif newest:
        moment = min(ms for ms in newest if ms is not None)
    elif clock is Clock.WALL:
        moment = now_ms
    else:
        moment = max((state.newest_ms for state in waited_for.values() if state.newest_ms is not None), default=None)
    if moment is not None and clock is Clock.WALL:
        moment = min(moment, now_ms)
    return AsOf(None if moment is None else moment - moment % STEP_MS, stale, len(states) - len(active))


def _reached_ms(state: PartitionState, clock: Clock) -> int | None:
    """Up to when an active partition is counted: its newest event. One that had none is counted up to its worker's last
    word where nothing waited then, and where the first records wait up to when there were none yet.
    """
    if state.newest_ms is None and clock is Clock.WALL:
        return state.heartbeat_ms if state.lag == 0 else state.counted_through_ms
    return state.newest_ms


def is_stale(state: PartitionState, now_ms: int, stale_after_ms: int) -> bool:
    """Whether its worker has been silent for too long."""
    return state.heartbeat_ms is None or not -CLOCK_TOLERANCE_MS <= now_ms - state.heartbeat_ms <= stale_after_ms


def is_idle(state: PartitionState, clock: Clock, idle_after_ms: int, *, now_ms: int) -> bool:
    """Whether a partition holds nothing back, where its worker is heard of."""
    if clock is Clock.EVENT:
        return state.lag == 0
    return state.is_drained and is_quiet(state.last_counted_ms, state.heartbeat_ms or 0, idle_after_ms, now_ms=now_ms)


def is_quiet(last_counted_ms: int | None, until_ms: int, idle_after_ms: int, *, now_ms: int) -> bool:
    """Whether the last new event was counted so long before, on the wall clock.

    One that was counted after `until_ms` is news: a worker that takes a partition over counts before its heartbeat.
    """
    if last_counted_ms is None or last_counted_ms > now_ms + CLOCK_TOLERANCE_MS:
        return True
    return until_ms - last_counted_ms >= idle_after_ms
