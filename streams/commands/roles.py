"""`salepulse worker` and `salepulse serve`: one role in this process."""

from __future__ import annotations

import typer

from consumers.commands.running import accepting, foreseen, load_settings
from streams.commands.options import Accept, Bootstrap, ClockOption, HttpHost, HttpPort, RedisUrl, Retain
from streams.settings import Settings

app = typer.Typer()


@app.command()
def worker(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    accept: Accept = None,
) -> None:
    """Count: read events from Kafka, keep panes in Redis. Run as many as there are cores; each takes its partitions."""
    import structlog

    from streams.app import run
    from streams.process.logs import configure_role_logs
    from streams.settings_report import shown

    settings = load_settings(
        Settings, bootstrap=bootstrap, redis_url=redis_url, clock=clock, retain=retain, accept=accepting(accept)
    )
    configure_role_logs()
    structlog.get_logger().info(
        "counting",
        bootstrap=settings.bootstrap,
        redis=shown(settings.redis_url),
        clock=settings.clock.value,
        **settings.topic_names.log_fields(),
    )
    with foreseen():
        run(settings)


@app.command()
def serve(
    redis_url: RedisUrl = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    clock: ClockOption = None,
    retain: Retain = None,
) -> None:
    """Answer: the HTTP API and /metrics, read from Redis. Run any number side by side; none of them counts."""
    from streams.process.logs import configure_role_logs
    from streams.serve.app import run

    settings = load_settings(
        Settings, redis_url=redis_url, http_host=http_host, http_port=http_port, clock=clock, retain=retain
    )
    configure_role_logs()
    with foreseen():
        run(settings)
