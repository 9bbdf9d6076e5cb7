"""`salepulse replay`: send recorded events to Kafka and wait until they are counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, run
from consumers.replay import ReplayProgress, ReplayResult, replay_files
from consumers.times import format_utc
from streams.commands.options import AsJson, Bootstrap, RedisUrl, check_speed, parse_speed
from streams.commands.output import print_json, print_note, progress
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.store.progress import Positions

app = typer.Typer()


@app.command()
def replay(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files named after their topic, or folders.")],
    bootstrap: Bootstrap = None,
    redis_url: RedisUrl = None,
    speed: Annotated[
        str,
        typer.Option(callback=check_speed, help="1: as recorded; 60: 60 times faster; or max."),
    ] = "max",
    wait: Annotated[bool, typer.Option("--wait", help="Return when all messages are counted.")] = False,
    patience: Annotated[
        float, typer.Option(min=1, help="With --wait: fail after this many seconds without progress.")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """Send recorded events from NDJSON files to their topics, merged by event time.

    Files are named after their topic: clicks.ndjson, orders.ndjson.gz, logistics.ndjson, promotions.ndjson. Events of a
    file that is sent again are deduplicated while workers remember their event_id.
    """
    from streams.store.progress import read_positions

    settings = load_settings(Settings, bootstrap=bootstrap, redis_url=redis_url)
    before = run(read_positions(settings)) if wait else {}
    sent = run(_send(settings, paths, parse_speed(speed)))
    total = sum(sent.messages.values())
    by_topic = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(sent.messages.items()))
    print_note(f"sent {total:,} messages in {sent.elapsed_s:.1f} s: {by_topic or 'nothing'}")
    counted_s = run(_wait(settings, sent, before, patience)) if wait else None
    if as_json:
        print_json(
            {
                "sent": total,
                "messages": {topic.value: count for topic, count in sent.messages.items()},
                "ends": [{"topic": t, "partition": p, "end": end} for (t, p), end in sorted(sent.ends.items())],
                "elapsed_s": round(sent.elapsed_s, 3),
                "counted": wait,
                "counted_after_s": None if counted_s is None else round(counted_s, 3),
            }
        )
    elif wait:
        typer.echo(f"counted all {total:,} messages")
    else:
        typer.echo(f"sent {total:,} messages")


async def _send(settings: Settings, paths: list[Path], speed: float | None) -> ReplayResult:
    with progress("sending") as show_progress:

        def show(state: ReplayProgress) -> None:
            reached = "" if state.at_ms is None else f", at {format_utc(state.at_ms)}"
            show_progress(f"{state.sent:,} messages, {state.sent / max(state.elapsed_s, 0.001):,.0f}/s{reached}")

        return await replay_files(paths, kafka=settings.kafka, speed=speed, on_progress=show)


async def _wait(settings: Settings, sent: ReplayResult, before: Positions, patience_s: float) -> float:
    """Wait until all messages are counted; return the seconds it took."""
    from streams.store.progress import wait_until_counted

    started, total = time.monotonic(), sum(sent.messages.values())
    with progress("counting") as show_progress:

        def show(missing: int) -> None:
            show_progress(f"{missing:,} messages left", max(0, total - missing), total)

        await wait_until_counted(settings, sent.ends, patience_s=patience_s, before=before, on_progress=show)
    return time.monotonic() - started
