"""A token: a secret that lets a program or a person in. Pure: secrets are made elsewhere, time is passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

SECRET_PREFIX = "sp_"
"""Of every secret, so that scanners of repositories and people know one when they see it."""


class TokenScope(StrEnum):
    """What a token lets one do; each includes those before it."""

    READ = "read"
    """Ask anything."""
    ACK = "ack"
    """Acknowledge alerts."""
    ADMIN = "admin"
    """Whatever else changes something: silences."""

    def includes(self, other: TokenScope) -> bool:
        """Whether who has this right has the other."""
        order = list(TokenScope)
        return order.index(self) >= order.index(other)


class Token(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[\w.@-]{1,64}$")
    """Whose it is."""
    scope: TokenScope
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the secret, in hex. Secrets are 256 random bits, so a slow hash would protect nothing more."""
    created_ms: int
    """Epoch ms."""
    expires_ms: int | None = None
    """Epoch ms from which on it lets nobody in; None: it does not expire."""

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


def hash_secret(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def required_scope(method: str, path: str) -> TokenScope | None:
    """What a request takes; None: nothing. What is not known to change less is taken to change everything.

    >>> needed("GET", "/api/v1/kpis"), needed("POST", "/api/v1/silences")
    (<Right.READ: 'read'>, <Right.ADMIN: 'admin'>)
    """
    if method in ("GET", "HEAD"):
        return None if path in OPEN_PATHS else TokenScope.READ
    parts = path.split("/")
    if method == "POST" and parts[:4] == ["", "api", "v1", "alerts"] and len(parts) == 6 and parts[5] == "ack":
        return TokenScope.ACK
    return TokenScope.ADMIN


OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For probes, which carry no secrets: they tell nothing of the shop's numbers."""


def unexpired(tokens: Iterable[Token], now_ms: int) -> list[Token]:
    """Those whose time is not over."""
    return [token for token in tokens if not token.expired(now_ms)]
