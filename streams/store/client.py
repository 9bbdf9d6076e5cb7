"""Client of a single Redis that replaces its connections after a refusal or a lost connection.

A managed Redis keeps its address on failover. Open connections stay with the old server, which is then a replica
(READONLY), is loading, or lacks a disk or replicas. Each such refusal marks all pooled connections as old, and each is
replaced before its next use; connections in use are not interrupted.

A command refused like this was not executed, so it is sent once more on a new connection.
"""

from __future__ import annotations

from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streams.store.refusal_kinds import RECONNECT_REFUSALS, refusal_of

_LOST = (RedisConnectionError, RedisTimeoutError, OSError)
RENEW_EVERY_S = 1.0
"""Minimum interval between replacements, however many commands are refused."""


class StorePool(ConnectionPool):
    """A connection pool whose connections can be marked as old."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.age = 0
        """Incremented whenever connections are marked as old."""
        self._ages: WeakKeyDictionary[AbstractConnection, int] = WeakKeyDictionary()
        """# <connection: pool age when it was made>"""
        self._renewed_s = -RENEW_EVERY_S

    def renew(self) -> bool:
        """Mark every connection as old; False if that was done within `RENEW_EVERY_S`."""
        now_s = monotonic()
        if now_s - self._renewed_s < RENEW_EVERY_S:
            return False
        self._renewed_s = now_s
        self.age += 1
        return True

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Called before each use of a connection."""
        age = self.age
        if self._ages.get(connection, age) != age:
            await connection.disconnect()
        self._ages[connection] = age
        await super().ensure_connection(connection)


class _Renewing(Redis):
    """Marks connections as old when a server refuses a command or is lost."""

    connection_pool: StorePool

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """The response to one command. Raises the server's refusal."""
        try:
            return await super().parse_response(connection, command_name, **options)
        except (RedisError, OSError) as error:
            if refusal_of(error) in RECONNECT_REFUSALS or isinstance(error, _LOST):
                self.connection_pool.renew()
            raise


class StoreRedis(_Renewing):
    """A client on a `StorePool`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; once more if it was refused and connections were renewed since."""
        age = self.connection_pool.age
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except RedisError as error:
            if refusal_of(error) not in RECONNECT_REFUSALS or self.connection_pool.age == age:
                raise
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """A pipeline of commands."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class StorePipeline(Pipeline, _Renewing):  # type: ignore[misc]
    """A pipeline that sends each command at most once."""
