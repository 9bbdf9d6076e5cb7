"""`salepulse incomplete`: partitions that lost records before they were counted, and the end of saying so."""

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

app = typer.Typer(help="Records that were lost before they were counted.", no_args_is_help=True)


@app.command("list")
def list_(redis_url: RedisUrl = None, as_json: AsJson = False) -> None:
    """Show the partitions that lost records before they were counted, and from which event time on."""
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
        print_note("no records are known to be lost")


@app.command()
def clear(
    partitions: Annotated[
        list[str] | None, typer.Argument(metavar="PARTITION", help="Such as orders/0; by default all of events.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Mark partitions as complete again: answers no longer say that they miss something.

    Only you can know: the lost records were sent again (`salepulse replay`), or their numbers no longer matter. What
    was not counted stays uncounted.
    """
    settings = load_settings(Settings, redis_url=redis_url)
    incomplete = run(_read(settings)).incomplete
    with report_errors():
        chosen = _chosen(partitions, incomplete)
        if chosen and not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"{_listed(chosen)} would be marked as complete: confirm with --yes")
            typer.confirm(f"Mark {_listed(chosen)} as complete?", abort=True, err=True)
    run(_clear(settings, chosen))
    if as_json:
        print_json({"cleared": _named(chosen)})
    else:
        typer.echo(f"complete again: {_listed(chosen)}" if chosen else "nothing was marked as incomplete")


def since_text(since_ms: int) -> str:
    """From when on records are lost, for people."""
    return format_utc(since_ms) if since_ms > UNKNOWN_SINCE_MS else "an unknown time"


def _named(incomplete: Mapping[Partition, int]) -> dict[str, int]:
    return {str(partition): ms for partition, ms in sorted(incomplete.items())}


def _listed(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))


def _chosen(names: list[str] | None, incomplete: Mapping[Partition, int]) -> dict[Partition, int]:
    """The partitions that are meant, of those that are incomplete. Raises UsageError."""
    if not names:
        return {partition: ms for partition, ms in incomplete.items() if partition.topic is not Topic.PROMOTIONS}
    chosen = {}
    for name in names:
        try:
            partition = Partition.parse(name)
        except ValueError:
            raise UsageError(f"{name!r} is no partition: write it as orders/0") from None
        if partition.topic is Topic.PROMOTIONS:
            raise UsageError("lost changes of promotions are confirmed with `salepulse promotions confirm`")
        if partition not in incomplete:
            raise UsageError(f"{name} is not incomplete; incomplete: {_listed(incomplete) or 'nothing'}")
        chosen[partition] = incomplete[partition]
    return chosen


async def _read(settings: Settings) -> StoreState:
    from streams.store.connection import Access, connect, user_errors
    from streams.store.keys import Keys
    from streams.store.state import read_state

    redis = connect(settings, Access.READ)
    try:
        with user_errors(redis):
            return await read_state(redis, Keys(settings.redis_prefix, settings.shards))
    finally:
        await redis.aclose()


async def _clear(settings: Settings, partitions: Iterable[Partition]) -> None:
    from streams.store.connection import connect, user_errors
    from streams.store.keys import Keys
    from streams.store.levels import levels
    from streams.store.writer import PaneWriter

    redis = connect(settings)
    try:
        with user_errors(redis):
            writer = PaneWriter(redis, Keys(settings.redis_prefix, settings.shards), levels(settings))
            for partition in partitions:
                await writer.confirm(partition)
    finally:
        await redis.aclose()
