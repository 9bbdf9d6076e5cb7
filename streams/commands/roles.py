"""`salepulse worker` and `salepulse serve`."""

from __future__ import annotations

import typer

from consumers.commands.common import accept_setting, load_settings, report_errors
from streams.commands.options import (
    Accept,
    Bootstrap,
    ClockOption,
    HttpHost,
    HttpPort,
    MetricsHost,
    MetricsPort,
    RedisUrl,
    Retain,
)
from streams.settings import Settings

app = typer.Typer()


@app.command()
def worker(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    accept: Accept = None,
    metrics_host: MetricsHost = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run a worker: count events from Kafka into panes in Redis. Run up to one per core; they share the partitions."""
    import structlog

    from streams.process.logs import configure_role_logs
    from streams.settings_report import display_value
    from streams.worker.app import run

    settings = load_settings(
        Settings,
        bootstrap=bootstrap,
        redis_url=redis_url,
        clock=clock,
        retain=retain,
        accept=accept_setting(accept),
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    configure_role_logs()
    structlog.get_logger().info(
        "worker started",
        bootstrap=settings.bootstrap,
        redis=display_value(settings.redis_url),
        clock=settings.clock.value,
        **settings.topic_names.log_fields(),
    )
    with report_errors():
        run(settings)


@app.command()
def serve(
    redis_url: RedisUrl = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    clock: ClockOption = None,
    retain: Retain = None,
) -> None:
    """Run an API server: HTTP API and /metrics, read from Redis. Run any number side by side."""
    from streams.process.logs import configure_role_logs
    from streams.serve.app import run

    settings = load_settings(
        Settings, redis_url=redis_url, http_host=http_host, http_port=http_port, clock=clock, retain=retain
    )
    configure_role_logs()
    with report_errors():
        run(settings)
