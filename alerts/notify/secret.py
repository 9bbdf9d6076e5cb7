"""Secrets of receivers, which may be read from the environment or from files, and are never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from consumers.secret_files import read_secrets_file, variable_of

FROM_FILE = "file:"


def _resolved(given: object) -> object:
    """Resolve `env:NAME` or `file:/path`; other text is returned unchanged."""
    if not isinstance(given, str):
        return given
    if (name := variable_of(given)) is not None:
        if not (value := read_secrets_file().get(given) or os.environ.get(name)):
            raise ValueError(f"the environment variable {name} is not set")
        return value
    if given.startswith(FROM_FILE):
        path = Path(given.removeprefix(FROM_FILE))
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return given


def _url(secret: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(secret.get_secret_value())
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL: write https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("this is no URL: write https://host/path")
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
"""A secret, `env:NAME` or `file:/path`."""

SecretUrl = Annotated[SecretStr, BeforeValidator(_resolved), AfterValidator(_url)]
"""A URL whose path or query is secret."""


def host_of(url: SecretStr) -> str:
    """The host of a URL, which is the only part that may be shown."""
    return urlsplit(url.get_secret_value()).hostname or ""
