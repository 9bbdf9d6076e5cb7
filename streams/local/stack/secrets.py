"""Secrets of the settings, handed to our own processes in a file: environments can be read, and are inherited.

The file is for its owner only, lies in the data folder, and is gone when `up` ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from consumers.secret_files import SECRETS_VARIABLE, variables_in
from consumers.setting_sources import variable
from streams.settings import Settings

FILE_NAME = ".secrets.json"


def secrets_for_children(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Everything secret that our processes need: {setting: value}, and {env:NAME: value} of what receivers refer to."""
    secrets = {name: getattr(settings, name).get_secret_value() for name in secret_settings()}
    named = {name: environment[name] for name in referred_variables(settings) if name in environment}
    return secrets | {f"env:{name}": value for name, value in named.items()}


def secret_settings() -> list[str]:
    """Settings whose values are secrets."""
    return [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


def referred_variables(settings: Settings) -> set[str]:
    """Environment variables that the file of receivers takes secrets from. A file that cannot be read names none."""
    if not settings.alerts_receivers:
        return set()
    try:
        text = Path(settings.alerts_receivers).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    return variables_in(text)


def inherited_variables(settings: Settings) -> Callable[[str], bool]:
    """Which variables of our own environment other processes of ours inherit: neither settings nor secrets."""
    withheld = {variable(Settings, name) for name in Settings.model_fields} | {SECRETS_VARIABLE}
    referred = referred_variables(settings)
    return lambda name: name.upper() not in withheld and name not in referred


def write_secrets(folder: Path, secrets: Mapping[str, str]) -> Path:
    """The file, for its owner only from the start."""
    remove_secrets(folder)
    path = folder / FILE_NAME
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(secrets, file)
    return path


def remove_secrets(folder: Path) -> None:
    """Also what an `up` that was killed has left."""
    with contextlib.suppress(FileNotFoundError):
        (folder / FILE_NAME).unlink()
