"""Waits for a Redis that is unavailable or refuses writes when a process starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from time import monotonic
from typing import TypeVar

import structlog
from redis.asyncio import Redis

from streams.log_pace import LogPace
from streams.store.connection import user_errors
from streams.store.errors import RedisUnavailableError

T = TypeVar("T")
log = structlog.get_logger()

_RETRY_EVERY_S = 1.0


async def wait_for_redis(redis: Redis | None, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, retrying and logging while Redis is unavailable or refuses writes.

    `redis`: the client whose errors `work` raises unconverted; None if it raises SalepulseErrors. Raises errors that
    waiting cannot fix: an unsafe Redis, a rejected login, a missing permission.
    """
    waited, pace = False, LogPace()
    while True:
        try:
            with user_errors(redis) if redis is not None else nullcontext():
                done = await work()
        except RedisUnavailableError as error:
            waited = True
            if pace.is_due(str(error), monotonic()):
                log.warning("Redis is not available yet; waiting for it", why=str(error))
            await asyncio.sleep(_RETRY_EVERY_S)
        else:
            if waited:
                log.info("Redis is available")
            return done
