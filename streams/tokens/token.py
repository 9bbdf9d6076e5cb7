"""A token: a secret that lets a program or a person in. Pure: secrets are made elsewhere, time is passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "sp_"
"""Of every secret, so that scanners of repositories and people know one when they see it."""


class Right(StrEnum):
    """What a token lets one do; each includes those before it."""

    READ = "read"
    """Ask anything."""
    ACK = "ack"
    """Acknowledge alerts."""
    ADMIN = "admin"
    """Whatever else changes something: silences."""

    def includes(self, other: Right) -> bool:
        """Whether who has this right has the other."""
        order = list(Right)
        return order.index(self) >= order.index(other)


class Token(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[\w.@-]{1,64}$")
    """Whose it is."""
    scope: Right
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the secret, in hex. Secrets are 256 random bits, so a slow hash would protect nothing more."""
    created_ms: int
    """Epoch ms."""
    expires_ms: int | None = None
    """Epoch ms from which on it lets nobody in; None: it does not expire."""

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def needed(method: str, path: str) -> Right | None:
    """What a request takes; None: nothing. What is not known to change less is taken to change everything.

    >>> needed("GET", "/api/v1/kpis"), needed("POST", "/api/v1/silences")
    (<Right.READ: 'read'>, <Right.ADMIN: 'admin'>)
    """
    if method in ("GET", "HEAD"):
        return None if path in OPEN else Right.READ
    parts = path.split("/")
    if method == "POST" and parts[:4] == ["", "api", "v1", "alerts"] and len(parts) == 6 and parts[5] == "ack":
        return Right.ACK
    return Right.ADMIN


OPEN = frozenset({"/healthz", "/readyz"})
"""For probes, which carry no secrets: they tell nothing of the shop's numbers."""


def usable(tokens: Iterable[Token], now_ms: int) -> list[Token]:
    """Those whose time is not over."""
    return [token for token in tokens if not token.expired(now_ms)]
