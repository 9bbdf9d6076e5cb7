"""Detects partitions that may be stuck. Pure: time is passed in.

A partition is suspect if for `after_s` it had a backlog, or an unknown one, and no progress. Redis being unavailable or
refusing writes, a rebalance, and a full fetch budget with progress elsewhere excuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.topics import Partition

_LOOK_AT_LEAST_EVERY_S = 5.0
"""After a longer gap between checks the process itself was suspended, and all timers restart."""


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """State of one partition at one time."""

    progress_marker: object
    """Any value that changes with progress."""
    has_backlog: bool
    """Whether the partition has a backlog, or an unknown one."""


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """State of a worker at one time."""

    partitions: Mapping[Partition, PartitionSample]
    redis_takes_writes: bool
    """Whether Redis answers and accepts writes; while it does not, a new worker would not help."""
    rebalancing: bool
    full: bool
    """Whether the fetch budget is exhausted: then progress of any partition suffices."""


class Watchdog:
    """Times how long each partition makes no progress."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._last = WorkerSample({}, redis_takes_writes=True, rebalancing=False, full=False)
        self._well_s: dict[Partition, float] = {}
        """# <partition: monotonic time when it was last not suspect>"""
        self._looked_s: float | None = None
        self._rebalancing_s: float | None = None

    def check(self, now_s: float, seen: WorkerSample) -> list[Partition]:
        """The suspect partitions, longest first; all of them during a rebalance that does not end."""
        was_suspended = self._looked_s is None or now_s - self._looked_s > _LOOK_AT_LEAST_EVERY_S
        last, self._last, self._looked_s = self._last, seen, now_s
        progressed = {
            partition
            for partition, sample in seen.partitions.items()
            if partition not in last.partitions or last.partitions[partition].progress_marker != sample.progress_marker
        }
        self._well_s = {
            partition: now_s if partition in progressed or not sample.has_backlog else self._well_s[partition]
            for partition, sample in seen.partitions.items()
        }
        if not seen.rebalancing or progressed or was_suspended or not seen.redis_takes_writes:
            self._rebalancing_s = now_s
        if was_suspended or seen.rebalancing or not seen.redis_takes_writes or (seen.full and progressed):
            self._well_s = dict.fromkeys(self._well_s, now_s)
        suspects = [partition for partition, since_s in self._well_s.items() if now_s - since_s > self._after_s]
        return sorted(suspects, key=self._well_s.__getitem__)

    def rebalance_is_stuck(self, now_s: float) -> bool:
        """Whether a rebalance has taken more than twice `after_s`."""
        return self._rebalancing_s is not None and now_s - self._rebalancing_s > 2 * self._after_s

    def restart_timers(self, now_s: float) -> None:
        """Restart all timers."""
        self._well_s = dict.fromkeys(self._well_s, now_s)
        self._rebalancing_s = now_s
