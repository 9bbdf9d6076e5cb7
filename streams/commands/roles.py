"""`salepulse worker` and `salepulse serve`: one role in this process."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.commands.running import foreseen, load_settings
from streams.commands.options import Bootstrap, ClockOption, RedisUrl, Retain
from streams.settings import Settings

app = typer.Typer()


@app.command()
def worker(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
) -> None:
    """Count: read events from Kafka, keep panes in Redis. Run as many as there are cores; each takes its partitions."""
    from streams.app import run

    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url, clock=clock, retain=retain)
    with foreseen():
        run(settings)


@app.command()
def serve(
    redis_url: RedisUrl = None,
    http_host: Annotated[str | None, typer.Option("--http-host", help="Address to bind to.")] = None,
    http_port: Annotated[int | None, typer.Option("--http-port", help="Port to bind to; 0 picks a free one.")] = None,
    clock: ClockOption = None,
    retain: Retain = None,
) -> None:
    """Answer: the HTTP API and /metrics, read from Redis. Run any number side by side; none of them writes."""
    from streams.serve.app import run

    settings = load_settings(
        Settings, redis_url=redis_url, http_host=http_host, http_port=http_port, clock=clock, retain=retain
    )
    with foreseen():
        run(settings)
