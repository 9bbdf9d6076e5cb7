"""Settings that everybody who counts into one store must share: what was counted by others could not be corrected."""

from __future__ import annotations

from redis.asyncio import Redis

from consumers.errors import SalepulseError
from consumers.topics import Topic
from streams.settings import Settings
from streams.store.connection import user_errors
from streams.store.keys import Keys

CURRENCY = "currency"
"""The field of the state that says which currency was counted; absent in a store of an earlier version."""


async def require_same_settings(redis: Redis, settings: Settings, partitions: dict[Topic, int]) -> None:
    """Refuse settings that differ from those of whoever counted first, or that orders cannot be joined under.

    `partitions`: how many each topic has. Raises SalepulseError.
    """
    orders, logistics = partitions[Topic.ORDERS], partitions[Topic.LOGISTICS]
    if settings.shards > 1 and orders != logistics:
        raise SalepulseError(
            f"topic orders has {orders} partitions and logistics {logistics}: with shards = {settings.shards} they "
            "must have as many, so that all of an order lies in one shard; make one of them anew, or set shards = 1"
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
                f"this Redis was counted into with {theirs}, not with {ours}: what was counted cannot be changed; "
                "use those settings, or another redis_prefix and count again"
            )
