"""Waits until records written to Kafka are counted, and reads the totals."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from consumers.topics import Partition, Topic, input_topic
from streams.model.negative_amounts import NEGATIVE_AMOUNTS, NegativeAmounts, negative_amounts
from streams.settings import Settings
from streams.store.as_of import PartitionState
from streams.store.connection import UNREACHABLE, Access, address, connect, user_errors
from streams.store.contract_check import pause_fix
from streams.store.keys import Keys
from streams.store.reader import read_counts
from streams.store.reference_clock import server_time_ms
from streams.store.state import read_state

EndOffsets: TypeAlias = Mapping[tuple[str, int], int]
"""# <(topic, partition): offset after the last record that must be counted>"""
Positions: TypeAlias = Mapping[Partition, int]
"""# <partition: offset of the next record to count>"""
LOOK_EVERY_S = 0.1
"""Interval between reads while waiting."""


@dataclass(frozen=True, slots=True)
class CountingProgress:
    """Progress of counting at a time."""

    positions: dict[Partition, int]
    """Offset of the next record to count, of every counted or awaited partition."""
    partitions: dict[Partition, PartitionState]
    """State of the event topics' partitions."""
    now_ms: float
    """Redis's clock."""
    paused: Mapping[Partition, str] = field(default_factory=dict)
    """# <paused partition: reason>"""

    def missing(self, ends: EndOffsets, before: Positions) -> int:
        """Number of uncounted records before the end offsets.

        `before`: positions before the records were written. A position that was beyond the end then and still is
        belongs to a previous broker: nothing of the new one is counted until the workers notice.
        """
        missing = 0
        for (topic, number), end in ends.items():
            partition = Partition(input_topic(topic), number)
            position = self.positions.get(partition, 0)
            stays = before.get(partition, -1) >= end and position == before[partition]
            missing += end if stays else max(0, end - position)
        return missing


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start."""

    events: dict[str, int]
    """# <type: distinct events>"""
    duplicates: int
    """Messages whose event was already counted."""
    rejected: int
    """Messages that became dead letters."""
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """# <(topic, reason): messages>"""
    labels_dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """# <(topic, field): labels that were too long>; their events count without them."""
    negative_amounts: NegativeAmounts = field(default_factory=lambda: NegativeAmounts({}, 0))
    """Messages rejected for negative amounts, by channel and coupon."""
    records_lost: Mapping[str, int] = field(default_factory=dict)
    """# <topic: records that could not be decoded>"""
    last_ms: Mapping[str, int] = field(default_factory=dict)
    """# <`rejected`, `labels_dropped` or `negative_amounts`: last increase, epoch ms>"""


async def read_progress(redis: Redis, keys: Keys, ends: EndOffsets) -> CountingProgress:
    """Positions of all event partitions, and of awaited partitions of other topics."""
    state = await read_state(redis, keys)
    positions = {name: stored.position for name, stored in state.partitions.items() if stored.position is not None}
    for topic, number in ends:
        partition = Partition(input_topic(topic), number)
        if partition.topic is Topic.PROMOTIONS:
            position = await redis.hget(keys.state(keys.shard(partition)), f"pos:{partition}")
            positions |= {} if position is None else {partition: int(position)}
    return CountingProgress(positions, state.existing_partitions, await server_time_ms(redis, keys), state.paused)


async def read_totals(redis: Redis, keys: Keys) -> Totals:
    """The totals of all shards."""
    by_kind: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    counts = await read_counts(redis, keys)
    for name, count in counts.items():
        total_kind, topic, detail, *_ = [*name.split(",", 2), ""]
        by_kind[total_kind][topic, detail] += count
    last_ms: dict[str, int] = {}
    for shard in range(keys.shards):
        for kind in ("rejected", "labels_dropped", NEGATIVE_AMOUNTS):
            if (increased_ms := await redis.hget(keys.state(shard), f"last,{kind}")) is not None:
                last_ms[kind] = max(int(increased_ms), last_ms.get(kind, 0))
    events: Counter[str] = Counter()
    for (_topic, kind), counted in by_kind["events"].items():
        events[kind] += counted
    return Totals(
        events=dict(events),
        duplicates=by_kind["duplicates"].total(),
        rejected=by_kind["rejected"].total(),
        reasons=by_kind["rejected"],
        labels_dropped=by_kind["labels_dropped"],
        negative_amounts=negative_amounts(counts),
        records_lost={topic: count for (topic, _), count in by_kind["records_lost"].items()},
        last_ms=last_ms,
    )


