"""Scripts are atomic even if a permission is revoked."""

from __future__ import annotations

import asyncio
from importlib import resources

import pytest
import redis as sync_redis

from streams.store import connection
from streams.store.refusal_kinds import RedisRefusal
from tests.streams.shop import ORDERS_0
from tests.streams.worker.conftest import opened
from tests.support.events import paid
from tests.support.servers import redis_server

pytestmark = pytest.mark.anyio


def held(redis: sync_redis.Redis) -> dict[bytes, bytes]:
    """The whole content of Redis."""
    return {key: redis.dump(key) for key in redis.scan_iter()}


async def test_a_batch_without_all_permissions_changes_nothing_and_counts_once_granted() -> None:
    with redis_server() as server, sync_redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "writer", "on", ">secret", "~*", "+@all")
        url = server.url.replace("redis://", "redis://writer:secret@")
        async with opened(url) as office:
            office.topics.write(ORDERS_0, *(paid(at=at, order_id=f"o{at}") for at in range(10)))
            await office.count(office.topics.fetch(ORDERS_0, most=1))
            for counted, command in enumerate(("xadd", "hset", "hsetnx", "hdel", "hincrby", "hexists"), 1):
                before = held(admin)
                admin.execute_command("ACL", "SETUSER", "writer", f"-{command}")
                counting = asyncio.create_task(office.count(office.topics.fetch(ORDERS_0, most=1)))
                async with asyncio.timeout(10):
                    while office.metric("redis_refusals_total", reason=RedisRefusal.NOPERM) < counted:
                        await asyncio.sleep(0.01)
                    assert held(admin) == before, command
                    admin.execute_command("ACL", "SETUSER", "writer", f"+{command}")
                    await counting
                assert await office.totals() == {"events,orders,order_paid": counted + 1}, command
                assert await office.position(ORDERS_0) == counted + 1


@pytest.mark.parametrize("folder", ["streams.store", "alerts.store"])
def test_the_guard_finds_every_command_of_every_script(folder: str) -> None:
    for file in resources.files(folder).iterdir():
        if file.name.endswith(".lua") and file.name != "try_commands.lua":
            text = file.read_text()
            assert text.count("redis.call(") + text.count("redis.pcall(") == len(connection._CALL.findall(text))
