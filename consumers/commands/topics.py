"""`salepulse topics`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consumers.commands.running import load_settings, run
from consumers.settings import IngestSettings
from consumers.topic_admin import create_topics, default_plans

app = typer.Typer(help="The Kafka topics that salepulse reads and writes.", no_args_is_help=True)

Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers, host:port, separated by commas.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class CommandSettings(IngestSettings):
    """What these commands need; other roles' settings may stand beside them in `salepulse.toml`."""

    model_config = SettingsConfigDict(extra="ignore")

    partitions: int = Field(4, ge=1, description="Partitions of topics that `topics create` makes.")


@app.callback()
def _group() -> None:
    """Keeps `create` a sub-command while it is the only one."""


@app.command()
def create(
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each event topic.")] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition; by default one a broker, at most 3.")
    ] = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing and put the settings of the others right; say what was changed.

    Safe to repeat. The number of partitions of a topic that is there is never changed.
    """
    settings = load_settings(CommandSettings, bootstrap=bootstrap, partitions=partitions)
    plans = default_plans(settings.partitions, settings.topic_names)
    reports = run(create_topics(settings.kafka, plans, replication=replication))
    if as_json:
        typer.echo(json.dumps({"topics": [asdict(report) for report in reports]}))
        return
    for report in reports:
        typer.echo(f"{report.name}: {report.outcome.replace('_', ' ')}: {report.detail}")
