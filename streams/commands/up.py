"""`salepulse up`: all servers and roles on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import accept_setting, load_settings, report_errors
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
from streams.commands.output import print_note
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.local.embedded.child import ChildEvent
    from streams.local.stack.plan import StackPlan

app = typer.Typer()

EXTRA_ROLES = ("alerts",)
"""Optional roles, started if their command is installed."""
DEFAULT_KAFKA_PORT, DEFAULT_REDIS_PORT = 9092, 6379
"""The defaults of `bootstrap` and `redis_url`, so that other commands find these servers."""


@app.command()
def up(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of Redis data and logs, kept across starts.")
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
        int, typer.Option(min=1, max=64, help="Number of workers; more than one per core does not help.")
    ] = 1,
    clock: ClockOption = None,
    retain: Retain = None,
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    accept: Accept = None,
) -> None:
    """Start and supervise broker, Redis, topics, workers, API and alerts on this machine.

    Prints `ready http://host:port` when the API is ready; Ctrl-C stops everything. If the settings name a broker or
    Redis (--bootstrap, --redis-url, environment or salepulse.toml), that one is used and none is started. The embedded
    broker keeps messages in memory only; --data-dir keeps Redis data.
    """
    from streams.process.startup_checks import check_certificate, check_exposure

    settings = load_settings(
        Settings,
        bootstrap=bootstrap,
        redis_url=redis_url,
        http_host=http_host,
        http_port=http_port,
        partitions=partitions,
        clock=clock,
        retain=retain,
        accept=accept_setting(accept),
    )
    with report_errors():
        _one_of("--bootstrap", bootstrap, "--kafka-port", kafka_port)
        _one_of("--redis-url", redis_url, "--redis-port", redis_port)
        check_exposure(settings)
        check_exposure(settings, "metrics_host")
        if settings.http_cert_file:
            check_certificate(settings.http_cert_file, settings.http_key_file)
        given = settings.model_fields_set
        own_kafka = kafka_port if kafka_port is not None else None if "bootstrap" in given else DEFAULT_KAFKA_PORT
        own_redis = redis_port if redis_port is not None else None if "redis_url" in given else DEFAULT_REDIS_PORT
        if own_kafka is None:
            check_bootstrap(settings.bootstrap)
        _run(settings, own_kafka, own_redis, workers, data_dir)


def _one_of(flag: str, given: object, other: str, port: object) -> None:
    if given is not None and port is not None:
        raise UsageError(f"{flag} and {other} exclude each other: {flag} names a running server, {other} starts one")


def _run(
    settings: Settings, kafka_port: int | None, redis_port: int | None, workers: int, data_dir: Path | None
) -> None:
    from streams.local.stack.plan import data_folder, embedded_errors, make_plan

    with data_folder(data_dir) as folder, embedded_errors():
        plan = make_plan(settings, folder, kafka_port=kafka_port, redis_port=redis_port, workers=workers)
        if data_dir is None:
            print_note("data: in a temporary folder, deleted at the end; use --data-dir to keep it")
        asyncio.run(_keep(plan, installed_roles()))


def installed_roles() -> tuple[str, ...]:
    """The optional roles whose commands are installed."""
    from streams.commands.root import command_names

    return tuple(role for role in EXTRA_ROLES if role in command_names())


async def _keep(plan: StackPlan, extra_roles: tuple[str, ...]) -> None:
    from streams.local.embedded.supervisor import Supervisor
    from streams.local.stack.stack import Stack, describe_child_event

    def on_event(event: ChildEvent) -> None:
        if line := describe_child_event(event):
            print_note(line)

    async with Supervisor(on_event=on_event) as supervisor:
        await Stack(plan, supervisor, print_note, extra_roles=extra_roles).start()
        typer.echo(f"ready {plan.url}")
        await supervisor.wait()
        print_note("stopping")
