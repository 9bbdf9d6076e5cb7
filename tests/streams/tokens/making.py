"""Tokens for tests."""

from __future__ import annotations

from pathlib import Path

from streams.clock import now_ms
from streams.tokens.file import change_tokens
from streams.tokens.token import Token, TokenScope, hash_secret


def token(name: str, scope: TokenScope = TokenScope.READ, *, secret: str = "", expires_ms: int | None = None) -> Token:
    """A token whose secret is by default `sp_` and its name."""
    return Token(
        name=name, scope=scope, sha256=hash_secret(secret or f"sp_{name}"), created_ms=now_ms(), expires_ms=expires_ms
    )


def write(path: Path, *tokens: Token) -> Path:
    """Write a tokens file with these tokens."""
    change_tokens(path, lambda _: tokens)
    return path
