"""Secrets that are kept in files of their own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from consumers.errors import UsageError
from consumers.masking import register_secret

SECRETS_VARIABLE = "SALEPULSE_SECRETS_FILE"
"""Environment variable that names a JSON file of secrets; `salepulse up` sets it for the processes that it starts."""
_REFERENCE = re.compile(r"\benv:([A-Za-z_][A-Za-z0-9_]*)")


def variable_of(reference: str) -> str | None:
    """The environment variable that a secret, given as `env:NAME`, is in; None: it is given otherwise.

    >>> variable_of("env:ROBOT"), variable_of("t0ps3cret")
    ('ROBOT', None)

    Raises:
        ValueError: it begins so, and names no variable.
    """
    if not reference.startswith("env:"):
        return None
    if (found := _REFERENCE.fullmatch(reference)) is None:
        raise ValueError("`env:` is followed by no name of a variable: write env:NAME, with letters, digits and _")
    return found[1]


def variables_in(text: str) -> set[str]:
    """All environment variables that a file refers to as `env:NAME`, whether the rest of it is right or not.

    >>> sorted(variables_in('{secret: env:ROBOT, url: "env:URL"}'))
    ['ROBOT', 'URL']
    """
    return set(_REFERENCE.findall(text))


def read_secrets_file() -> Mapping[str, str]:
    """The secrets of the file that the environment names, by setting; `env:NAME` stands for a variable NAME.

    Raises:
        UsageError: the file cannot be read, or is not what it should be.
    """
    path = os.environ.get(SECRETS_VARIABLE)
    if not path:
        return {}
    try:
        held = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UsageError(f"{SECRETS_VARIABLE}: {path} cannot be read ({reason}): unset it") from None
    if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
        raise UsageError(f"{SECRETS_VARIABLE}: {path} holds no JSON object of strings: unset it")
    return held


def read_secret(setting: str, given: SecretStr, file: str) -> str:
    """A secret that is either given itself or is all of a file, but for the line break at its end.

    Args:
        setting: its name, which with `_file` is the name of the setting that names the file.

    Raises:
        UsageError: the file cannot be read, or is empty.
    """
    if not file:
        return given.get_secret_value()
    try:
        text = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(
            f"{setting}_file: {file} cannot be read ({reason}): name a file that holds the secret"
        ) from None
    if not text:
        raise UsageError(f"{setting}_file: {file} is empty: write the secret into it")
    register_secret(text)
    return text
