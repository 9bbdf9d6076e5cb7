"""`salepulse up`: everything on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.running import accepting, foreseen, load_settings
from consumers.errors import UsageError, check_bootstrap
from streams.commands.options import (
    Accept,
    Bootstrap,
    ClockOption,
    HttpHost,
    HttpPort,
    Partitions,
    RedisUrl,
    Retain,
)
from streams.commands.output import tell
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.embedded.child import Event
    from streams.stack.plan import Plan

app = typer.Typer()

EXTRA_ROLES = ("alerts",)
"""Roles that are started where their command is installed."""
DEFAULT_KAFKA_PORT, DEFAULT_REDIS_PORT = 9092, 6379
"""The usual ones, so that every other command finds the servers by its own defaults."""


@app.command()
def up(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep Redis' data and all logs there, for the next start.")
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the embedded broker [9092]; 0 picks a free one.")
    ] = None,
    redis_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the embedded Redis [6379]; 0 picks a free one.")
    ] = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    partitions: Partitions = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="How many workers; one a core is the most that helps.")
    ] = 1,
    clock: ClockOption = None,
    retain: Retain = None,
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    accept: Accept = None,
) -> None:
    """Start everything on this machine, and keep it running: broker, Redis, topics, workers, API.

    Prints one line, `ready http://host:port`, when the API answers; Ctrl-C stops it all. A broker or Redis that the
    settings name (--bootstrap, --redis-url, environment or salepulse.toml) is used as it is, none is started then.
    The embedded broker keeps everything in memory; what was counted is kept with --data-dir.
    """
    from streams.serve.certificate import examine
    from streams.serve.exposure import check_exposure

    settings = load_settings(
        Settings,
        bootstrap=bootstrap,
        redis_url=redis_url,
        http_host=http_host,
        http_port=http_port,
        partitions=partitions,
        clock=clock,
        retain=retain,
        accept=accepting(accept),
    )
    with foreseen():
        _one_of("--bootstrap", bootstrap, "--kafka-port", kafka_port)
        _one_of("--redis-url", redis_url, "--redis-port", redis_port)
        check_exposure(settings)
        if settings.http_cert_file:
            examine(settings.http_cert_file, settings.http_key_file)
        given = settings.model_fields_set
        own_kafka = kafka_port if kafka_port is not None else None if "bootstrap" in given else DEFAULT_KAFKA_PORT
        own_redis = redis_port if redis_port is not None else None if "redis_url" in given else DEFAULT_REDIS_PORT
        if own_kafka is None:
            check_bootstrap(settings.bootstrap)
        _run(settings, own_kafka, own_redis, workers, data_dir)


def _one_of(flag: str, given: object, other: str, port: object) -> None:
    if given is not None and port is not None:
        raise UsageError(f"{flag} names a server that is there, {other} one to start: leave one of them out")


def _run(
    settings: Settings, kafka_port: int | None, redis_port: int | None, workers: int, data_dir: Path | None
) -> None:
    from streams.stack.plan import Wanted, data_folder, embedded_errors, plan

    wanted = Wanted(settings=settings, kafka_port=kafka_port, redis_port=redis_port, workers=workers)
    with data_folder(data_dir) as folder, embedded_errors():
        planned = plan(wanted, folder)
        if data_dir is None:
            tell("data: in a temporary folder that is gone at the end; keep it with --data-dir")
        asyncio.run(_keep(planned, installed_roles()))


def installed_roles() -> tuple[str, ...]:
    """The extra roles that there are."""
    from streams.cli import command_names

    return tuple(role for role in EXTRA_ROLES if role in command_names())


async def _keep(planned: Plan, extra_roles: tuple[str, ...]) -> None:
    from streams.embedded.supervisor import Supervisor
    from streams.stack.stack import Stack, describe

    def on_event(event: Event) -> None:
        if line := describe(event):
            tell(line)

    async with Supervisor(on_event=on_event) as supervisor:
        await Stack(planned, supervisor, tell, extra_roles=extra_roles).start()
        typer.echo(f"ready {planned.url}")
        await supervisor.wait()
        tell("stopping")
