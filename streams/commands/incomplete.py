"""`salepulse incomplete`: partitions that lost records before they were counted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import UsageError
from consumers.times import format_utc
from consumers.topics import Partition, Topic
from streams.commands.options import AsJson, RedisUrl
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings
from streams.store.state import UNKNOWN_SINCE_MS

if TYPE_CHECKING:
    from streams.store.state import StoreState

app = typer.Typer(help="List and clear partitions that lost records before they were counted.", no_args_is_help=True)


@app.command("list")
def list_(redis_url: RedisUrl = None, as_json: AsJson = False) -> None:
    """List partitions that lost records before they were counted, with the event time of the first loss."""
    settings = load_settings(Settings, redis_url=redis_url)
    state = run(_read(settings))
    if as_json:
        print_json({"incomplete_since": state.incomplete_since_ms, "partitions": _named(state.incomplete)})
        return
    print_table(
        ("partition", "incomplete since"),
        [(str(partition), since_text(ms)) for partition, ms in sorted(state.incomplete.items())],
        styles=("bold",),
    )
    if not state.incomplete:
        print_note("no partition is incomplete")


@app.command()
def clear(
    partitions: Annotated[
        list[str] | None, typer.Argument(metavar="PARTITION", help="Such as orders/0 (default: all event topics).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Mark partitions as complete: answers no longer carry `incomplete_since`.

    Run it after you have sent the lost records again (`salepulse replay`), or when they no longer matter. It counts
    nothing.
    """
    settings = load_settings(Settings, redis_url=redis_url)
    incomplete = run(_read(settings)).incomplete
    with report_errors():
        chosen = _chosen(partitions, incomplete)
        if chosen and not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"{_joined(chosen)} would be marked as complete: confirm with --yes")
            typer.confirm(f"Mark {_joined(chosen)} as complete?", abort=True, err=True)
    run(_clear(settings, chosen))
    if as_json:
        print_json({"cleared": _named(chosen)})
    else:
        typer.echo(f"marked as complete: {_joined(chosen)}" if chosen else "no partition was incomplete")


def since_text(since_ms: int) -> str:
    """Event time of the first lost record."""
    return format_utc(since_ms) if since_ms > UNKNOWN_SINCE_MS else "an unknown time"


def _named(incomplete: Mapping[Partition, int]) -> dict[str, int]:
    return {str(partition): ms for partition, ms in sorted(incomplete.items())}


def _joined(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))


def _chosen(names: list[str] | None, incomplete: Mapping[Partition, int]) -> dict[Partition, int]:
    """The named partitions, or all of event topics. Raises UsageError for one that is not incomplete."""
    if not names:
        return {partition: ms for partition, ms in incomplete.items() if partition.topic is not Topic.PROMOTIONS}
    chosen = {}
    for name in names:
        try:
            partition = Partition.parse(name)
        except ValueError:
            raise UsageError(f"{name!r} is not a partition: write it as orders/0") from None
        if partition.topic is Topic.PROMOTIONS:
            raise UsageError(f"{name} is a partition of promotions: use `salepulse promotions confirm`")
        if partition not in incomplete:
            raise UsageError(f"{name} is not incomplete; incomplete: {_joined(incomplete) or 'none'}")
        chosen[partition] = incomplete[partition]
    return chosen


async def _read(settings: Settings) -> StoreState:
    from streams.store.connection import Access, open_store
    from streams.store.state import read_state

    async with open_store(settings, Access.READ) as (redis, keys):
        return await read_state(redis, keys)


async def _clear(settings: Settings, partitions: Iterable[Partition]) -> None:
    from streams.store.connection import open_store
    from streams.store.levels import levels
    from streams.store.writer import PaneWriter

    async with open_store(settings) as (redis, keys):
        writer = PaneWriter(redis, keys, levels(settings))
        for partition in partitions:
            await writer.clear_incomplete(partition)
