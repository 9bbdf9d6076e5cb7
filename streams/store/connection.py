"""The connection to Redis, its checks, and the scripts."""

from __future__ import annotations

from importlib.resources import files

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.errors import SalepulseError
from streams.settings import Settings

MIN_VERSION = (7, 0)
SAFE_POLICY = "noeviction"

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)
"""What a Redis that is not there raises: worth trying again."""


def connect(settings: Settings) -> Redis:
    """A client that does not retry by itself: who calls knows whether a command may be sent twice."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=5,
        socket_connect_timeout=5,
        health_check_interval=15,
    )


def script(redis: Redis, name: str) -> AsyncScript:
    """One of the scripts beside this file. A Redis that has forgotten it is taught again by itself."""
    return redis.register_script(files("streams.store").joinpath(f"{name}.lua").read_text())


async def check(redis: Redis) -> None:
    """Refuse a Redis that could lose or evict panes.

    Raises:
        SalepulseError: what is wrong with it and what to do; `retriable` if it just is not there.
    """
    try:
        server = await redis.info("server")
        memory = await redis.info("memory")
    except UNREACHABLE as error:
        raise SalepulseError(
            f"no Redis answers at {address(redis)} ({error}); start one, or name another with --redis-url",
            retriable=True,
        ) from error
    except RedisError as error:
        raise SalepulseError(f"Redis at {address(redis)} refused us: {error}; check user and password") from error
    version = str(server.get("valkey_version") or server["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        raise SalepulseError(f"Redis at {address(redis)} is version {version}; salepulse needs 7.0 or newer")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != SAFE_POLICY and memory.get("maxmemory", 0):
        raise SalepulseError(
            f"Redis at {address(redis)} may evict keys (maxmemory-policy {policy}), which would lose counts; "
            f"set it to {SAFE_POLICY}"
        )


def address(redis: Redis) -> str:
    """host:port, without secrets."""
    args = redis.connection_pool.connection_kwargs
    return str(args.get("path") or f"{args.get('host', 'localhost')}:{args.get('port', 6379)}")
