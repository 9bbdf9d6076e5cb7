"""Noticing that nothing is read any more although there may be something to read. Pure: time is passed in.

A partition is in doubt when for `after_s` something waited in it, or nothing was known of it, and it was not worked on.
Not while there is a reason for that: Redis away or refusing writes, a rebalance, a worker with its hands full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumers.topics import Partition

_LOOK_AT_LEAST_EVERY_S = 5.0
"""Who did not look for longer was held up itself, or stopped for a while, and knows nothing."""


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """What is seen of one partition at one moment."""

    worked_on: object
    """Another thing whenever the partition was worked on in between."""
    has_backlog: bool
    """Whether records wait in it, or nothing is known of it."""


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """What is seen of a worker at one moment."""

    partitions: Mapping[Partition, PartitionSample]
    redis_takes_writes: bool
    """Whether Redis answers and takes writes: a new worker could do no more than this one while it does not."""
    rebalancing: bool
    full: bool
    """Whether as much is fetched as may be: then it is enough if any partition is worked on."""


class Watchdog:
    """Tells what has been in doubt for too long."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._last = WorkerSample({}, redis_takes_writes=True, rebalancing=False, full=False)
        self._well_s: dict[Partition, float] = {}
        """# <when it was last well>"""
        self._looked_s: float | None = None
        self._rebalancing_s: float | None = None

    def check(self, now_s: float, seen: WorkerSample) -> list[Partition]:
        """The partitions in doubt, the longest first. A rebalance that does not end puts all of them in doubt."""
        held_up = self._looked_s is None or now_s - self._looked_s > _LOOK_AT_LEAST_EVERY_S
        last, self._last, self._looked_s = self._last, seen, now_s
        worked_on = {
            partition
            for partition, sight in seen.partitions.items()
            if partition not in last.partitions or last.partitions[partition].worked_on != sight.worked_on
        }
        self._well_s = {
            partition: now_s if partition in worked_on or not sight.has_backlog else self._well_s[partition]
            for partition, sight in seen.partitions.items()
        }
        if not seen.rebalancing or worked_on or held_up or not seen.redis_takes_writes:
            self._rebalancing_s = now_s
        if held_up or seen.rebalancing or not seen.redis_takes_writes or (seen.full and worked_on):
            self._well_s = dict.fromkeys(self._well_s, now_s)
        found = [partition for partition, since_s in self._well_s.items() if now_s - since_s > self._after_s]
        return sorted(found, key=self._well_s.__getitem__)

    def rebalance_is_stuck(self, now_s: float) -> bool:
        """Whether a rebalance has been going on for twice as long as anything else may take."""
        return self._rebalancing_s is not None and now_s - self._rebalancing_s > 2 * self._after_s

    def restart_timers(self, now_s: float) -> None:
        """Nothing is in doubt before so long from now."""
        self._well_s = dict.fromkeys(self._well_s, now_s)
        self._rebalancing_s = now_s
