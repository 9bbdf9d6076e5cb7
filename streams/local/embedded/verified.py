"""Verify the programs of wheels against the SHA-256 that pip recorded at installation."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from streams.local.embedded.errors import UnverifiedError

_CHUNK = 2**20


def verify_packaged_file(distribution: str, packaged: str, path: Path) -> str:
    """The path, after checking its SHA-256 against the one recorded for the file `packaged`.

    Raises:
        UnverifiedError: the hash differs or is not recorded. Do not run the program.
    """
    recorded = recorded_sha256(distribution, packaged)
    if recorded is None:
        raise UnverifiedError(path, f"{distribution} does not list its SHA-256", distribution)
    try:
        actual = _sha256(path)
    except OSError as error:
        raise UnverifiedError(path, f"it cannot be read ({error.strerror})", distribution) from None
    if actual != recorded:
        raise UnverifiedError(
            path, f"its SHA-256 is {actual.hex()}, but {distribution} lists {recorded.hex()}", distribution
        )
    return str(path)


def recorded_sha256(distribution: str, packaged: str) -> bytes | None:
    """SHA-256 of a file in the RECORD of an installed distribution; None if not listed."""
    try:
        listed = files(distribution) or ()
    except PackageNotFoundError:
        return None
    for file in listed:
        if file.as_posix() == packaged and file.hash is not None and file.hash.mode == "sha256":
            return base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4))
    return None


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
