"""Each kind of refusal of a real Redis is classified for commands, scripts and the probe."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources

import pytest
import redis as sync_redis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerts.store.keys import AlertKeys
from consumers.errors import SalepulseError
from streams.local.embedded.ports import free_port
from streams.settings import Settings
from streams.store.connection import Access, check, connect, endpoint_of, user_errors, wait_for_redis
from streams.store.errors import RedisUnavailableError, to_user_error
from streams.store.keys import Keys
from streams.store.refusal_kinds import REFUSAL_TEXTS, RedisRefusal, refusal_of
from streams.store.write_probe import WriteProbe
from tests.support.redis_cluster import Cluster
from tests.support.secure_redis import READER, WRITER, documented_rules
from tests.support.servers import Server, redis_server

pytestmark = pytest.mark.anyio

KEYS = Keys("salepulse", 1)


@contextlib.asynccontextmanager
async def connected(url: str, access: Access = Access.WRITE) -> AsyncIterator[Redis]:
    redis = connect(Settings(redis_url=url), access)
    try:
        yield redis
    finally:
        await redis.aclose()


async def refused(call: Callable[[], Awaitable[object]]) -> RedisRefusal | None:
    with pytest.raises(RedisError) as caught:
        await call()
    return refusal_of(caught.value)


@pytest.fixture
def server() -> AsyncIterator[Server]:
    with redis_server("--enable-debug-command", "yes") as server:
        yield server  # type: ignore[misc]


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        (("maxmemory", "1"), RedisRefusal.OOM),
        (("min-replicas-to-write", "2"), RedisRefusal.NOREPLICAS),
    ],
)
async def test_detects_refusals_by_configuration(server: Server, setting: tuple[str, str], code: RedisRefusal) -> None:
    async with connected(server.url) as redis:
        script = redis.register_script("return redis.call('HSET', KEYS[1], 'a', '1')")
        await script(keys=["{x}:k"])
        probe = WriteProbe(redis, KEYS, only_reads=False)
        assert await probe.refusal() is None
        await redis.config_set(*setting)
        assert await refused(lambda: redis.hset("k", "a", "b")) is code  # type: ignore[arg-type]
        assert await refused(lambda: script(keys=["{x}:k"])) is code
        assert await probe.refusal() is code
        assert await redis.ping(), "PING does not show it"
        await redis.config_set(setting[0], "0")
        assert await probe.refusal() is None
        assert await redis.exists(KEYS.probe(0), KEYS.silences) == 0, "nothing was written"


@pytest.mark.parametrize("rights", ["documented", "reading only"])
@pytest.mark.parametrize("setting", [("maxmemory", "1"), ("min-replicas-to-write", "2")])
async def test_detects_refusals_as_a_read_only_user(server: Server, setting: tuple[str, str], rights: str) -> None:
    rules = [rule for rule in documented_rules(READER, "secret") if rights == "documented" or not rule.startswith("(")]
    with sync_redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", *rules)
        async with connected(server.url.replace("redis://", "redis://reader:secret@"), Access.READ) as redis:
            probe = WriteProbe(redis, KEYS, only_reads=True)
            assert await probe.refusal() is None
            admin.config_set(*setting)
            seen = await probe.refusal()
            shown_by_info = setting[0] == "maxmemory"
            assert seen is (
                RedisRefusal.OOM if shown_by_info else RedisRefusal.NOREPLICAS if rights == "documented" else None
            )
            admin.config_set(setting[0], "0")
            assert await probe.refusal() is None
        assert len(admin.acl_log()) == (0 if rights == "documented" else 1), "a denied command is tried only once"


def test_the_probe_uses_a_key_that_readers_may_write() -> None:
    assert KEYS.silences == AlertKeys("salepulse").silences


async def test_detects_a_failed_snapshot(server: Server) -> None:
    async with connected(server.url) as redis:
        blocked = server.folder / "dump.rdb"
        (blocked / "in the way").mkdir(parents=True)
        await redis.config_set("save", "3600 1")
        await redis.set("k", 1)
        await redis.bgsave()
        probe = WriteProbe(redis, KEYS, only_reads=False)
        async with asyncio.timeout(10):
            while await probe.refusal() is None:
                await asyncio.sleep(0.05)
        assert await refused(lambda: redis.set("k", 1)) is RedisRefusal.MISCONF
        (blocked / "in the way").rmdir()
        blocked.rmdir()
        await redis.bgsave()
        async with asyncio.timeout(10):
            while await probe.refusal() is not None:
                await asyncio.sleep(0.05)


async def test_detects_a_replica(server: Server) -> None:
    async with connected(server.url) as redis:
        await redis.config_set("replica-serve-stale-data", "no")
        await redis.replicaof("127.0.0.1", "1")
        assert await refused(lambda: redis.set("k", 1)) is RedisRefusal.READONLY
        assert await refused(lambda: redis.get("k")) is RedisRefusal.MASTERDOWN
        assert await WriteProbe(redis, KEYS, only_reads=False).refusal() is RedisRefusal.READONLY
        assert await WriteProbe(redis, KEYS, only_reads=True).refusal() is RedisRefusal.READONLY


async def test_detects_a_busy_script(server: Server) -> None:
    async with connected(server.url) as redis, connected(server.url) as other:
        await redis.config_set("busy-reply-threshold", "20")
        looping = asyncio.create_task(redis.eval("while true do end", 0))
        async with asyncio.timeout(10):
            while await WriteProbe(other, KEYS, only_reads=False).refusal() is not RedisRefusal.BUSY:
                await asyncio.sleep(0.05)
        await other.script_kill()
        with pytest.raises(RedisError):
            await looping


async def test_detects_a_loading_redis(server: Server) -> None:
    """A few keys that each load slowly: written at once, loaded for half a minute."""
    async with Redis.from_url(server.url) as redis:
        await redis.execute_command("DEBUG", "POPULATE", "20000")
        await redis.config_set("key-load-delay", "2000")
        await redis.config_set("loading-process-events-interval-bytes", "1024")
        restarting = asyncio.create_task(redis.execute_command("DEBUG", "RELOAD"))
        async with connected(server.url) as other:
            async with asyncio.timeout(20):
                while (seen := await _seen(other)) is not RedisRefusal.LOADING:
                    assert not restarting.done(), seen
                    await asyncio.sleep(0.02)
        server.kill()
        with contextlib.suppress(RedisError):
            await restarting


async def _seen(redis: Redis) -> RedisRefusal | None:
    try:
        return await WriteProbe(redis, KEYS, only_reads=False).refusal()
    except RedisError as error:
        return refusal_of(error)


async def test_detects_slots_without_a_node() -> None:
    with redis_server("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        async with connected(server.url) as redis:
            assert await refused(lambda: redis.set("k", 1)) is RedisRefusal.CLUSTERDOWN


async def test_detects_a_refusal_of_a_single_cluster_node(cluster: Cluster) -> None:
    settings = Settings(redis_url=cluster.url, redis_cluster=True, shards=6)
    keys = Keys(settings.redis_prefix, settings.shards)
    redis = connect(settings)
    try:
        probes = [WriteProbe(redis, keys, only_reads=only_reads) for only_reads in (False, True)]
        assert [await probe.refusal() for probe in probes] == [None, None]
        holder = redis.holder(keys.state(0))  # type: ignore[attr-defined]
        other = next(node for node in cluster.nodes if node.address != holder)
        for setting, code in (("maxmemory", "oom"), ("min-replicas-to-write", "noreplicas")):
            cluster.ask(other, "CONFIG", "SET", setting, "1")
            try:
                assert await probes[0].refusal() == code, "a node that holds other shards"
            finally:
                cluster.ask(other, "CONFIG", "SET", setting, "0")
            assert await probes[0].refusal() is None
        cluster.ask(other, "CONFIG", "SET", "maxmemory", "1")
        try:
            assert await WriteProbe(redis, keys, only_reads=True).refusal() == "oom"
        finally:
            cluster.ask(other, "CONFIG", "SET", "maxmemory", "0")
    finally:
        await redis.aclose()


async def test_classifies_missing_permissions_and_logins(server: Server) -> None:
    with sync_redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", *documented_rules(READER, "secret"))
    for login, code in (("reader:secret", RedisRefusal.NOPERM), ("reader:wrong", RedisRefusal.LOGIN)):
        async with connected(server.url.replace("redis://", f"redis://{login}@")) as redis:
            assert await refused(lambda redis=redis: redis.set("k", 1)) is code  # type: ignore[misc]
            assert await WriteProbe(redis, KEYS, only_reads=False).refusal() is code


COUNTING = [
    *("get", "set", "del", "unlink", "expire", "hget", "hmget", "hgetall", "hvals", "hexists", "hkeys", "hlen"),
    *("hstrlen", "hset", "hsetnx", "hdel", "hincrby", "xadd", "xrange", "xtrim", "zadd", "zrem", "zrangebyscore"),
    *("time", "evalsha"),
]
"""Permissions that counting needs."""


async def test_detects_each_missing_permission_that_counting_needs(server: Server) -> None:
    with sync_redis.Redis.from_url(server.url, decode_responses=True) as admin:
        admin.execute_command("ACL", "SETUSER", "writer", *documented_rules(WRITER, "secret"))
        admin.hset(KEYS.state(0), "epoch", "1")
        async with connected(server.url.replace("redis://", "redis://writer:secret@")) as redis:
            probe, before = WriteProbe(redis, KEYS, only_reads=False), admin.info("persistence")
            assert await probe.refusal() is None
            for command in COUNTING:
                admin.execute_command("ACL", "SETUSER", "writer", f"-{command}")
                assert await probe.refusal() is RedisRefusal.NOPERM, command
                admin.execute_command("ACL", "SETUSER", "writer", f"+{command}")
                assert await probe.refusal() is None, command
            admin.execute_command("ACL", "SETUSER", "writer", "resetkeys", "~others:*")
            assert await probe.refusal() is RedisRefusal.NOPERM, "keys"
            now = admin.info("persistence")
        changes = "rdb_changes_since_last_save"
        assert now[changes] == before[changes], "nothing was written"
        assert admin.keys("*") == [KEYS.state(0)]
        assert admin.hgetall(KEYS.state(0)) == {"epoch": "1"}


def test_tries_every_command_that_the_scripts_use() -> None:
    folder = resources.files("streams.store")
    scripts = {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".lua")}
    used = {
        name.lower()
        for file, text in scripts.items()
        if file != "try_commands.lua"
        for name in re.findall(r"redis\.p?call\('(\w+)'", text)
    }
    assert used
    assert used <= set(COUNTING)
    tried = {name.lower() for name in re.findall(r"[{(]\s*'([A-Z]+)'", scripts["try_commands.lua"])}
    assert set(COUNTING) - tried == {"evalsha"}, "which runs the script"


async def test_a_reader_with_the_only_login_reports_missing_write_permission(server: Server) -> None:
    with sync_redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "all", "on", ">secret", "~*", "+@all", "-@write")
    async with connected(server.url.replace("redis://", "redis://all:secret@")) as redis:
        assert await WriteProbe(redis, KEYS, only_reads=True, sole_login=True).refusal() is RedisRefusal.NOPERM
        assert await WriteProbe(redis, KEYS, only_reads=True).refusal() is None, "another user may write"


async def test_classifies_a_script_without_permission(server: Server) -> None:
    with sync_redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "some", "on", ">secret", "~*", "+@all", "-hset")
    async with connected(server.url.replace("redis://", "redis://some:secret@")) as redis:
        script = redis.register_script("return redis.call('HSET', KEYS[1], 'a', '1')")
        assert await refused(lambda: script(keys=["k"])) is RedisRefusal.NOPERM
        with (
            pytest.raises(SalepulseError, match=r"denies a permission that counting.*docs/security\.md") as caught,
            user_errors(redis),
        ):
            await script(keys=["k"])
        assert not caught.value.retriable


def test_every_refusal_has_a_text() -> None:
    assert set(REFUSAL_TEXTS) == set(RedisRefusal)
    for refusal, text in REFUSAL_TEXTS.items():
        assert text.problem, refusal
        assert text.fix, refusal


async def test_temporary_refusals_are_retriable(server: Server) -> None:
    async with connected(server.url) as redis:
        await redis.config_set("maxmemory", "1")
        tried = []

        async def start() -> str:
            tried.append(1)
            if len(tried) == 2:
                await redis.config_set("maxmemory", "0")
            await redis.set("k", 1)
            return "started"

        assert await wait_for_redis(redis, start) == "started"
        assert len(tried) == 2
        await redis.replicaof("127.0.0.1", "1")
        with pytest.raises(SalepulseError) as caught, user_errors(redis):
            await redis.set("k", 1)
        assert isinstance(caught.value, RedisUnavailableError)
        assert str(caught.value) == (
            f"Redis at {server.address} is a replica and refuses writes; point redis_url at the primary, or promote "
            "this one"
        )


async def test_permanent_refusals_are_raised_at_once(server: Server) -> None:
    async with connected(server.url) as redis:
        await redis.config_set("maxmemory", "1gb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(SalepulseError, match="may evict keys"):
            await asyncio.wait_for(wait_for_redis(redis, lambda: check(redis)), 5)
    async with connected(server.url.replace("redis://", "redis://stranger:wrong@")) as stranger:
        with pytest.raises(SalepulseError, match="wrong user name or password") as caught:
            await asyncio.wait_for(wait_for_redis(stranger, lambda: check(stranger)), 5)
        assert not caught.value.retriable
        assert not isinstance(
            to_user_error(RedisError("ERR unknown command"), endpoint_of(stranger)), RedisUnavailableError
        )
