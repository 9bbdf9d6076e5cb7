"""How `serve` would be started here: who could reach it, and how many connections it could have."""

from __future__ import annotations

from collections.abc import Iterator

from consumers.errors import SalepulseError
from streams.local.doctor.check_results import CheckResult, ok, warning, wrong
from streams.process.files import hard_file_limit
from streams.serve.connections import RESERVED_FILES, most_connections
from streams.serve.exposure import check_exposure
from streams.serve.hosts import ANY_HOST, names_in
from streams.settings import Settings


def examine_server(settings: Settings) -> list[CheckResult]:
    """By settings and limits of this machine; no server is asked."""
    return [*check_api_exposure(settings), check_api_connections(settings.http_connections, hard_file_limit())]


def check_api_exposure(settings: Settings) -> Iterator[CheckResult]:
    """Whether others could reach it without a token, by the network or by a browser."""
    try:
        check_exposure(settings)
    except SalepulseError as error:
        yield wrong("api exposure", f"`serve` does not start: {error}", "make a token, or serve at 127.0.0.1")
        return
    if not settings.tokens_file and ANY_HOST in names_in(settings.http_allowed_hosts):
        yield warning(
            "api exposure",
            "http_allowed_hosts is * and there are no tokens: a page in a browser on this machine can silence alerts",
            "name the hosts, or set tokens_file",
        )
        return
    yield ok("api exposure", f"{settings.http_host}, {'by token' if settings.tokens_file else 'this machine only'}")


def check_api_connections(wanted: int, file_limit: int) -> CheckResult:
    """Whether as many connections as set fit below the limit of open files."""
    most = most_connections(wanted, file_limit)
    if most >= wanted:
        return ok("api connections", f"{most:,}")
    return warning(
        "api connections",
        f"{most:,} and not {wanted:,} as set: no more than {file_limit:,} files may be open",
        f"raise the hard limit of open files to {wanted + RESERVED_FILES:,} (ulimit -Hn, LimitNOFILE), or lower "
        "http_connections",
    )
