"""`salepulse settings`: every setting and the source of its value."""

from __future__ import annotations

from dataclasses import asdict

import typer

from consumers.commands.common import load_settings
from streams.commands.options import AsJson, Bootstrap, ClockOption, HttpHost, HttpPort, Partitions, RedisUrl, Retain
from streams.commands.output import print_json, print_table
from streams.settings import Settings
from streams.settings_report import describe

app = typer.Typer()


@app.command()
def settings(
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    clock: ClockOption = None,
    retain: Retain = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    partitions: Partitions = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting with its meaning, default, value, and the source of the value.

    Flags override the environment (SALEPULSE_BOOTSTRAP for `bootstrap`), which overrides `salepulse.toml` in the
    current folder. Secrets are masked.
    """
    flags = {
        name: flag_value
        for name, flag_value in {
            "bootstrap": bootstrap,
            "redis_url": redis_url,
            "clock": clock,
            "retain": retain,
            "http_host": http_host,
            "http_port": http_port,
            "partitions": partitions,
        }.items()
        if flag_value is not None
    }
    facts = describe(load_settings(Settings, **flags), flags)
    if as_json:
        print_json({"settings": [asdict(fact) for fact in facts]})
        return
    print_table(
        ("setting", "value", "from", "default", "meaning"),
        [(fact.name, str(fact.value), fact.source, str(fact.default), fact.meaning) for fact in facts],
        styles=("bold", "", "dim", "dim", "dim"),
    )
