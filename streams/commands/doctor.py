"""`salepulse doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from consumers.commands.common import load_settings, run
from streams.commands.options import AsJson, Bootstrap, ClockOption, Partitions, RedisUrl
from streams.commands.output import print_json
from streams.settings import Settings
from streams.settings_report import misspelt

if TYPE_CHECKING:
    from streams.local.doctor.check_results import CheckResult

app = typer.Typer()

REDIS_WITHIN_S = 10.0
SHADES = {"ok": "green", "warning": "yellow", "wrong": "red"}


@app.command()
def doctor(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    partitions: Partitions = None,
    clock: ClockOption = None,
    as_json: AsJson = False,
) -> None:
    """Examine settings, broker, topics, Redis, clocks, workers and alerts: what is wrong, and how to mend it.

    Changes nothing. Ends with 1 if anything is wrong; a warning is not.
    """
    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url, partitions=partitions, clock=clock)
    findings = run(_examine(settings, _unseen if as_json else _show))
    if as_json:
        counts = {level: sum(finding.level == level for finding in findings) for level in SHADES}
        print_json({**counts, "findings": [asdict(finding) for finding in findings]})
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


def _show(finding: CheckResult) -> None:
    """At once: what is known is of use while a server does not answer."""
    typer.secho(f"{finding.level:<8}", fg=SHADES[finding.level], bold=True, nl=False)
    typer.echo(f"{finding.what}: {finding.found}" + (f" → {finding.mend}" if finding.mend else ""))
    sys.stdout.flush()


def _unseen(finding: CheckResult) -> None:
    """All findings are one JSON text at the end."""


async def _examine(settings: Settings, show: Callable[[CheckResult], None]) -> Sequence[CheckResult]:
    """Broker and Redis are asked at the same time, so that one that does not answer holds up less."""
    from streams.local.doctor.broker import examine_broker
    from streams.local.doctor.redis import examine_redis
    from streams.local.doctor.server import examine_server
    from streams.local.doctor.workers import examine_workers
    from streams.store.connection import Access, connect

    findings: list[CheckResult] = []

    def add(found: Iterable[CheckResult]) -> None:
        for finding in found:
            show(finding)
            findings.append(finding)

    redis = connect(settings, Access.READ)
    try:
        add([*_examine_settings(settings), *examine_server(settings)])
        asking = asyncio.create_task(within(examine_redis(redis, settings)))
        try:
            add(about_broker := await examine_broker(settings))
            broker_answers = not any(one.what == "broker" and one.level == "wrong" for one in about_broker)
            add(about_redis := await asking)
        finally:
            asking.cancel()
        if not any(one.what == "redis" and one.level == "wrong" for one in about_redis):
            add(await within(examine_workers(redis, settings, broker_answers=broker_answers)))
    finally:
        await redis.aclose()
    return findings


async def within(asked: Awaitable[Sequence[CheckResult]], limit_s: float = REDIS_WITHIN_S) -> Sequence[CheckResult]:
    """What was found; where that takes too long, that."""
    from streams.local.doctor.check_results import wrong

    try:
        async with asyncio.timeout(limit_s):
            return await asked
    except TimeoutError:
        return [wrong("redis", f"has not answered all questions within {limit_s:g} s", "see its log, and what it does")]


def _examine_settings(settings: Settings) -> list[CheckResult]:
    """A wrong setting ends every command before it comes this far."""
    from streams.local.doctor.check_results import ok, warning
    from streams.local.doctor.money import check_currency_exponent

    file = Path("salepulse.toml")
    read = f"{file} was read" if file.exists() else f"no {file} in {Path.cwd()}: environment, flags and defaults"
    return [
        ok("settings", read),
        *(
            warning("settings", f"the environment variable {name} sets nothing", f"did you mean {meant}?")
            for name, meant in misspelt(Settings, os.environ).items()
        ),
        *check_currency_exponent(settings),
    ]
