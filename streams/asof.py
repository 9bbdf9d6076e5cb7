"""The as-of: the event time up to which answers count. Definition: the metric dictionary, section "As-of"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.settings import Clock
from consumers.topics import Partition

STEP_MS = 1000
"""As-of times are multiples of this."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What Redis knows of one partition of an event topic."""

    position: int | None
    """Offset of the next record to count."""
    rolled: int | None
    """Position up to which deltas are in blocks."""
    newest_ms: int | None
    """Newest event time counted."""
    fresh_ms: int | None
    """When, by the machine's clock, the last new event was counted."""
    seen_ms: int | None
    """When its worker last said that it is at work."""
    lag: int | None
    """Records that were not yet counted then."""


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
) -> AsOf:
    """The least newest event time over the partitions that are not idle; the clock when all are.

    A partition with records not yet counted is never idle, and one whose worker is silent is not either: its silence
    says nothing about the shop. So how long a partition was quiet is measured up to its last heartbeat, not to now.
    """
    stale = tuple(partition for partition, state in states.items() if _is_stale(state, now_ms, stale_after_ms))
    active = [
        state for partition, state in states.items() if partition in stale or not _is_idle(state, clock, idle_after_ms)
    ]
    newest = [state.newest_ms for state in active]
    moment: int | None
    if None in newest or not states:
        moment = None
    elif newest:
        moment = min(ms for ms in newest if ms is not None)
    elif clock is Clock.WALL:
        moment = now_ms
    else:
        moment = max((state.newest_ms for state in states.values() if state.newest_ms is not None), default=None)
    return AsOf(None if moment is None else moment - moment % STEP_MS, stale, len(states) - len(active))


def _is_stale(state: PartitionState, now_ms: int, stale_after_ms: int) -> bool:
    return state.seen_ms is None or now_ms - state.seen_ms > stale_after_ms


def _is_idle(state: PartitionState, clock: Clock, idle_after_ms: int) -> bool:
    if state.lag != 0:
        return False
    return clock is Clock.EVENT or state.fresh_ms is None or (state.seen_ms or 0) - state.fresh_ms >= idle_after_ms
