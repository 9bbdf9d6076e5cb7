"""Failover behind one address while connections to the old primary stay open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis as sync_redis
from redis.exceptions import ReadOnlyError, RedisError

from streams.settings import Settings
from streams.store.connection import connect
from tests.support.fault_proxy import FaultProxy
from tests.support.servers import Server, redis_server

pytestmark = pytest.mark.anyio


@dataclass
class Pair:
    """A primary and its replica behind a stable address."""

    old: Server
    new: Server
    proxy: FaultProxy

    @property
    def settings(self) -> Settings:
        return Settings(redis_url=f"redis://{self.proxy.address}/0")

    def fail_over(self) -> None:
        """Promote the replica; new connections to the address reach it, existing ones stay with the old primary."""
        sync_redis.Redis.from_url(self.new.url).replicaof("NO", "ONE")
        sync_redis.Redis.from_url(self.old.url).replicaof(self.new.host, self.new.port)

    def move_address(self) -> None:
        self.proxy.target = (self.new.host, self.new.port)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with redis_server() as old, redis_server() as new, FaultProxy((old.host, old.port)) as proxy:
        sync_redis.Redis.from_url(new.url).replicaof(old.host, old.port)
        yield Pair(old, new, proxy)


async def test_a_refused_command_is_sent_to_the_new_primary(pair: Pair) -> None:
    redis = connect(pair.settings)
    try:
        script = redis.register_script("return redis.call('INCR', KEYS[1])")
        assert await script(keys=["n"]) == 1
        await asyncio.gather(*(redis.get("n") for _ in range(20)))  # many connections to the old primary are open
        with sync_redis.Redis.from_url(pair.new.url) as new:
            deadline = time.monotonic() + 10
            while new.get("n") != b"1":
                assert time.monotonic() < deadline
        pair.fail_over()
        pair.move_address()
        assert await script(keys=["n"]) == 2, "sent once more on a new connection"
        await asyncio.gather(*(redis.incr("n") for _ in range(30)))
        with sync_redis.Redis.from_url(pair.new.url) as new:
            assert new.get("n") == b"32", "each command was executed once"
    finally:
        await redis.aclose()


async def test_retries_while_the_address_resolves_to_the_old_primary(pair: Pair) -> None:
    redis = connect(pair.settings)
    try:
        await redis.set("k", 1)
        pair.fail_over()
        for _ in range(3):
            with pytest.raises(ReadOnlyError):
                await redis.set("k", 2)
            await asyncio.sleep(0.5)
        pair.move_address()
        moved = time.monotonic()
        while True:
            try:
                async with redis.pipeline(transaction=True) as pipe:
                    await pipe.set("k", 3).execute()
                break
            except RedisError:
                await asyncio.sleep(0.2)
        assert time.monotonic() - moved < 5
    finally:
        await redis.aclose()


async def test_a_refusal_of_a_single_command_replaces_no_connection(redis_url: str) -> None:
    redis = connect(Settings(redis_url=redis_url))
    try:
        connected = await redis.client_id()
        with pytest.raises(RedisError):
            await redis.execute_command("HSET", "k")
        assert await redis.client_id() == connected
    finally:
        await redis.aclose()
