"""TLS and users on a real Redis: access, and messages on refusal."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.errors import SalepulseError
from consumers.tls import TlsFiles
from consumers.topics import Topic
from streams.local.doctor.workers import check_currency
from streams.settings import Settings
from streams.store.connection import CURRENCY, Access, check, connect, require_same_settings, user_errors
from streams.store.errors import RedisEndpoint, to_user_error
from streams.store.keys import Keys
from tests.streams.shop import Shop
from tests.support.certificates import Authority
from tests.support.secure_redis import (
    READ_PASSWORD,
    READER,
    WRITE_PASSWORD,
    WRITER,
    SecureRedis,
    documented_users,
    secure_redis,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """A Redis with the documented users."""
    with secure_redis(tmp_path_factory.mktemp("redis"), authority, authority.issue("redis")) as server:
        yield server


@contextlib.contextmanager
def showing(authority: Authority, folder: Path, **how: Any) -> Iterator[SecureRedis]:
    """A Redis with another certificate."""
    with secure_redis(folder, authority, authority.issue("another", **how)) as server:
        yield server


def settings(server: SecureRedis, authority: Authority, **changes: Any) -> Settings:
    given = {"redis_user": WRITER, "redis_password": WRITE_PASSWORD, "redis_ca_file": str(authority.ca)}
    reading = {"redis_read_user": READER, "redis_read_password": READ_PASSWORD}
    return Settings(**{"redis_url": server.url, **given, **reading, **changes})


async def look(settings: Settings, access: Access = Access.WRITE) -> str:
    """The user name according to the server, after all checks."""
    redis = connect(settings, access)
    try:
        await check(redis)
        return str(redis.connection_pool.connection_kwargs["username"])
    finally:
        await redis.aclose()


def refusal(settings: Settings, access: Access = Access.WRITE) -> str:
    with pytest.raises(SalepulseError) as caught:
        asyncio.run(look(settings, access))
    message = str(caught.value)
    assert "\n" not in message
    assert WRITE_PASSWORD not in message
    assert READ_PASSWORD not in message
    return message


class TestLetIn:
    @pytest.mark.parametrize(("access", "user"), [(Access.WRITE, WRITER), (Access.READ, READER)])
    def test_uses_the_user_of_each_purpose(
        self, server: SecureRedis, authority: Authority, access: Access, user: str
    ) -> None:
        assert asyncio.run(look(settings(server, authority), access)) == user

    def test_uses_the_only_user_for_everything(self, server: SecureRedis, authority: Authority) -> None:
        alone = settings(server, authority, redis_read_user="", redis_read_password="")
        assert asyncio.run(look(alone, Access.READ)) == WRITER

    def test_reads_the_password_from_a_file(self, server: SecureRedis, authority: Authority, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text(f"{WRITE_PASSWORD}\n")
        assert asyncio.run(look(settings(server, authority, redis_password="", redis_password_file=str(file))))


class TestRefused:
    """One line each: the problem, where, and the fix."""

    def test_reports_a_wrong_password(self, server: SecureRedis, authority: Authority) -> None:
        assert refusal(settings(server, authority, redis_password="something else")) == (
            f"Redis at localhost:{server.tls_port} rejects user 'salepulse-write': wrong user name or password; "
            "see redis_user and redis_password or redis_password_file"
        )

    def test_reports_a_missing_password(self, server: SecureRedis, authority: Authority) -> None:
        message = refusal(settings(server, authority, redis_user="", redis_password=""))
        assert message.startswith(f"Redis at localhost:{server.tls_port} requires a password; see redis_user")

    def test_reports_an_expired_certificate(self, authority: Authority, tmp_path: Path) -> None:
        with showing(authority, tmp_path, days=-1) as server:
            assert refusal(settings(server, authority)) == (
                f"Redis at localhost:{server.tls_port}: its certificate has expired; renew it on the server"
            )

    def test_reports_a_certificate_for_another_host(self, authority: Authority, tmp_path: Path) -> None:
        with showing(authority, tmp_path, names=["redis.example.com"]) as server:
            assert refusal(settings(server, authority)) == (
                f"Redis at localhost:{server.tls_port}: its certificate is for another host name; connect by a name in "
                "it, or reissue it for this one"
            )

    def test_reports_a_certificate_of_an_unknown_authority(self, server: SecureRedis, authority: Authority) -> None:
        assert refusal(settings(server, authority, redis_ca_file="")) == (
            f"Redis at localhost:{server.tls_port}: its certificate is signed by an unknown authority; set "
            "redis_ca_file to the authority's certificate"
        )

    def test_hints_at_redis_scheme_if_the_server_has_no_tls(self) -> None:
        """Such a Redis does not answer until the client times out."""
        message = str(
            to_user_error(
                RedisTimeoutError("Timeout connecting to server"), RedisEndpoint("cache:6379", "", TlsFiles())
            )
        )
        assert message == (
            "no Redis answers at cache:6379 (Timeout connecting to server); start one, or name another with "
            "--redis-url, or use redis:// if it does not use TLS"
        )

    def test_hints_at_rediss_scheme_if_the_server_expects_tls(self, server: SecureRedis, authority: Authority) -> None:
        url = f"redis://localhost:{server.tls_port}/0"
        message = refusal(settings(server, authority, redis_url=url, redis_ca_file=""))
        assert message.startswith(f"no Redis answers at localhost:{server.tls_port} (")
        assert message.endswith("or use rediss:// if it expects TLS")

    def test_denies_writes_to_the_reader(self, server: SecureRedis, authority: Authority) -> None:
        async def write() -> None:
            redis = connect(settings(server, authority), Access.READ)
            try:
                with user_errors(redis):
                    await redis.hset(Keys("salepulse", 1).state(0), "pos:clicks/0", "0")  # type: ignore[misc]
            finally:
                await redis.aclose()

        with pytest.raises(
            SalepulseError, match=r"does not allow user 'salepulse-read' this: .*listed in docs/security\.md"
        ):
            asyncio.run(write())


class TestDocumentedUsers:
    def test_denies_other_users(self) -> None:
        assert documented_users()[0] == "user default off"

    def test_documented_users_have_exactly_the_permissions_that_the_code_needs(self) -> None:
        """Derived from the code rather than from a run, to cover rare commands."""
        granted = {word[1:] for line in documented_users() for word in re.findall(r"\+[a-z|]+", line)}
        scripts, modules = _sources("*.lua"), _sources("*.py")
        called = {name.lower() for text in scripts for name in re.findall(r"redis\.call\('(\w+)'", text)}
        called |= {name for text in modules for name in re.findall(r"\b(?:_?redis|pipe)\.([a-z]+)\(", text)}
        by_the_client = {"ping", "evalsha", "script|load", "multi", "exec"}
        assert granted == (called - {"aclose", "pipeline", "execute", "call", "holder", "servers"}) | by_the_client

    def test_documented_users_cannot_run_dangerous_commands(self, server: SecureRedis) -> None:
        with server.admin() as admin:
            for user in (WRITER, READER):
                for command in (
                    ("FLUSHALL",),
                    ("KEYS", "*"),
                    ("CONFIG", "GET", "*"),
                    ("GET", "another:key"),
                    ("SAVE",),
                ):
                    answer = admin.execute_command("ACL", "DRYRUN", user, *command)
                    assert "permission" in str(answer), (user, command)

    @pytest.mark.parametrize("command", ["HSET", "HDEL"])
    def test_the_reader_may_write_only_silences_and_acknowledgements(self, server: SecureRedis, command: str) -> None:
        with server.admin() as admin:
            for name, allowed in (("acks", True), ("silences", True), ("states", False), ("lead", False)):
                words = [command, f"salepulse:{{0}}:alerts:{name}", "field", *(["text"] if command == "HSET" else [])]
                assert (admin.execute_command("ACL", "DRYRUN", READER, *words) == "OK") is allowed, name


def _sources(pattern: str) -> list[str]:
    repository = Path(__file__).parents[3]
    return [path.read_text() for package in ("streams", "alerts") for path in (repository / package).rglob(pattern)]


pytestmark = pytest.mark.anyio

ALIKE = dict.fromkeys(Topic, 4)


async def test_accepts_the_stored_settings_and_rejects_others(shop: Shop) -> None:
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    other = shop.settings.model_copy(update={"overdue_after_h": 24})
    with pytest.raises(SalepulseError, match=r"overdue_after_h=0\.1 .* not with overdue_after_h=24"):
        await require_same_settings(shop.redis, other, ALIKE)


async def test_rejects_another_currency(shop: Shop) -> None:
    await shop.redis.hset(shop.keys.state(0), "orders", "overdue_after_h=0.1 unshipped_horizon_d=180")  # as before
    await require_same_settings(shop.redis, shop.settings, ALIKE)
    await require_same_settings(shop.redis, shop.settings.model_copy(update={"currency_exponent": 0}), ALIKE)
    yen = shop.settings.model_copy(update={"currency": "JPY"})
    with pytest.raises(SalepulseError, match="populated with currency=CNY, not with currency=JPY"):
        await require_same_settings(shop.redis, yen, ALIKE)
    noted = await shop.redis.hget(shop.keys.state(0), CURRENCY)
    (found,) = check_currency(noted, yen)
    assert (found.status, "counts are in CNY" in found.message) == ("error", True)
    assert list(check_currency(noted, shop.settings)) == []
    assert list(check_currency(None, yen)) == [], "nothing was counted"


async def test_reports_a_redis_that_refuses_writes_in_one_line(shop: Shop) -> None:
    await shop.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(SalepulseError, match=r"Redis at .* is out of memory and refuses writes; raise maxmemory"):
            await require_same_settings(shop.redis, shop.settings, ALIKE)
    finally:
        await shop.redis.config_set("maxmemory", "0")


async def test_with_several_shards_orders_and_logistics_need_equal_partition_counts(shop: Shop) -> None:
    unlike = {**ALIKE, Topic.LOGISTICS: 2}
    await require_same_settings(shop.redis, shop.settings, unlike)
    with pytest.raises(SalepulseError, match="orders has 4 partitions and logistics 2"):
        await require_same_settings(shop.redis, shop.settings.model_copy(update={"shards": 2}), unlike)
