"""Reset positions in Redis after an embedded broker has started empty."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from consumers.errors import SalepulseError
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.connection import connect, user_errors
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.progress import read_progress
from streams.store.reference_clock import server_time_ms
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition

_TRIES = 20
_PAUSE_S = 0.1


async def reset_positions(settings: Settings) -> int:
    """Set every position to offset 0 and keep the counts. Returns the number of partitions changed.

    Call it before the topics are created, so that no record of theirs is skipped as counted. Running workers notice at
    their next heartbeat. Raises SalepulseError.
    """
    redis, keys = connect(settings), Keys(settings.redis_prefix, settings.shards)
    try:
        with user_errors(redis):
            progress = await read_progress(redis, keys, {(Topic.PROMOTIONS.value, 0): 0})
            now_ms = int(await server_time_ms(redis, keys))
            newest_ms = max((held.newest_ms or 0 for held in progress.partitions.values()), default=0) or now_ms
            newest_ms = min(newest_ms, now_ms) if settings.clock is Clock.WALL else newest_ms
            counted = [partition for partition, position in progress.positions.items() if position]
            for partition in counted:
                # Read here because the state of event topics omits promotions.
                lag = await redis.hget(keys.state(keys.shard(partition)), f"lag:{partition}")
                had_no_lag = lag is not None and int(lag) == 0
                await _reset_partition(redis, keys, settings, partition, None if had_no_lag else newest_ms, now_ms)
            return len(counted)
    finally:
        await redis.aclose()


async def _reset_partition(
    redis: Redis, keys: Keys, settings: Settings, partition: Partition, since_ms: int | None, now_ms: int
) -> None:
    """`since_ms`: event time from which records may be lost; None: none are."""
    kept, rows = levels(settings), RowIndex()
    writer, compactor = PaneWriter(redis, keys, kept), Compactor(redis, keys, kept, settings.clock)
    for _ in range(_TRIES):
        work = OwnedPartition(partition, settings, writer, compactor, rows)
        await work.load()
        if not work.position:
            return
        compacted = await work.compact(event_time_bounds(settings, None, now_ms))
        if compacted and await writer.reset_position(partition, work.position, 0, since_ms):
            return
        await asyncio.sleep(_PAUSE_S)  # a worker wrote its last batch meanwhile
    raise SalepulseError(
        f"position of partition {partition} could not be reset: see the logs of the workers", retriable=True
    )
