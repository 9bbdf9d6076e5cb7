"""Checks of the settings and of this machine's limits; no server is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from consumers.errors import SalepulseError
from streams.local.doctor.check_results import CheckResult, failed, ok, warning
from streams.model.currencies import EXPONENTS
from streams.model.formatting import format_money
from streams.process.startup_checks import check_exposure
from streams.process.tuning import hard_file_limit
from streams.serve.connections import RESERVED_FILES, most_connections
from streams.serve.same_origin import ANY_HOST, names_in
from streams.settings import Settings
from streams.settings_report import misspelt


def examine_settings(settings: Settings) -> list[CheckResult]:
    """Check settings that were loaded: invalid ones end every command before this."""
    return [
        *check_settings_sources(),
        *check_currency_exponent(settings),
        *check_api_exposure(settings),
        check_api_connections(settings.http_connections, hard_file_limit()),
    ]


def check_settings_sources() -> Iterator[CheckResult]:
    """Which settings file was read, and misspelt environment variables."""
    file = Path("salepulse.toml")
    yield ok(
        "settings", f"read {file}" if file.exists() else f"no {file} in {Path.cwd()}: environment, flags, defaults"
    )
    for name, meant in misspelt(Settings, os.environ).items():
        yield warning("settings", f"unknown environment variable {name}", f"did you mean {meant}?")


def check_api_exposure(settings: Settings) -> Iterator[CheckResult]:
    """Whether the network or a browser could use the API without a token."""
    try:
        check_exposure(settings)
    except SalepulseError as error:
        yield failed("api exposure", f"`serve` would not start: {error}", "create a token, or bind to 127.0.0.1")
        return
    if not settings.tokens_file and ANY_HOST in names_in(settings.http_allowed_hosts):
        yield warning(
            "api exposure",
            "http_allowed_hosts is * and tokens_file is empty: any web page in a browser here can silence alerts",
            "name the hosts, or set tokens_file",
        )
        return
    yield ok("api exposure", f"{settings.http_host}, {'by token' if settings.tokens_file else 'this machine only'}")


def check_api_connections(wanted: int, file_limit: int) -> CheckResult:
    """Whether the limit of open files allows http_connections."""
    most = most_connections(wanted, file_limit)
    if most >= wanted:
        return ok("api connections", f"{most:,}")
    return warning(
        "api connections",
        f"{most:,} in place of {wanted:,}: the limit of open files is {file_limit:,}",
        f"raise the hard limit of open files to {wanted + RESERVED_FILES:,} (ulimit -Hn, LimitNOFILE), or lower "
        "http_connections",
    )


def check_currency_exponent(settings: Settings) -> Iterator[CheckResult]:
    """Whether currency_exponent is that of the currency."""
    places = EXPONENTS[settings.currency]
    if settings.money_exponent != places:
        yield warning(
            "currency_exponent",
            f"is {settings.money_exponent}, ISO 4217 gives {settings.currency} {places}: 1000 is shown as "
            f"{format_money(1000, settings.money_exponent)} {settings.currency}",
            "remove the setting, unless your producers send money in such units",
        )
