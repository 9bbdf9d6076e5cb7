"""Which source provides the value of a setting."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, TomlConfigSettingsSource

from consumers.secret_files import read_secrets_file


class SettingSource(StrEnum):
    """The sources of settings, in order of precedence."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    SECRETS = "secrets file"
    """See `consumers.secret_files.SECRETS_VARIABLE`."""
    FILE = "salepulse.toml"
    DEFAULT = "default"


class SecretsFileSource(PydanticBaseSettingsSource):
    """Secrets that the parent process passes on in a file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: `__call__` returns all values."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Values by setting. Raises UsageError."""
        held = read_secrets_file()
        return {name: held[name] for name in self.settings_cls.model_fields if name in held}


class SettingSources:
    """Which source provides each setting of a class; `flags`: names of those given on the command line."""

    def __init__(self, kind: type[BaseSettings], flags: Iterable[str]) -> None:
        self._given: dict[SettingSource, Collection[str]] = {
            SettingSource.FLAG: set(flags),
            SettingSource.ENVIRONMENT: set(EnvSettingsSource(kind)()),
            SettingSource.SECRETS: set(SecretsFileSource(kind)()),
            SettingSource.FILE: set(TomlConfigSettingsSource(kind)()),
        }

    def of(self, name: str) -> SettingSource:
        """The source that takes precedence."""
        return next((source for source, names in self._given.items() if name in names), SettingSource.DEFAULT)


def variable(kind: type[BaseSettings], name: str) -> str:
    """The environment variable of a setting."""
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()
