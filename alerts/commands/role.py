"""`salepulse alerts`: the role in this process."""

from __future__ import annotations

import signal

import typer

from consumers.commands.running import accepting, foreseen, load_settings
from streams.commands.options import Accept, Bootstrap, ClockOption, RedisUrl, Retain
from streams.settings import Settings


def alerts(
    context: typer.Context,
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    accept: Accept = None,
) -> None:
    """Watch: evaluate the rules and tell people. Run two or more: one evaluates, all send, another takes over from it.

    The commands below check and try the settings, show what fires, acknowledge and silence.
    """
    if context.invoked_subcommand is not None:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # only the role is endless: cut short, a command has failed
        return
    import structlog

    from alerts.app import run
    from streams.process.logs import configure_role_logs
    from streams.settings_report import shown

    settings = load_settings(
        Settings, bootstrap=bootstrap, redis_url=redis_url, clock=clock, retain=retain, accept=accepting(accept)
    )
    configure_role_logs()
    structlog.get_logger().info(
        "watching",
        bootstrap=settings.bootstrap,
        **settings.topic_names.log_fields(),
        redis=shown(settings.redis_url),
        rules=settings.alerts_rules or "default",
        receivers=settings.alerts_receivers or "none",
    )
    with foreseen():
        run(settings)
