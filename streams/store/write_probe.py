"""Asking a Redis whether it takes writes now, without writing anything: PING does not tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.settings import Settings
from streams.store.cluster import Cluster
from streams.store.connection import connect, script, servers
from streams.store.keys import Keys
from streams.store.refusal_kinds import RedisRefusal, refusal_of

_NODES_EVERY_S = 5.0
"""How often the memory of a cluster's nodes is looked at, which takes a connection to each."""
_DENIED_EVERY_S = 3.0
"""How often a user that was denied it asks again."""
_FIELD = "write-probe"
_SECTIONS = ("memory", "persistence", "replication")


class WriteProbe:
    """Sends commands that Redis refuses whenever it refuses writes, and that change nothing.

    `SET` with `XX` on a key that is never there is refused for every cause, lack of memory included; a script then
    tries each command that counting uses (`rights.lua`). Who only reads may send neither: its user may `HDEL` what
    people said of alerts. That is refused too, except for lack of memory, which `INFO` tells; where even that is not
    allowed, `INFO` tells the most of it.
    """

    def __init__(self, redis: Redis, keys: Keys, *, only_reads: bool, sole_login: bool = False) -> None:
        """`sole_login`: whoever writes comes as the same user, so that what this one may not, nobody may."""
        self._redis = redis
        self._keys = keys
        self._only_reads = only_reads
        self._sole_login = sole_login
        self._rights = script(redis, "rights")
        self._denied_s: float | None = None
        """When our user was last told that it may not."""
        self._looked_s = -_NODES_EVERY_S
        self._seen: RedisRefusal | None = None
        """What the nodes of a cluster said of themselves when they were last looked at."""

    async def refusal(self) -> RedisRefusal | None:
        """Why writes are refused; None: they are taken, as far as can be told. Raises what no answer raises."""
        if not self._only_reads:
            return await self._answer(self._ask_to_write)
        if self._may_ask:
            refusal = await self._answer(self._ask_to_delete)
            if refusal is not RedisRefusal.NOPERM:
                self._denied_s = None
                return refusal or await self._look()
            self._denied_s = monotonic()
        return await self._look() or (RedisRefusal.NOPERM if self._sole_login else None)

    @property
    def _may_ask(self) -> bool:
        """Seldom, once it was denied: else the server's log of what was denied would fill up."""
        if self._denied_s is None:
            return True
        return self._sole_login and monotonic() - self._denied_s >= _DENIED_EVERY_S

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
            await self._rights(keys=[self._keys.probe(0), self._keys.state(0)])
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in range(self._keys.shards):
                pipe.set(self._keys.probe(shard), "", xx=True)
            await pipe.execute()
        for shard in range(self._keys.shards):
            await self._rights(keys=[self._keys.probe(shard), self._keys.state(shard)])

    async def _ask_to_delete(self) -> None:
        client: Any = self._redis  # redis-py's own types fit neither of its two kinds of client
        await client.hdel(self._keys.silences, _FIELD)

    async def _look(self) -> RedisRefusal | None:
        if not isinstance(self._redis, Cluster):
            return refusal_in(await self._redis.info(*_SECTIONS))
        if monotonic() - self._looked_s >= _NODES_EVERY_S:
            async with servers(self._redis) as nodes:
                found = [refusal_in(await redis.info(*_SECTIONS)) for redis in nodes]
            self._seen = next((refusal for refusal in found if refusal), None)
            self._looked_s = monotonic()
        return self._seen


@asynccontextmanager
async def write_probe(redis: Redis, settings: Settings) -> AsyncIterator[WriteProbe]:
    """For whoever only reads, with `redis`: as whoever writes, where the settings tell who that is."""
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
    """Why a server refuses writes, as far as `INFO` tells. Replication buffers do not count as memory in use.

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