async def read_positions(settings: Settings) -> Positions:
    """Current positions; empty if Redis does not answer."""
    redis, keys = connect(settings, Access.READ), Keys(settings.redis_prefix, settings.shards)
    try:
        return (await read_progress(redis, keys, {(Topic.PROMOTIONS.value, 0): 0})).positions
    except (RedisError, *UNREACHABLE):
        return {}
    finally:
        await redis.aclose()


async def wait_until_counted(
    settings: Settings,
    ends: EndOffsets,
    *,
    patience_s: float,
    before: Positions | None = None,
    on_progress: Callable[[int], None] = lambda _missing: None,
) -> None:
    """Wait until all records before the end offsets are counted and every partition's worker reports no backlog.

    Afterwards every server includes them with its next poll. `before`: positions before the records were written
    (`read_positions`). `on_progress` receives the number of missing records. Raises SalepulseError after `patience_s`
    without progress.
    """
    redis, keys = connect(settings, Access.READ), Keys(settings.redis_prefix, settings.shards)
    patience = _Patience(patience_s)
    try:
        while True:
            progress = await patience.read(redis, lambda: read_progress(redis, keys, ends))
            missing = progress.missing(ends, before or {})
            on_progress(missing)
            if not missing:
                break
            patience.check(progress.positions, _stuck(missing, progress, settings, patience_s))
            await asyncio.sleep(LOOK_EVERY_S)
        counted = progress
        while behind := _behind(counted, progress):
            await asyncio.sleep(LOOK_EVERY_S)
            progress = await patience.read(redis, lambda: read_progress(redis, keys, ends))
            patience.check(progress.partitions, f"no worker has caught up with {behind} for {patience_s:g} s")
        await asyncio.sleep(3 * settings.poll_ms / 1000)
    finally:
        await redis.aclose()


def _behind(counted: CountingProgress, now: CountingProgress) -> Partition | None:
    """A partition without a heartbeat free of backlog since all was counted.

    With other active producers there is always a backlog; there it suffices that the position has moved.
    """
    for partition, state in now.partitions.items():
        earlier = counted.partitions.get(partition)
        has_new_heartbeat = earlier is None or (state.heartbeat_ms or 0) > (earlier.heartbeat_ms or 0)
        has_advanced = (state.position or 0) > counted.positions.get(partition, 0)
        if not (has_new_heartbeat and (state.lag == 0 or has_advanced)):
            return partition
    return None


def _stuck(missing: int, progress: CountingProgress, settings: Settings, patience_s: float) -> str:
    oldest_ms = progress.now_ms - settings.stale_after_s * 1000
    for partition, reason in sorted(progress.paused.items()):
        return f"{missing:,} records wait: {reason}; {pause_fix(partition.topic, reason)}"
    working = any((state.heartbeat_ms or 0) > oldest_ms for state in progress.partitions.values())
    why = (
        "a worker is running but makes no progress: see its log"
        if working
        else "no worker is running: start one with `salepulse worker`"
    )
    return f"nothing was counted for {patience_s:g} s and {missing:,} records wait: {why}"


class _Patience:
    """Raises when nothing has changed for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: object = None
        self._since = time.monotonic()

    def check(self, seen: object, why: str) -> None:
        """Raise SalepulseError if `seen` has not changed for too long."""
        if seen != self._last:
            self._last, self._since = seen, time.monotonic()
        elif time.monotonic() - self._since > self._seconds:
            raise SalepulseError(why, retriable=True)

    async def read(self, redis: Redis, read: Callable[[], Awaitable[CountingProgress]]) -> CountingProgress:
        """Read, retrying while Redis does not answer."""
        while True:
            try:
                return await read()
            except UNREACHABLE:
                self.check("unreachable", f"no Redis answers at {address(redis)} for {self._seconds:g} s")
                await asyncio.sleep(0.5)
            except RedisError:
                with user_errors(redis):
                    raise
