"""`salepulse doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from consumers.commands.running import load_settings, run
from streams.commands.options import AsJson, Bootstrap, ClockOption, Partitions, RedisUrl
from streams.commands.output import print_json
from streams.settings import Settings
from streams.settings_report import misspelt

if TYPE_CHECKING:
    from streams.doctor.findings import Finding

app = typer.Typer()

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
    findings = run(_examine(settings))
    if as_json:
        counts = {level: sum(finding.level == level for finding in findings) for level in SHADES}
        print_json({**counts, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            typer.secho(f"{finding.level:<8}", fg=SHADES[finding.level], bold=True, nl=False)
            typer.echo(f"{finding.what}: {finding.found}" + (f" → {finding.mend}" if finding.mend else ""))
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> Sequence[Finding]:
    from streams.doctor.broker import examine_broker
    from streams.doctor.redis import examine_redis
    from streams.doctor.server import examine_server
    from streams.doctor.workers import examine_workers
    from streams.store.connection import Access, connect

    redis = connect(settings, Access.READ)
    try:
        return [
            *_examine_settings(settings),
            *examine_server(settings),
            *await examine_broker(settings),
            *await examine_redis(redis, settings),
            *await examine_workers(redis, settings),
        ]
    finally:
        await redis.aclose()


def _examine_settings(settings: Settings) -> list[Finding]:
    """A wrong setting ends every command before it comes this far."""
    from streams.doctor.findings import ok, warning
    from streams.doctor.money import exponent

    file = Path("salepulse.toml")
    read = f"{file} was read" if file.exists() else f"no {file} in {Path.cwd()}: environment, flags and defaults"
    return [
        ok("settings", read),
        *(
            warning("settings", f"the environment variable {name} sets nothing", f"did you mean {meant}?")
            for name, meant in misspelt(Settings, os.environ).items()
        ),
        *exponent(settings),
    ]
