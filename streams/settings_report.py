"""Reports every setting with its meaning, default, value and source. Secrets are masked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from consumers.masking import MASK, mask_url
from consumers.settings import SettingSource, SettingSources, variable

DisplayValue: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One setting, for people and scripts."""

    name: str
    meaning: str
    default: DisplayValue
    value: DisplayValue
    source: SettingSource
    variable: str
    """The environment variable that sets it."""


def describe(settings: BaseSettings, flags: Iterable[str]) -> list[SettingDescription]:
    """All settings, in the order of their definition. `flags`: names of those given on the command line."""
    kind = type(settings)
    sources = SettingSources(kind, flags)
    return [
        SettingDescription(
            name,
            field.description or "",
            display_value(field.default),
            display_value(getattr(settings, name)),
            sources.of(name),
            variable(kind, name),
        )
        for name, field in kind.model_fields.items()
    ]


def misspelt(kind: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """# <environment variable that sets nothing: a similar one that does>"""
    known = [variable(kind, name) for name in kind.model_fields]
    prefix = str(kind.model_config.get("env_prefix", ""))
    similar = {}
    for name in environment:
        is_unknown_setting = name.upper().startswith(prefix) and name.upper() not in known
        if is_unknown_setting and (close := difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.85)):
            similar[name] = close[0]
    return similar


def display_value(value: object) -> DisplayValue:
    """A value for display: secrets masked, of a URL only the password.

    >>> display_value(SecretStr("redis://shop:hunter2@cache:6379/0"))
    'redis://shop:***@cache:6379/0'
    >>> display_value(SecretStr("hunter2"))
    '***'
    """
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return mask_url(secret) if "://" in secret else MASK if secret else ""
    if isinstance(value, StrEnum):
        return value.value
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
