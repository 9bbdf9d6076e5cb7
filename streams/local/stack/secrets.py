"""Pass secret settings to child processes in a file, because environments can be read and are inherited.

The file is in the data folder, readable by its owner only, and deleted when `up` ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from consumers.secret_files import SECRETS_VARIABLE, variables_in
from consumers.settings import variable
from streams.settings import Settings

FILE_NAME = ".secrets.json"


def secrets_for_children(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """{setting: value} of secret settings, and {env:NAME: value} of variables that receivers refer to."""
    secrets = {name: getattr(settings, name).get_secret_value() for name in secret_settings()}
    named = {name: environment[name] for name in referred_variables(settings) if name in environment}
    return secrets | {f"env:{name}": value for name, value in named.items()}


def secret_settings() -> list[str]:
    """Names of secret settings."""
    return [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


def referred_variables(settings: Settings) -> set[str]:
    """Environment variables that the receivers file refers to; none if it cannot be read."""
    if not settings.alerts_receivers:
        return set()
    try:
        text = Path(settings.alerts_receivers).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    return variables_in(text)


def inherited_variables(settings: Settings) -> Callable[[str], bool]:
    """Filter of environment variables that children inherit: no settings and no secrets."""
    withheld = {variable(Settings, name) for name in Settings.model_fields} | {SECRETS_VARIABLE}
    referred = referred_variables(settings)
    return lambda name: name.upper() not in withheld and name not in referred


def write_secrets(folder: Path, secrets: Mapping[str, str]) -> Path:
    """Write the file, readable by its owner only."""
    remove_secrets(folder)
    path = folder / FILE_NAME
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(secrets, file)
    return path


def remove_secrets(folder: Path) -> None:
    """Delete the file, also one that a killed `up` left."""
    with contextlib.suppress(FileNotFoundError):
        (folder / FILE_NAME).unlink()
