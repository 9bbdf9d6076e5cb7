"""Where the value of a setting comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource


class Source(StrEnum):
    """Where a value came from. The first of these that names a setting wins."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "salepulse.toml"
    DEFAULT = "default"


class Sources:
    """What gives which setting of a kind, at this moment. `flags`: names of those given on the command line."""

    def __init__(self, kind: type[BaseSettings], flags: Iterable[str]) -> None:
        self._given: dict[Source, Collection[str]] = {
            Source.FLAG: set(flags),
            Source.ENVIRONMENT: set(EnvSettingsSource(kind)()),
            Source.FILE: set(TomlConfigSettingsSource(kind)()),
        }

    def of(self, name: str) -> Source:
        """The one that wins."""
        return next((source for source, names in self._given.items() if name in names), Source.DEFAULT)


def variable(kind: type[BaseSettings], name: str) -> str:
    """The environment variable of a setting."""
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()
