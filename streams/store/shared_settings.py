"""Settings that all workers of a store must share, since counts cannot be recomputed."""

from __future__ import annotations

from redis.asyncio import Redis

from consumers.errors import SalepulseError
from consumers.topics import Topic
from streams.settings import Settings
from streams.store.connection import user_errors
from streams.store.keys import Keys

CURRENCY = "currency"
"""State field with the counted currency; absent in stores of earlier versions."""


async def require_same_settings(redis: Redis, settings: Settings, partitions: dict[Topic, int]) -> None:
    """Reject settings that differ from the store's, or partition counts under which orders cannot be joined.

    `partitions`: number per topic. Raises SalepulseError.
    """
    orders, logistics = partitions[Topic.ORDERS], partitions[Topic.LOGISTICS]
    if settings.shards > 1 and orders != logistics:
        raise SalepulseError(
            f"topic orders has {orders} partitions and logistics {logistics}: with shards = {settings.shards} the "
            "numbers must match, so that all records of an order are in one shard; recreate one of the topics, or "
            "set shards = 1"
        )
    state = Keys(settings.redis_prefix, settings.shards).state(0)
    counted_with = {
        "orders": f"overdue_after_h={settings.overdue_after_h:g} unshipped_horizon_d={settings.unshipped_horizon_d}",
        CURRENCY: f"currency={settings.currency}",
    }
    for name, ours in counted_with.items():
        with user_errors(redis):
            await redis.hsetnx(state, name, ours)
            held: bytes | None = await redis.hget(state, name)  # type: ignore[assignment]
        theirs = ours if held is None else held.decode()
        if theirs != ours:
            raise SalepulseError(
                f"this Redis was populated with {theirs}, not with {ours}, and counts cannot be converted; use "
                "those settings, or another redis_prefix and count again"
            )
