"""`salepulse simulate`: write a simulated sale to files or Kafka."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.commands.common import load_settings, report_errors, run
from consumers.errors import SalepulseError, UsageError, check_bootstrap
from consumers.kafka.connection import KafkaTarget
from consumers.times import format_utc
from streams.commands.kpis import parse_time
from streams.commands.options import AsJson, check_speed, parse_speed
from streams.commands.output import print_json, print_note, progress
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.simulate import Batch, Season, SimulationConfig

app = typer.Typer()

TRUTH = "incidents.json"
_STEP_MS = 200


@app.command()
def simulate(
    seed: Annotated[int, typer.Option(min=0, help="Random seed; equal seeds give equal sales.")] = 1,
    rate: Annotated[float, typer.Option(help="Average events per second.")] = 1000,
    duration: Annotated[float, typer.Option(help="Length of the sale in seconds.")] = 600,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start: epoch ms or ISO 8601 (with --bootstrap: now).")
    ] = None,
    incident: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="KIND@+START/DURATION[:NAME=VALUE,...], such as conversion_drop@+120s/60s:size=0.5,channel=app. "
            "May be repeated. The error of an invalid SPEC lists all kinds.",
        ),
    ] = None,
    earlier: Annotated[int, typer.Option(min=0, max=20, help="Earlier sales of the same shop, as baselines.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write files for `salepulse replay`.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Send to Kafka at host:port, separated by commas.")] = None,
    speed: Annotated[
        str, typer.Option(callback=check_speed, help="With --bootstrap: 1 is real time; a number; or max.")
    ] = "1",
    truth: Annotated[
        Path,
        typer.Option(metavar="FILE", help="With --bootstrap and --incident: file of the ground truth."),
    ] = Path(TRUTH),
    as_json: AsJson = False,
) -> None:
    """Simulate a sale: visits, orders, payments, stock, shipping, late and duplicate events, injected incidents.

    With --out the sale is written to files; with --bootstrap it is sent at --speed, after its earlier sales. The
    incidents and the exact counts are written to incidents.json. Ctrl-C ends the sale early.
    """
    with report_errors():
        if (out is None) == (bootstrap is None):
            raise UsageError("no destination: give either --out DIR for files, or --bootstrap host:port for Kafka")
        if bootstrap is not None:
            check_bootstrap(bootstrap)
        pace = parse_speed(speed)
        start_ms = parse_time("--start", start) if start is not None else None
        if start_ms is None and bootstrap is not None:
            # A sale faster than real time ends now: workers reject events of the future.
            start_ms = int(time.time()) * 1000 - (0 if pace == 1 else int(duration * 1000))
        config = _config(seed, rate, duration, start_ms, tuple(incident or ()))
        facts = _write(config, earlier, out) if out is not None else _send(config, earlier, str(bootstrap), pace, truth)
    if as_json:
        print_json(facts)
    else:
        where = facts.get("folder") or facts.get("bootstrap")
        stopped = "" if facts.get("complete", True) else ", stopped early"
        span = f"{format_utc(facts['start_ms'])} to {format_utc(facts['end_ms'])}"
        typer.echo(f"{facts['messages']:,} messages to {where}{stopped}: seed {facts['seed']}, {span}")


def _config(
    seed: int, rate: float, duration: float, start_ms: int | None, incidents: tuple[str, ...]
) -> SimulationConfig:
    from streams.simulate import SimulationConfig

    when = {} if start_ms is None else {"start_ms": start_ms}
    return SimulationConfig.sized(seed=seed, rate=rate, duration_s=duration, incidents=incidents, **when)


def _write(config: SimulationConfig, earlier: int, out: Path) -> dict[str, Any]:
    from streams.simulate import Season, write_season

    season = Season(config, earlier)
    with progress("simulating") as show_progress:
        try:
            write_season(
                season,
                out,
                lambda done_ms, all_ms: show_progress(f"{done_ms // 1000:,} of {all_ms // 1000:,} s", done_ms, all_ms),
            )
        except OSError as error:
            raise SalepulseError(f"{error.filename or out} cannot be written: {error.strerror or error}") from error
    return {"folder": str(out), "messages": season.messages, **_facts(season), "truth": asdict(season.present.truth)}


def _send(config: SimulationConfig, earlier: int, bootstrap: str, speed: float | None, truth: Path) -> dict[str, Any]:
    from streams.simulate import Season, ground_truth

    season = Season(config, earlier)
    settings = load_settings(Settings, bootstrap=bootstrap)
    sent, complete = run(_send_all(season, settings.kafka, speed))
    if config.incidents:
        try:
            truth.write_bytes(ground_truth(season))
        except OSError as error:
            raise SalepulseError(f"{truth} cannot be written: {error.strerror or error}") from error
        print_note(f"ground truth of the incidents: {truth}")
    return {"bootstrap": bootstrap, "messages": sent, "complete": complete, **_facts(season)}


def _facts(season: Season) -> dict[str, Any]:
    """Facts common to files and Kafka."""
    config = season.config
    return {
        "incidents": len(config.incidents),
        "earlier": len(season.earlier),
        "seed": config.seed,
        "start_ms": config.start_ms,
        "end_ms": config.end_ms,
    }


async def _send_all(season: Season, kafka: KafkaTarget, speed: float | None) -> tuple[int, bool]:
    """Number of messages sent, and whether they are all: False if a signal stopped it."""
    from consumers.kafka.producer import KeyedProducer
    from consumers.topics import EVENT_TOPICS, Topic
    from streams.simulate.sending import SendingPace, send_batches

    config, stop, sent = season.config, asyncio.Event(), 0
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with progress("sending") as show_progress:

        def show(batch: Batch) -> None:
            nonlocal sent
            sent += len(batch.messages)
            done_s = max(0, batch.arrival_ms - config.start_ms) // 1000
            show_progress(f"{sent:,} events, {done_s:,} of {config.duration_s:,.0f} s", done_s, config.duration_s)

        async with KeyedProducer(kafka) as producer:
            for topic in (*EVENT_TOPICS, Topic.PROMOTIONS):
                await producer.partitions(topic)  # a missing topic raises before the first message is sent
            pace = SendingPace(config.start_ms, speed)
            await send_batches(producer, season.batches(_STEP_MS), pace, stop=stop, on_sent=show)
    return sent, not stop.is_set()
