"""API tokens. Pure: secrets and times are passed in."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

SECRET_PREFIX = "sp_"
"""Prefix of every secret, for secret scanners."""


class TokenScope(StrEnum):
    """Permissions of a token; each scope includes those before it."""

    READ = "read"
    """Read everything."""
    ACK = "ack"
    """Acknowledge alerts."""
    ADMIN = "admin"
    """Every other change, such as silences."""

    def includes(self, other: TokenScope) -> bool:
        """Whether this scope includes another."""
        order = list(TokenScope)
        return order.index(self) >= order.index(other)


class Token(BaseModel):
    """A stored token."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[\w.@-]{1,64}$")
    """Unique name."""
    scope: TokenScope
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the secret, in hex. Secrets are 256 random bits, which need no slow hash."""
    created_ms: int
    """Epoch ms."""
    expires_ms: int | None = None
    """Expiry, epoch ms; None: never."""

    def expired(self, now_ms: int) -> bool:
        """Whether the token has expired."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


def hash_secret(secret: str) -> str:
    """SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_of_header(header: str) -> str | None:
    """The secret in an `Authorization` header: of Bearer, or the password of Basic; None for other schemes.

    >>> secret_of_header("Bearer sp_1"), secret_of_header("Basic dTpzcF8y"), secret_of_header("Digest x")
    ('sp_1', 'sp_2', None)
    """
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer":
        return text.strip()
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def required_scope(method: str, path: str) -> TokenScope | None:
    """The scope that a request requires; None: no token. Unknown requests require ADMIN.

    >>> required_scope("GET", "/api/v1/kpis"), required_scope("POST", "/api/v1/silences")
    (<TokenScope.READ: 'read'>, <TokenScope.ADMIN: 'admin'>)
    """
    if method in ("GET", "HEAD"):
        return None if path in OPEN_PATHS else TokenScope.READ
    parts = path.split("/")
    if method == "POST" and parts[:4] == ["", "api", "v1", "alerts"] and len(parts) == 6 and parts[5] == "ack":
        return TokenScope.ACK
    return TokenScope.ADMIN


OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths of probes, which need no token."""


def unexpired(tokens: Iterable[Token], now_ms: int) -> list[Token]:
    """Tokens that have not expired."""
    return [token for token in tokens if not token.expired(now_ms)]
