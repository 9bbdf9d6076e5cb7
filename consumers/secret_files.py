"""Secrets outside the settings: in files, or in environment variables named as `env:NAME`."""

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
"""Environment variable with the path of a JSON file of secrets; `salepulse up` sets it for its processes."""
_REFERENCE = re.compile(r"\benv:([A-Za-z_][A-Za-z0-9_]*)")


def variable_of(reference: str) -> str | None:
    """The environment variable of a secret given as `env:NAME`; None if it is given otherwise.

    >>> variable_of("env:ROBOT"), variable_of("t0ps3cret")
    ('ROBOT', None)

    Raises ValueError if `env:` is not followed by a variable name.
    """
    if not reference.startswith("env:"):
        return None
    if (match := _REFERENCE.fullmatch(reference)) is None:
        raise ValueError("`env:` is not followed by a variable name: write env:NAME, with letters, digits and _")
    return match[1]


def variables_in(text: str) -> set[str]:
    """All environment variables that a text refers to as `env:NAME`, even if the text is otherwise invalid.

    >>> sorted(variables_in('{secret: env:ROBOT, url: "env:URL"}'))
    ['ROBOT', 'URL']
    """
    return set(_REFERENCE.findall(text))


def read_secrets_file() -> Mapping[str, str]:
    """The secrets in the file named by the environment, by setting. Raises UsageError if the file is invalid."""
    path = os.environ.get(SECRETS_VARIABLE)
    if not path:
        return {}
    try:
        secrets = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UsageError(f"{SECRETS_VARIABLE}: {path} cannot be read ({reason}): unset it") from None
    if not isinstance(secrets, dict) or not all(isinstance(value, str) for value in secrets.values()):
        raise UsageError(f"{SECRETS_VARIABLE}: {path} is not a JSON object of strings: unset it")
    return secrets


def read_secret(setting: str, given: SecretStr, file: str) -> str:
    """A secret given directly, or else the content of a file without its final line break.

    `setting`: name of the secret's setting; `<setting>_file` names the file. Raises UsageError if the file is missing
    or empty.
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
