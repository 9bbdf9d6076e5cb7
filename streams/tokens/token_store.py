"""The tokens of a running server, reloaded when the file changes."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from consumers.errors import SalepulseError
from streams.tokens.file import read_tokens
from streams.tokens.token import Token, hash_secret

log = structlog.get_logger()

_CHECK_EVERY_S = 1.0


class TokenStore:
    """Finds the token of a secret. If the file becomes unreadable, the loaded tokens stay valid."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises UsageError."""
        self._path = path
        self._stamp = self._file_stamp()
        self._checked_s = time.monotonic()
        self._by_digest = self._read()

    def find(self, secret: str) -> Token | None:
        """The token of a secret, expired or not; None: unknown."""
        self._reload_if_changed()
        return self._by_digest.get(hash_secret(secret))

    def _reload_if_changed(self) -> None:
        now_s = time.monotonic()
        if now_s - self._checked_s < _CHECK_EVERY_S:
            return
        self._checked_s = now_s
        stamp = self._file_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._by_digest = self._read()
        except SalepulseError as error:
            log.error("reloading tokens failed; keeping the loaded ones", error=str(error))
        else:
            log.info("tokens reloaded", tokens=len(self._by_digest))

    def _read(self) -> dict[str, Token]:
        return {token.sha256: token for token in read_tokens(self._path)}

    def _file_stamp(self) -> tuple[int, int, int] | None:
        """(mtime, size, inode) of the file; None: it does not exist."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
