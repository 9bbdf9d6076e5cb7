"""What a Redis client raises, as failures told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from streams.store.connection import UNREACHABLE, address


@contextmanager
def redis_errors(redis: Redis) -> Iterator[None]:
    """Turn what the client raises inside the block into a SalepulseError."""
    try:
        yield
    except UNREACHABLE as error:
        raise SalepulseError(
            f"no Redis answers at {address(redis)}: start one, or name another with --redis-url", retriable=True
        ) from error
    except RedisError as error:
        raise SalepulseError(f"Redis at {address(redis)} refused us: {error}") from error
