"""A Redis with TLS and only the users of docs/security.md."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from streams.local.embedded.ports import free_port
from tests.support.certificates import Authority, CertificatePair
from tests.support.servers import Server, redis_server

WRITER, READER = "salepulse-write", "salepulse-read"
WRITE_PASSWORD, READ_PASSWORD = "write/this+down&now", "only:looking@you"
_ADMIN, _ADMIN_PASSWORD = "keeper", "of-the-test"
_DOCS = Path(__file__).parents[2] / "docs" / "security.md"


@dataclass(frozen=True)
class SecureRedis:
    """The server and its addresses."""

    server: Server
    tls_port: int

    @property
    def url(self) -> str:
        """With TLS, without a user."""
        return f"rediss://localhost:{self.tls_port}/0"

    def admin(self) -> redis.Redis:
        """A client with all permissions, for the test itself."""
        return redis.Redis(port=self.server.port, username=_ADMIN, password=_ADMIN_PASSWORD, decode_responses=True)

    def denied(self) -> list[str]:
        """Denied commands: `user: reason object`."""
        with self.admin() as client:
            entries = client.execute_command("ACL", "LOG")
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in map(_fields, entries)]


def documented_users() -> list[str]:
    """The `user` lines of docs/security.md."""
    return re.findall(r"^user .*$", _DOCS.read_text(), re.MULTILINE)


def documented_rules(user: str, password: str) -> list[str]:
    """The permissions of a user in docs/security.md, as words of ACL SETUSER."""
    line = next(line for line in documented_users() if line.split()[1] == user)
    return [re.sub(r"^>.*", f">{password}", word) for word in re.findall(r"\(.*?\)|\S+", line)[2:]]


def documented_on_a_cluster() -> list[str]:
    """The additional permissions of both users in docs/security.md on the nodes of a cluster."""
    text = re.search(r"Redis\s+Cluster.*? add\s+`([^`]*)`", _DOCS.read_text(), re.DOTALL)
    assert text
    return text[1].split()


@contextlib.contextmanager
def secure_redis(
    folder: Path, authority: Authority, pair: CertificatePair, options: Sequence[str] = ()
) -> Iterator[SecureRedis]:
    """A server with this certificate on a TLS port, and a plain port for its own probe."""
    lines = [
        line.replace(">WRITE-PASSWORD", f">{WRITE_PASSWORD}").replace(">READ-PASSWORD", f">{READ_PASSWORD}")
        for line in documented_users()
    ]
    users = folder / "users.acl"
    users.write_text("\n".join([*lines, f"user {_ADMIN} on >{_ADMIN_PASSWORD} ~* &* +@all", ""]))
    tls_port = free_port()
    tls = [
        *("--tls-port", str(tls_port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key), "--tls-ca-cert-file", str(authority.ca)),
        *("--aclfile", str(users)),
    ]
    with redis_server(*tls, *options) as server:
        yield SecureRedis(server, tls_port)


def _fields(entry: object) -> dict[str, str]:
    if isinstance(entry, dict):
        return {str(name): str(value) for name, value in entry.items()}
    assert isinstance(entry, list)
    return {str(name): str(value) for name, value in zip(entry[::2], entry[1::2], strict=True)}
