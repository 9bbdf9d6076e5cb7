"""The connection to Redis, its checks, and the scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from consumers.errors import SalepulseError
from consumers.secret_files import secret_of
from consumers.tls import TlsFiles, client_context
from streams.settings import Settings
from streams.store.client import StorePool, StoreRedis
from streams.store.cluster import Cluster
from streams.store.refusals import UNREACHABLE, Visit, told
from streams.store.script_rights import guarded

__all__ = ["UNREACHABLE", "Access", "address", "check", "connect", "script", "servers", "visit"]

MIN_VERSION = (7, 0)
SAFE_POLICY = "noeviction"


class Access(StrEnum):
    """What a connection is for: each has a user of its own, where the settings name one."""

    WRITE = "write"
    """Counting and alerting."""
    READ = "read"
    """Answering, and what people say of alerts."""


def connect(settings: Settings, access: Access = Access.WRITE) -> Redis:
    """A client that does not retry by itself: who calls knows whether a command may be sent twice.

    That of a cluster does all that is used here of the client of one Redis.

    Raises:
        UsageError: a file of a password or of certificates that cannot be used.
    """
    client: Any = Cluster.at if settings.redis_cluster else _one_redis
    redis: Redis = client(
        settings.redis_url.get_secret_value(),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=5,
        socket_connect_timeout=5,
        health_check_interval=15,
        driver_info=None,  # telling it is one command more that users would have to be allowed
        **_tls(settings),
        **_login(settings, access),
    )
    return redis


def _one_redis(url: str, **options: Any) -> Redis:
    return StoreRedis.from_pool(StorePool.from_url(url, **options))


def _tls(settings: Settings) -> dict[str, Any]:
    """The server's certificate and its name are checked, unless the URL itself says otherwise."""
    if not settings.redis_tls:
        return {}
    files = TlsFiles(settings.redis_ca_file, settings.redis_cert_file, settings.redis_key_file)
    client_context(files, "redis")  # the client would tell less of what is wrong with a file, and later
    return {
        "ssl_check_hostname": True,
        "ssl_ca_certs": files.ca or None,
        "ssl_certfile": files.cert or None,
        "ssl_keyfile": files.key or files.cert or None,
    }


def _login(settings: Settings, access: Access) -> dict[str, Any]:
    if access is Access.READ and settings.redis_read_user:
        given, file = settings.redis_read_password, settings.redis_read_password_file
        return {"username": settings.redis_read_user, "password": secret_of("redis_read_password", given, file)}
    if settings.redis_user or settings.redis_password.get_secret_value() or settings.redis_password_file:
        password = secret_of("redis_password", settings.redis_password, settings.redis_password_file)
        return {"username": settings.redis_user or None, "password": password}
    return {}


def script(redis: Redis, name: str, package: str = "streams.store") -> AsyncScript:
    """One of the scripts of a package. A Redis that has forgotten it is taught again by itself."""
    return redis.register_script(guarded(files(package).joinpath(f"{name}.lua").read_text()))


@asynccontextmanager
async def servers(redis: Redis) -> AsyncIterator[Sequence[Redis]]:
    """A client of each server that holds keys: the one Redis, or each such node of a cluster."""
    async with AsyncExitStack() as ending:
        if isinstance(redis, Cluster):
            nodes = await redis.servers()
            for node in nodes:
                ending.push_async_callback(node.aclose)
            yield nodes
        else:
            yield [redis]


async def check(redis: Redis) -> None:
    """Refuse a Redis that could lose or evict panes, in a cluster any such node.

    Raises:
        SalepulseError: what is wrong with it and what to do; `retriable` if it just is not there.
    """
    server = redis
    try:
        async with servers(redis) as each:
            for server in each:
                await _check(server)
    except (RedisError, *UNREACHABLE) as error:
        raise told(error, visit(server)) from error


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
    """host:port, without secrets; of a cluster, that of the node that was given."""
    if isinstance(redis, Cluster):
        return "{}:{}".format(*redis.named)
    args = redis.connection_pool.connection_kwargs
    return str(args.get("path") or f"{args.get('host', 'localhost')}:{args.get('port', 6379)}")


def visit(redis: Redis) -> Visit:
    """Where the client goes, and as whom, for messages."""
    if isinstance(redis, Cluster):
        args = redis.get_connection_kwargs()
        kind = args["connection_class"]
    else:
        args, kind = redis.connection_pool.connection_kwargs, redis.connection_pool.connection_class
    tls = None
    if issubclass(kind, SSLConnection):
        tls = TlsFiles(*(str(args.get(name) or "") for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")))
    return Visit(address(redis), str(args.get("username") or ""), tls)
