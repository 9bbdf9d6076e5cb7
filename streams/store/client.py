"""The client of one Redis: after a refusal or a lost connection all its connections are replaced.

A managed Redis keeps its address when another server takes over. Connections that are open stay with the old one, which
is a replica then (READONLY), is loading, or lacks a disk or replicas. So each such refusal makes all connections of the
pool old: one that is in use is not touched, and each is replaced, by one to where the address leads by then, before it
is used again. A server that is well only has to accept a few connections more.

A command that was refused like this was not executed, so it is sent once more where there is a new connection for it.
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
"""Connections are replaced no more often than this, however many commands are refused."""


class StorePool(ConnectionPool):
    """Connections that can be declared old."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.age = 0
        """Grows whenever connections are declared old."""
        self._ages: WeakKeyDictionary[AbstractConnection, int] = WeakKeyDictionary()
        """# <which age each connection was made in>"""
        self._renewed_s = -RENEW_EVERY_S

    def renew(self) -> bool:
        """Have every connection replaced before it is used again. False: that was done a moment ago."""
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
    """Declares connections old when a server refuses or is lost."""

    connection_pool: StorePool

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """The answer to one command. Raises what the server refused."""
        try:
            return await super().parse_response(connection, command_name, **options)
        except (RedisError, OSError) as error:
            if refusal_of(error) in RECONNECT_REFUSALS or isinstance(error, _LOST):
                self.connection_pool.renew()
            raise


class StoreRedis(_Renewing):
    """A client on a `StorePool`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command; once more where it was refused and connections have been declared old since."""
        age = self.connection_pool.age
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except RedisError as error:
            if refusal_of(error) not in RECONNECT_REFUSALS or self.connection_pool.age == age:
                raise
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands to be sent together."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class StorePipeline(Pipeline, _Renewing):  # type: ignore[misc]
    """Commands that are sent together, each at most once."""
