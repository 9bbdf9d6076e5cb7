"""What a Redis client raises, as failures told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.store.connection import visit
from streams.store.refusals import UNREACHABLE, told


@contextmanager
def redis_errors(redis: Redis) -> Iterator[None]:
    """Turn what the client raises inside the block into a SalepulseError."""
    try:
        yield
    except (RedisError, *UNREACHABLE) as error:
        raise told(error, visit(redis)) from error
