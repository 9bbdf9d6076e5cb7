"""Whether workers are at work now. What those of an earlier start said last still holds for some seconds."""

from __future__ import annotations

from redis.exceptions import RedisError

from streams.clock import now_ms
from streams.settings import Settings
from streams.store.connection import UNREACHABLE, connect
from streams.store.keys import Keys
from streams.store.reference_clock import server_time_ms
from streams.store.state import read_state


async def store_now_ms(settings: Settings) -> int:
    """The present by Redis's clock, which workers go by; by this machine's while Redis does not answer."""
    redis = connect(settings)
    try:
        return int(await server_time_ms(redis, Keys(settings.redis_prefix, settings.shards)))
    except (RedisError, *UNREACHABLE):
        return now_ms()
    finally:
        await redis.aclose()


async def all_partitions_attended(settings: Settings, since_ms: int) -> bool:
    """Whether every partition has had word from a worker since a moment; no while Redis does not answer."""
    redis = connect(settings)
    try:
        state = await read_state(redis, Keys(settings.redis_prefix, settings.shards))
    except (RedisError, *UNREACHABLE):
        return False
    finally:
        await redis.aclose()
    return not state.unread and all((held.heartbeat_ms or 0) >= since_ms for held in state.existing_partitions.values())
