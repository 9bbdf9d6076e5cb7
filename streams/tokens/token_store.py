"""The tokens that a running server lets in: those of the file, which is read again when it has changed."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from consumers.errors import SalepulseError
from streams.tokens.file import read_tokens
from streams.tokens.token import Token, hash_secret

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0


class TokenStore:
    """Knows who a secret belongs to. A file that cannot be read any more changes nothing, and is complained about."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises UsageError."""
        self._path = path
        self._stamp = self._stamped()
        self._looked_s = time.monotonic()
        self._by_digest = self._read()

    def find(self, secret: str) -> Token | None:
        """Whose secret it is, expired or not; None: nobody's."""
        self._look()
        return self._by_digest.get(hash_secret(secret))

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._by_digest = self._read()
        except SalepulseError as error:
            log.error("the tokens stay those that were read before", error=str(error))
        else:
            log.info("the tokens were read again", tokens=len(self._by_digest))

    def _read(self) -> dict[str, Token]:
        return {token.sha256: token for token in read_tokens(self._path)}

    def _stamped(self) -> tuple[int, int, int] | None:
        """What differs when the file was written; None: it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
