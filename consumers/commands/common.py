"""Helpers of all commands: settings from flags, one-line errors, times in the past."""

from __future__ import annotations

import asyncio
import logging
import tomllib
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

import typer
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from consumers.errors import SalepulseError, UsageError
from consumers.masking import register_secret
from consumers.settings import SettingSource, SettingSources, variable
from consumers.times import parse_duration
from consumers.validation_messages import validation_message

Result = TypeVar("Result")
AnySettings = TypeVar("AnySettings", bound=BaseSettings)


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a SalepulseError from the block as one line on stderr and exit with its code."""
    quiet = logging.getLogger("aiokafka")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)  # the client logs each attempt; the error suffices
    try:
        yield
    except SalepulseError as error:
        typer.echo(f"salepulse: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    finally:
        quiet.setLevel(level)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a new event loop, with `report_errors`."""
    with report_errors():
        return asyncio.run(work)


def accept_setting(topics: Collection[str] | None) -> str | None:
    """The value of the setting `accept` for these flags."""
    return ",".join(topics) if topics else None


def load_settings(kind: type[AnySettings], **flags: Any) -> AnySettings:
    """Settings from flags (None: not given), environment and `salepulse.toml`. Exits if they are invalid."""
    with report_errors():
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            settings = kind(**given)
        except ValidationError as error:
            sources = SettingSources(kind, given)
            faults = error.errors(include_url=False)
            raise UsageError("; ".join(_wrong_setting(kind, fault, sources) for fault in faults)) from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"salepulse.toml is not TOML: {error}") from None
        for name in kind.model_fields:
            if isinstance(secret := getattr(settings, name), SecretStr):
                register_secret(secret.get_secret_value())
        return settings


def _wrong_setting(kind: type[BaseSettings], details: ErrorDetails, sources: SettingSources) -> str:
    """One error with the source of the value, and the value itself unless it is a secret."""
    name = ".".join(str(part) for part in details["loc"])
    if not name:
        return f"settings: {validation_message(details)}"
    if details["type"] == "extra_forbidden":  # only from the file: unknown environment variables are ignored
        close = get_close_matches(name, kind.model_fields, 1)
        fix = f"do you mean {close[0]}?" if close else "leave it out"
        return f"salepulse.toml: there is no setting {name}: {fix}"
    setting = str(details["loc"][0])
    value = "" if kind.model_fields[setting].annotation is SecretStr else f" is {details['input']!r}"
    match source := sources.of(setting):
        case SettingSource.FLAG:
            origin = f"--{setting.replace('_', '-')}"
        case SettingSource.ENVIRONMENT:
            origin = variable(kind, setting)
        case _:
            origin = source.value
    return f"setting {name}{value} ({origin}): {validation_message(details)}"


def parse_since(text: str, now: datetime) -> int:
    """A time in the past in epoch ms: an age (`90s`, `15m`, `2h`, `7d`), or ISO 8601 (UTC without a zone).

    Raises UsageError for any other text.

    >>> parse_since("2h", datetime(2024, 1, 1, 2, tzinfo=UTC)) == parse_since("2024-01-01", datetime.now(UTC))
    True
    """
    try:
        moment = now - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"--since {text!r}: write an age, such as 15m, 2h or 7d, or a time in ISO 8601") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
