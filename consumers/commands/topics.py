"""`salepulse topics`: create the Kafka topics."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from consumers.commands.common import accept_setting, load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.settings import IngestSettings
from consumers.topic_admin import TopicOutcome, TopicPlan, TopicReport, create_topics, default_plans

app = typer.Typer(help="The Kafka topics that salepulse reads and writes.", no_args_is_help=True)

_ANY_EXPONENT = 4
"""Sources are only read for the names of their topics."""

Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers, host:port, separated by commas.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class CommandSettings(IngestSettings):
    """Settings of these commands; ignores those of other roles in `salepulse.toml`."""

    model_config = SettingsConfigDict(extra="ignore")

    partitions: int = Field(4, ge=1, description="Partitions of topics created by `topics create`.")


@app.callback()
def _group() -> None:
    """Keeps `create` a sub-command although it is the only one."""


@app.command()
def create(
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each event topic.")] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Replicas of each partition; default: one per broker, at most 3.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes without making them.")] = False,
    take_over: Annotated[
        list[str] | None,
        typer.Option(
            "--take-over", metavar="NAME", help="Change this topic's settings to the intended ones; may be repeated."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation of --take-over.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="TOPIC", help="Use this topic although it holds messages of other systems."),
    ] = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Create the missing topics, and report how existing ones differ from the intended settings.

    Repeatable. An existing topic is changed only if it is named with --take-over and confirmed; its number of
    partitions never changes. Exits with 1 if a topic cannot be used.
    """
    from consumers.sources.inputs import load_inputs

    settings = load_settings(CommandSettings, bootstrap=bootstrap, partitions=partitions, accept=accept_setting(accept))
    taken_over = frozenset(take_over or ())
    with report_errors():
        inputs = load_inputs(settings, exponent=_ANY_EXPONENT)
        plans = default_plans(settings.partitions, inputs.names, inputs.feeds.keys() - inputs.sources.keys())
        _check_names(taken_over, plans)
    if taken_over and not dry_run and not yes:
        _confirm(run(create_topics(settings.kafka, plans, take_over=taken_over, dry_run=True)))
    reports = run(
        create_topics(
            settings.kafka,
            plans,
            replication=replication,
            take_over=taken_over,
            accepted=settings.accepted_topics,
            dry_run=dry_run,
        )
    )
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "topics": [asdict(report) for report in reports]}))
    else:
        for report in reports:
            typer.echo("".join([str(report), *(f"; {loss}" for loss in report.losses)]))
        if dry_run:
            typer.echo("nothing was changed: this was a dry run", err=True)
    if any(report.unusable for report in reports):
        raise typer.Exit(1)


def _check_names(named: Collection[str], plans: Sequence[TopicPlan]) -> None:
    """Raise UsageError for a name that no topic has on the broker."""
    on_broker = {plan.name: plan for plan in plans}
    for name in sorted(set(named) - set(on_broker)):
        meant = next((plan.name for plan in plans if plan.topic == name), None)
        fix = f"{name} is called {meant} there" if meant else f"name one of {', '.join(on_broker)}"
        raise UsageError(f"--take-over {name}: no topic of salepulse has this name on the broker: {fix}")


def _confirm(planned: Sequence[TopicReport]) -> None:
    """Confirm changes to existing topics. Exits if the user declines."""
    changing = [report for report in planned if report.outcome is TopicOutcome.WOULD_CHANGE]
    if not changing:
        return
    for report in changing:
        typer.echo("; ".join([f"{report.title}: {report.detail}", *report.losses]), err=True)
    with report_errors():
        if not sys.stdin.isatty():
            raise UsageError("--take-over changes existing topics, and there is no terminal to confirm on: add --yes")
    if not typer.confirm("Change these topics?", err=True):
        typer.echo("salepulse: nothing was changed", err=True)
        raise typer.Exit(1)
