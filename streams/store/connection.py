"""Connects to Redis, waits for it, checks it and the settings it was populated with, and loads scripts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from enum import StrEnum
from importlib.resources import files
from time import monotonic
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from consumers.secret_files import read_secret
from consumers.tls import TlsFiles, client_ssl_context
from consumers.topics import CONTRACT_FEEDS, Feeds, InputTopic, Topic, topics_feeding
from streams.log_pace import LogPace
from streams.settings import Settings
from streams.store.client import StorePool, StoreRedis
from streams.store.cluster import Cluster
from streams.store.errors import UNREACHABLE, RedisEndpoint, RedisUnavailableError, to_user_error
from streams.store.keys import Keys

__all__ = ["UNREACHABLE", "Access", "address", "check", "connect", "endpoint_of", "script", "servers"]
T = TypeVar("T")
log = structlog.get_logger()

MIN_VERSION = (7, 0)
SAFE_POLICY = "noeviction"
CURRENCY = "currency"
"""State field with the counted currency; absent in stores of earlier versions."""
_CALL = re.compile(r"redis\.p?call\('(\w+)'")
_RETRY_EVERY_S = 1.0


class Access(StrEnum):
    """Which user of the settings a connection logs in as."""

    WRITE = "write"
    """`redis_user`, for workers, alerts and commands that change panes, positions or alerts."""
    READ = "read"
    """`redis_read_user`, else `redis_user`, for servers and commands that query: it writes only silences and
    acknowledgements."""


def connect(settings: Settings, access: Access = Access.WRITE) -> Redis:
    """A client that does not retry: only the caller knows whether a command may be repeated.

    The cluster client has the same interface. Raises UsageError if a password or certificate file is unusable.
    """
    client: Any = Cluster.at if settings.redis_cluster else _one_redis
    redis: Redis = client(
        settings.redis_url.get_secret_value(),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=5,
        socket_connect_timeout=5,
        health_check_interval=15,
        driver_info=None,  # sending it would need one more permission
        **_tls(settings),
        **_login(settings, access),
    )
    return redis


def _one_redis(url: str, **options: Any) -> Redis:
    return StoreRedis.from_pool(StorePool.from_url(url, **options))


def _tls(settings: Settings) -> dict[str, Any]:
    """TLS settings; certificate and host name are verified unless the URL says otherwise."""
    if not settings.redis_tls:
        return {}
    files = TlsFiles(settings.redis_ca_file, settings.redis_cert_file, settings.redis_key_file)
    client_ssl_context(files, "redis")  # checks the files now, with better errors than the client's
    return {
        "ssl_check_hostname": True,
        "ssl_ca_certs": files.ca or None,
        "ssl_certfile": files.cert or None,
        "ssl_keyfile": files.key or files.cert or None,
    }


def _login(settings: Settings, access: Access) -> dict[str, Any]:
    if access is Access.READ and settings.redis_read_user:
        given, file = settings.redis_read_password, settings.redis_read_password_file
        return {"username": settings.redis_read_user, "password": read_secret("redis_read_password", given, file)}
    if settings.redis_user or settings.redis_password.get_secret_value() or settings.redis_password_file:
        password = read_secret("redis_password", settings.redis_password, settings.redis_password_file)
        return {"username": settings.redis_user or None, "password": password}
    return {}


def script(redis: Redis, name: str, package: str = "streams.store") -> AsyncScript:
    """The Lua script `<name>.lua` of a package; reloaded if Redis does not know it."""
    return redis.register_script(guarded(files(package).joinpath(f"{name}.lua").read_text()))


@asynccontextmanager
async def servers(redis: Redis) -> AsyncIterator[Sequence[Redis]]:
    """A client of each server that holds keys: the single Redis, or each primary of a cluster."""
    async with AsyncExitStack() as stack:
        if isinstance(redis, Cluster):
            nodes = await redis.servers()
            for node in nodes:
                stack.push_async_callback(node.aclose)
            yield nodes
        else:
            yield [redis]


async def check(redis: Redis) -> None:
    """Reject a Redis, or a cluster node, that could lose or evict panes.

    Raises SalepulseError with the problem and its fix; `retriable` if Redis is unavailable.
    """
    server = redis
    try:
        async with servers(redis) as each:
            for server in each:
                await _check(server)
    except (RedisError, *UNREACHABLE) as error:
        raise to_user_error(error, endpoint_of(server)) from error


async def _check(redis: Redis) -> None:
    server = await redis.info("server")
    memory = await redis.info("memory")
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
    """host:port without secrets; in a cluster, of the configured node."""
    if isinstance(redis, Cluster):
        return "{}:{}".format(*redis.named)
    args = redis.connection_pool.connection_kwargs
    return str(args.get("path") or f"{args.get('host', 'localhost')}:{args.get('port', 6379)}")


def endpoint_of(redis: Redis) -> RedisEndpoint:
    """Address and user of a client, for messages."""
    if isinstance(redis, Cluster):
        args = redis.get_connection_kwargs()
        kind = args["connection_class"]
    else:
        args, kind = redis.connection_pool.connection_kwargs, redis.connection_pool.connection_class
    tls = None
    if issubclass(kind, SSLConnection):
        tls = TlsFiles(*(str(args.get(name) or "") for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")))
    return RedisEndpoint(address(redis), str(args.get("username") or ""), tls)


@contextmanager
def user_errors(redis: Redis) -> Iterator[None]:
    """Convert the client's exceptions inside the block to SalepulseErrors."""
    try:
        yield
    except (RedisError, *UNREACHABLE) as error:
        raise to_user_error(error, endpoint_of(redis)) from error


