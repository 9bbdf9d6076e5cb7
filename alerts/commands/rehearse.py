"""`salepulse alerts rehearse`: replay a sale against the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.errors import SalepulseError, UsageError
from consumers.times import format_utc
from streams.commands.kpis import parse_time
from streams.commands.options import AsJson
from streams.commands.output import print_json, print_note, print_table, progress
from streams.settings import Settings

if TYPE_CHECKING:
    from alerts.detection.inputs import DetectionInputs
    from alerts.rehearsal.report import Report

app = typer.Typer()


@app.command()
def rehearse(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER] [RULES.yaml]",
            help="Folder of recorded events, as for `salepulse replay`; file of rules. Default: a simulated sale.",
        ),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="Default: the configured rules, else the default rules.")] = None,
    incident: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="Incident of the simulated sale, as for `salepulse simulate`; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated sale.")] = 1,
    rate: Annotated[float, typer.Option(help="Events per second of the simulated sale.")] = 100,
    duration: Annotated[float, typer.Option(help="Seconds of the simulated sale.")] = 3600,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Interval of evaluations: 5s, 15m, 6h; default: by the length of the sale, at least 5s.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Stop there: epoch ms or ISO 8601.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with a chart there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a sale at full speed against the rules, and report each page and whether it was right.

    Nothing is sent; neither Kafka nor Redis is needed. Actual incidents are read from incidents.json in the folder, or
    from --incident.
    """
    settings = load_settings(Settings)
    with report_errors():
        folder, rules = _folder_and_rules(paths or (), rules)
        if folder is not None and incident:
            raise UsageError("--incident needs a simulated sale: remove the folder")
        every_s = None if every is None else _every_s(every)
        until_ms = None if until is None else parse_time("--until", until)
        result = _rehearse(settings, rules, folder, tuple(incident or ()), (seed, rate, duration), every_s, until_ms)
        if report is not None:
            try:
                report.write_text(result.html(), encoding="utf-8")
            except OSError as error:
                raise SalepulseError(f"{report} cannot be written: {error.strerror or error}") from None
    if as_json:
        print_json(result.facts())
        return
    from alerts.rehearsal.report import HEADER, INCIDENT_HEADER

    print_table(HEADER, result.rows(), right=range(1, len(HEADER)), styles=("bold",))
    if result.truth is not None:
        typer.echo()
        print_table(INCIDENT_HEADER, result.incidents(), right=(3, 4), styles=("bold",))
    typer.echo()
    print_table(("at", "until", "severity", "verdict", "page"), result.pages())
    print_note(result.verdict())


def _folder_and_rules(paths: Sequence[Path], rules: Path | None) -> tuple[Path | None, Path | None]:
    """Assign positional arguments by file type, and merge them with the options."""
    given = [path for path in paths if path.suffix in (".yaml", ".yml")]
    folders = [path for path in paths if path not in given]
    if len(folders) > 1:
        raise UsageError(f"{folders[1]}: more than one folder: remove it")
    if len(given) + (rules is not None) > 1:
        raise UsageError("two files of rules: remove one")
    return next(iter(folders), None), next(iter(given), rules)


def _rehearse(
    settings: Settings,
    rules: Path | None,
    folder: Path | None,
    incidents: tuple[str, ...],
    sale: tuple[int, float, float],
    every_s: float | None,
    until_ms: int | None,
) -> Report:
    from alerts.rehearsal.pace import pace
    from alerts.rehearsal.play import play
    from alerts.rehearsal.rehearsal import Rehearsal
    from alerts.rehearsal.report import report
    from alerts.rehearsal.sources import recorded, simulated
    from alerts.rules.loader import RuleLoader
    from alerts.settings import rules_path, shop_info
    from streams.simulate import SimulationConfig

    loaded = RuleLoader(rules or rules_path(settings)).loaded.rules
    if folder is not None:
        source = recorded(folder)
    else:
        seed, rate, duration = sale
        source = simulated(
            SimulationConfig.sized(seed=seed, rate=rate, duration_s=duration, compress=False, incidents=incidents)
        )
    start_ms, end_ms = source.span_ms
    length_ms = max(0, min(end_ms, until_ms or end_ms) - start_ms)
    chosen = pace(length_ms / 1000, every_s)
    print_note(chosen.describe())
    if left_out := chosen.describe_left_out(loaded):
        print_note(left_out)
    fitting_rules = chosen.fitting(loaded)
    rehearsal = Rehearsal(settings, fitting_rules, every_s=chosen.every_s, until_ms=until_ms)
    with progress("rehearsing") as show_progress:

        def snapshots() -> Iterator[DetectionInputs]:
            for snapshot in rehearsal.snapshots(source.messages):
                done_ms = min(max(0, snapshot.as_of_ms - start_ms), length_ms)
                show_progress(f"at {format_utc(snapshot.as_of_ms)}", done_ms, length_ms)
                yield snapshot

        played = play(fitting_rules, snapshots(), step_s=chosen.step_s)
    return replace(report(loaded, played, source.truth, rehearsal.course, chosen), shop=shop_info(settings))


def _every_s(given: str) -> float:
    """Seconds of `--every`; a plain number is in seconds."""
    from consumers.times import parse_duration

    try:
        every_s = float(given) if given.replace(".", "", 1).isdigit() else parse_duration(given)
    except ValueError as error:
        raise UsageError(f"--every: {error}") from None
    if every_s < 1:
        raise UsageError(f"--every: {given} is too short: write at least 1s")
    return every_s
