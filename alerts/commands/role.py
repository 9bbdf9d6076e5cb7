"""`salepulse alerts`: run the alerts process."""

from __future__ import annotations

import signal

import typer

from consumers.commands.common import accept_setting, load_settings, report_errors
from streams.commands.options import Accept, Bootstrap, ClockOption, MetricsHost, MetricsPort, RedisUrl, Retain
from streams.settings import Settings


def alerts(
    context: typer.Context,
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    accept: Accept = None,
    metrics_host: MetricsHost = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Evaluate the rules and send notifications. Run two or more: one evaluates, all send, and another takes over if it
    fails.

    The commands below validate and test the settings, list alerts, acknowledge and silence.
    """
    if context.invoked_subcommand is not None:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an interrupted command has failed
        return
    import structlog

    from alerts.app import run
    from streams.process.logs import configure_role_logs
    from streams.settings_report import display_value

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
        "watching",
        bootstrap=settings.bootstrap,
        **settings.topic_names.log_fields(),
        redis=display_value(settings.redis_url),
        rules=settings.alerts_rules or "default",
        receivers=settings.alerts_receivers or "none",
    )
    with report_errors():
        run(settings)