@asynccontextmanager
async def open_store(settings: Settings, access: Access = Access.WRITE) -> AsyncIterator[tuple[Redis, Keys]]:
    """A client that is closed at the end, and the keys, with `user_errors`."""
    redis = connect(settings, access)
    try:
        with user_errors(redis):
            yield redis, Keys(settings.redis_prefix, settings.shards)
    finally:
        await redis.aclose()


def guarded(text: str) -> str:
    r"""Prefix a script with a check that its user may run each of its commands on its first key.

    Redis itself checks each command only when it runs, and does not roll back.

    >>> print(guarded("redis.call('SET', KEYS[1], 'a')"))
    for _, name in ipairs({'SET'}) do if not redis.acl_check_cmd(name, KEYS[1]) then \
    return redis.error_reply('NOPERM this user has no permissions to run ' .. name) end end
    redis.call('SET', KEYS[1], 'a')
    """
    names = ", ".join(f"'{name}'" for name in sorted(set(_CALL.findall(text))))
    return (
        f"for _, name in ipairs({{{names}}}) do if not redis.acl_check_cmd(name, KEYS[1]) then "
        f"return redis.error_reply('NOPERM this user has no permissions to run ' .. name) end end\n{text}"
    )


async def wait_for_redis(redis: Redis | None, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, retrying and logging while Redis is unavailable or refuses writes.

    `redis`: the client whose errors `work` raises unconverted; None if it raises SalepulseErrors. Raises errors that
    waiting cannot fix: an unsafe Redis, a rejected login, a missing permission.
    """
    waited, pace = False, LogPace()
    while True:
        try:
            with user_errors(redis) if redis is not None else nullcontext():
                result = await work()
        except RedisUnavailableError as error:
            waited = True
            if pace.is_due(str(error), monotonic()):
                log.warning("Redis is not available yet; waiting for it", why=str(error))
            await asyncio.sleep(_RETRY_EVERY_S)
        else:
            if waited:
                log.info("Redis is available")
            return result


async def require_same_settings(
    redis: Redis, settings: Settings, partitions: Mapping[InputTopic, int], feeds: Feeds = CONTRACT_FEEDS
) -> None:
    """Reject settings that differ from the store's, or partition counts under which orders cannot be joined.

    `partitions`: number per topic; `feeds`: of the topics that workers read. Raises SalepulseError.
    """
    joined = [topic for topic in feeds if topic in topics_feeding(feeds, (Topic.ORDERS, Topic.LOGISTICS))]
    other = next((topic for topic in joined if partitions[topic] != partitions[joined[0]]), None)
    if settings.shards > 1 and other is not None:
        raise SalepulseError(
            f"topic {joined[0]} has {partitions[joined[0]]} partitions and {other} {partitions[other]}: with shards = "
            f"{settings.shards} the numbers must match, so that all records of an order are in one shard; recreate one "
            "of the topics, or set shards = 1"
        )
    state = Keys(settings.redis_prefix, settings.shards).state(0)
    counted_with = {
        "orders": f"overdue_after_h={settings.overdue_after_h:g} unshipped_horizon_d={settings.unshipped_horizon_d}",
        CURRENCY: f"currency={settings.currency}",
    }
    for name, ours in counted_with.items():
        with user_errors(redis):
            await redis.hsetnx(state, name, ours)
            stored: bytes | None = await redis.hget(state, name)  # type: ignore[assignment]
        theirs = ours if stored is None else stored.decode()
        if theirs != ours:
            raise SalepulseError(
                f"this Redis was populated with {theirs}, not with {ours}, and counts cannot be converted; use "
                "those settings, or another redis_prefix and count again"
            )
