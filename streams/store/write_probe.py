"""Probes whether Redis accepts writes, without writing: PING does not show it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.settings import Settings
from streams.store.cluster import Cluster
from streams.store.connection import connect, script, servers
from streams.store.keys import Keys
from streams.store.refusal_kinds import RedisRefusal, refusal_of

_NODES_EVERY_S = 5.0
"""How often the memory of cluster nodes is checked, which takes a connection to each."""
_DENIED_EVERY_S = 3.0
"""How often a user that lacks the permission probes again."""
_FIELD = "write-probe"
_SECTIONS = ("memory", "persistence", "replication")


class WriteProbe:
    """Sends commands that fail whenever Redis refuses writes, and that change nothing.

    `SET` with `XX` on a key that never exists fails for every cause, including memory; a script then tries each command
    that counting uses (`try_commands.lua`). Read-only users may run neither: they may `HDEL` silences, which fails for
    every cause except memory, and `INFO` shows that one. Without that permission, `INFO` shows most causes.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        only_reads: bool,
        sole_login: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sole_login`: writers use the same user, so that a permission it lacks is a problem for them, too."""
        self._monotonic = monotonic
        self._redis = redis
        self._keys = keys
        self._only_reads = only_reads
        self._sole_login = sole_login
        self._try_commands = script(redis, "try_commands")
        self._denied_s: float | None = None
        """When a permission was last denied."""
        self._looked_s = -_NODES_EVERY_S
        self._seen: RedisRefusal | None = None
        """Refusal found when the cluster nodes were last checked."""

    async def refusal(self) -> RedisRefusal | None:
        """Why writes are refused; None if they seem to be accepted. Raises the client's error if Redis does not
        answer."""
        if not self._only_reads:
            return await self._answer(self._ask_to_write)
        if self._may_ask:
            refusal = await self._answer(self._ask_to_delete)
            if refusal is not RedisRefusal.NOPERM:
                self._denied_s = None
                return refusal or await self._look()
            self._denied_s = self._monotonic()
        return await self._look() or (RedisRefusal.NOPERM if self._sole_login else None)

    @property
    def _may_ask(self) -> bool:
        """Limits probes after a denial, which would fill the server's ACL log."""
        if self._denied_s is None:
            return True
        return self._sole_login and self._monotonic() - self._denied_s >= _DENIED_EVERY_S

    async def _answer(self, ask: Callable[[], Awaitable[object]]) -> RedisRefusal | None:
        try:
            await ask()
        except RedisError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            return refusal
        return None

    async def _ask_to_write(self) -> None:
        if not isinstance(self._redis, Cluster):
            await self._redis.set(self._keys.probe(0), "", xx=True)
            await self._try_commands(keys=[self._keys.probe(0), self._keys.state(0)])
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in range(self._keys.shards):
                pipe.set(self._keys.probe(shard), "", xx=True)
            await pipe.execute()
        for shard in range(self._keys.shards):
            await self._try_commands(keys=[self._keys.probe(shard), self._keys.state(shard)])

    async def _ask_to_delete(self) -> None:
        client: Any = self._redis  # redis-py's types fit neither kind of client
        await client.hdel(self._keys.silences, _FIELD)

    async def _look(self) -> RedisRefusal | None:
        if not isinstance(self._redis, Cluster):
            return refusal_in(await self._redis.info(*_SECTIONS))
        if self._monotonic() - self._looked_s >= _NODES_EVERY_S:
            async with servers(self._redis) as nodes:
                refusals = [refusal_in(await redis.info(*_SECTIONS)) for redis in nodes]
            self._seen = next((refusal for refusal in refusals if refusal), None)
            self._looked_s = self._monotonic()
        return self._seen


@asynccontextmanager
async def write_probe(redis: Redis, settings: Settings) -> AsyncIterator[WriteProbe]:
    """The probe of a read-only process with client `redis`: probes as the writer if the settings hold that login."""
    keys = Keys(settings.redis_prefix, settings.shards)
    if not (settings.redis_read_user and settings.redis_writer_known):
        yield WriteProbe(redis, keys, only_reads=True, sole_login=not settings.redis_read_user)
        return
    writer = connect(settings)
    try:
        yield WriteProbe(writer, keys, only_reads=False)
    finally:
        await writer.aclose()


def refusal_in(info: Mapping[str, Any]) -> RedisRefusal | None:
    """Why a server refuses writes, as far as `INFO` shows it. Replication buffers do not count as used memory.

    >>> refusal_in({"used_memory": 120, "maxmemory": 100, "mem_not_counted_for_evict": 10})
    <RedisRefusal.OOM: 'oom'>
    >>> refusal_in({"used_memory": 120, "maxmemory": 0, "role": "master"}) is None
    True
    """
    if info.get("role") == "slave":
        return RedisRefusal.READONLY
    if info.get("aof_last_write_status", "ok") != "ok":
        return RedisRefusal.MISCONF
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return RedisRefusal.OOM if 0 < int(info.get("maxmemory", 0)) < used else None
