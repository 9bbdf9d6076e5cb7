"""The tokens file: JSON, readable by its owner only, replaced atomically, and reloaded by servers when it changes."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from consumers.errors import SalepulseError, UsageError
from consumers.validation_messages import validation_message
from streams.tokens.token import Token, hash_secret

log = structlog.get_logger()

_CHECK_EVERY_S = 1.0


class TokensFile(BaseModel):
    """Content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: tuple[Token, ...] = ()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read the tokens of a file. Raises UsageError if it is unreadable or invalid."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"tokens_file: {path} does not exist: create it with `salepulse tokens create NAME --file {path}`"
        ) from None
    except OSError as error:
        raise UsageError(f"tokens_file: {path} cannot be read ({error.strerror})") from None
    try:
        return TokensFile.model_validate_json(text).tokens
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        raise UsageError(
            f"tokens_file: {path} is not a valid tokens file: {where}{': ' if where else ''}{validation_message(wrong)}"
        ) from None


def change_tokens(path: Path, change: Callable[[tuple[Token, ...]], Sequence[Token]]) -> None:
    """Replace the tokens with the result of `change`, under a lock. A missing file is empty.

    Raises:
        SalepulseError: the file cannot be written.
    """
    try:
        with _locked(path):
            tokens = read_tokens(path) if path.exists() else ()
            _write(path, TokensFile(tokens=tuple(change(tokens))))
    except OSError as error:
        raise SalepulseError(f"{path} cannot be written ({error.strerror}): name another --file") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: TokensFile) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
