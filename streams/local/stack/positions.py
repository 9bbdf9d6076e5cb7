"""Positions in Redis when an embedded broker starts empty: checks that they are its own, and resets them."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from consumers.errors import SalepulseError
from consumers.settings import Clock
from consumers.topics import Partition, Topic
from streams.local.embedded.broker import is_embedded_topic
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.compactor import Compactor
from streams.store.connection import address, open_store
from streams.store.keys import Keys
from streams.store.levels import levels
from streams.store.progress import read_progress
from streams.store.reference_clock import server_time_ms
from streams.store.state import read_topic_id
from streams.store.writer import PaneWriter
from streams.worker.lateness import event_time_bounds
from streams.worker.partition import OwnedPartition

_TRIES = 20
_PAUSE_S = 0.1


async def require_embedded_positions(settings: Settings) -> None:
    """Raise SalepulseError if Redis holds positions in the topics of another broker under our prefix.

    Workers store the id of each topic; a store without ids was counted from a broker without topic ids.
    """
    async with open_store(settings) as (redis, keys):
        if foreign := await foreign_positions(redis, keys):
            named = ", ".join(f"{partition} at {position:,}" for partition, position in list(foreign.items())[:3])
            raise SalepulseError(
                f"Redis at {address(redis)} holds positions of another broker under the prefix "
                f"{settings.redis_prefix!r} ({named}{' ...' if len(foreign) > 3 else ''}), which an embedded broker "
                "would reset: name that broker with --bootstrap, or another prefix with SALEPULSE_REDIS_PREFIX or "
                "redis_prefix in salepulse.toml"
            )


async def foreign_positions(redis: Redis, keys: Keys) -> dict[Partition, int]:
    """Positions after offset 0 in topics that are not an embedded broker's."""
    progress = await read_progress(redis, keys, {(Topic.PROMOTIONS.value, 0): 0})
    positions = {partition: position for partition, position in sorted(progress.positions.items()) if position}
    ids = {partition: await read_topic_id(redis, keys, partition) for partition in positions}
    any_embedded = any(map(is_embedded_topic, ids.values()))
    return {
        partition: position
        for partition, position in positions.items()
        if not (is_embedded_topic(ids[partition]) or (any_embedded and not ids[partition]))
    }


async def reset_positions(settings: Settings) -> int:
    """Set every position to offset 0 and keep the counts. Returns the number of partitions changed.

    Call it before the topics are created, so that no record of theirs is skipped as counted. Running workers notice at
    their next heartbeat. Raises SalepulseError.
    """
    async with open_store(settings) as (redis, keys):
        progress = await read_progress(redis, keys, {(Topic.PROMOTIONS.value, 0): 0})
        now_ms = int(await server_time_ms(redis, keys))
        newest_ms = max((partition.newest_ms or 0 for partition in progress.partitions.values()), default=0) or now_ms
        newest_ms = min(newest_ms, now_ms) if settings.clock is Clock.WALL else newest_ms
        counted = [partition for partition, position in progress.positions.items() if position]
        for partition in counted:
            # Read here because the state of event topics omits promotions.
            lag = await redis.hget(keys.state(keys.shard(partition)), f"lag:{partition}")
            had_no_lag = lag is not None and int(lag) == 0
            await _reset_partition(redis, keys, settings, partition, None if had_no_lag else newest_ms, now_ms)
        return len(counted)


async def _reset_partition(
    redis: Redis, keys: Keys, settings: Settings, partition: Partition, since_ms: int | None, now_ms: int
) -> None:
    """Set one position to offset 0. `since_ms`: event time from which records may be lost; None: none are."""
    pane_levels, rows = levels(settings), RowIndex()
    writer, compactor = PaneWriter(redis, keys, pane_levels), Compactor(redis, keys, pane_levels, settings.clock)
    for _ in range(_TRIES):
        owned = OwnedPartition(partition, settings, writer, compactor, rows)
        await owned.load()
        if not owned.position:
            return
        compacted = await owned.compact(event_time_bounds(settings, None, now_ms))
        if compacted and await writer.reset_position(partition, owned.position, 0, since_ms):
            return
        await asyncio.sleep(_PAUSE_S)  # a worker wrote its last batch meanwhile
    raise SalepulseError(
        f"position of partition {partition} could not be reset: see the logs of the workers", retriable=True
    )
