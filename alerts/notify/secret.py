"""Secrets of receivers: never shown, and never in the file if one does not want them there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from consumers.secret_files import read_secrets_file, variable_of

FROM_FILE = "file:"


def _resolved(given: object) -> object:
    """What `env:NAME` or `file:/path` stands for; anything else stands for itself."""
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
        raise ValueError("this is no address: write https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("this is no address: write https://host/path")
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
"""A secret itself, or `env:NAME` or `file:/path` of where it is."""

SecretUrl = Annotated[SecretStr, BeforeValidator(_resolved), AfterValidator(_url)]
"""An address that is a secret in part: its path or a parameter is what lets one in."""


def host_of(url: SecretStr) -> str:
    """What of an address may be told."""
    return urlsplit(url.get_secret_value()).hostname or ""
