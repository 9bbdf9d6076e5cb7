"""`salepulse doctor`: check the installation and suggest fixes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from consumers.commands.common import load_settings, run
from streams.commands.options import AsJson, Bootstrap, ClockOption, Partitions, RedisUrl
from streams.commands.output import print_json
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.local.doctor.check_results import CheckResult

app = typer.Typer()

REDIS_WITHIN_S = 10.0
COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


@app.command()
def doctor(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    partitions: Partitions = None,
    clock: ClockOption = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, broker, topics, Redis, clocks, workers and alerts, and suggest a fix for each problem.

    Read-only. Exits with 1 if any check has the status error.
    """
    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url, partitions=partitions, clock=clock)
    checks = run(_run_checks(settings, _print_nothing if as_json else _print))
    if as_json:
        counts = {status: sum(result.status == status for result in checks) for status in COLORS}
        print_json({**counts, "checks": [asdict(result) for result in checks]})
    if any(result.status == "error" for result in checks):
        raise typer.Exit(1)


def _print(result: CheckResult) -> None:
    """Print a result at once: others may wait for a server that does not answer."""
    typer.secho(f"{result.status:<8}", fg=COLORS[result.status], bold=True, nl=False)
    typer.echo(f"{result.check}: {result.message}" + (f" → {result.fix}" if result.fix else ""))
    sys.stdout.flush()


def _print_nothing(result: CheckResult) -> None:
    """JSON is printed when all checks are done."""


async def _run_checks(settings: Settings, show: Callable[[CheckResult], None]) -> Sequence[CheckResult]:
    """Check broker and Redis concurrently, so that a server that does not answer delays the other less."""
    from streams.local.doctor.broker import examine_broker
    from streams.local.doctor.redis import examine_redis
    from streams.local.doctor.settings import examine_settings
    from streams.local.doctor.workers import examine_workers
    from streams.store.connection import Access, connect

    checks: list[CheckResult] = []

    def add(results: Iterable[CheckResult]) -> None:
        for result in results:
            show(result)
            checks.append(result)

    redis = connect(settings, Access.READ)
    try:
        add(examine_settings(settings))
        redis_task = asyncio.create_task(within(examine_redis(redis, settings)))
        try:
            add(broker_checks := await examine_broker(settings))
            broker_answers = not any(check.check == "broker" and check.status == "error" for check in broker_checks)
            add(redis_checks := await redis_task)
        finally:
            redis_task.cancel()
        if not any(check.check == "redis" and check.status == "error" for check in redis_checks):
            add(await within(examine_workers(redis, settings, broker_answers=broker_answers)))
    finally:
        await redis.aclose()
    return checks


async def within(checks: Awaitable[Sequence[CheckResult]]) -> Sequence[CheckResult]:
    """The results of `checks`, or one error if they take longer than the limit."""
    from streams.local.doctor.check_results import failed

    try:
        async with asyncio.timeout(REDIS_WITHIN_S):
            return await checks
    except TimeoutError:
        return [
            failed("redis", f"did not answer all commands within {REDIS_WITHIN_S:g} s", "see its log and its slowlog")
        ]
