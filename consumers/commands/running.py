"""What every command shares: settings from flags, foreseeable failures in one line, times as people write them."""

from __future__ import annotations

import asyncio
import logging
import re
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
from consumers.masking import conceal
from consumers.plain_words import plainly
from consumers.setting_sources import Source, Sources, variable

Result = TypeVar("Result")
AnySettings = TypeVar("AnySettings", bound=BaseSettings)

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@contextmanager
def foreseen() -> Iterator[None]:
    """Tell a SalepulseError raised inside in one line on stderr, and end with its exit code, without a traceback."""
    quiet = logging.getLogger("aiokafka")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)  # the client logs each failed try; the error says it once
    try:
        yield
    except SalepulseError as error:
        typer.echo(f"salepulse: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    finally:
        quiet.setLevel(level)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Carry out asynchronous work as a command does: `foreseen`, with an event loop of its own."""
    with foreseen():
        return asyncio.run(work)


def accepting(topics: Collection[str] | None) -> str | None:
    """The setting `accept` that the flags give."""
    return ",".join(topics) if topics else None


def load_settings(kind: type[AnySettings], **flags: Any) -> AnySettings:
    """Settings from flags (None: not given), environment and `salepulse.toml`. Ends the command if they are wrong."""
    with foreseen():
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            settings = kind(**given)
        except ValidationError as error:
            sources = Sources(kind, given)
            faults = error.errors(include_url=False)
            raise UsageError("; ".join(_wrong_setting(kind, fault, sources) for fault in faults)) from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"salepulse.toml is no TOML: {error}") from None
        for name in kind.model_fields:
            if isinstance(secret := getattr(settings, name), SecretStr):
                conceal(secret.get_secret_value())
        return settings


def _wrong_setting(kind: type[BaseSettings], wrong: ErrorDetails, sources: Sources) -> str:
    """One fault, with the value unless that is a secret, and with what gave it."""
    name = ".".join(str(part) for part in wrong["loc"])
    if not name:
        return f"settings: {plainly(wrong)}"
    if wrong["type"] == "extra_forbidden":  # only the file can hold one: the environment is full of others' names
        close = get_close_matches(name, kind.model_fields, 1)
        mend = f"do you mean {close[0]}?" if close else "leave it out"
        return f"salepulse.toml: there is no setting {name}: {mend}"
    whole = str(wrong["loc"][0])
    value = "" if kind.model_fields[whole].annotation is SecretStr else f" is {wrong['input']!r}"
    match source := sources.of(whole):
        case Source.FLAG:
            given = f"--{whole.replace('_', '-')}"
        case Source.ENVIRONMENT:
            given = variable(kind, whole)
        case _:
            given = source.value
    return f"setting {name}{value} ({given}): {plainly(wrong)}"


def parse_since(text: str, now: datetime) -> int:
    """A time in the past as epoch ms: how long ago (`90s`, `15m`, `2h`, `7d`), or ISO 8601 (UTC if it names no zone).

    >>> parse_since("2h", datetime(2024, 1, 1, 2, tzinfo=UTC)) == parse_since("2024-01-01", datetime.now(UTC))
    True
    """
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text):
        then = now - timedelta(seconds=int(ago[1]) * UNITS_S[ago[2]])
    else:
        try:
            then = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"--since {text!r}: write how long ago, such as 15m, 2h or 7d, or a time in ISO 8601"
            ) from None
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return int(then.timestamp() * 1000)


def iso(time_ms: int) -> str:
    """A time for people: ISO 8601 in UTC, to the second.

    >>> iso(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
