"""`salepulse alerts rehearse`: replay a sale against the rules."""

from __future__ import annotations

from collections.abc import Sequence
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
    from alerts.rehearsal.pace import RehearsalPace
    from alerts.rehearsal.report import Report
    from alerts.rehearsal.sources import RehearsalSource
    from alerts.rehearsal.summary import DaysSummary
    from alerts.rules.rule import Rules

app = typer.Typer()


@app.command()
def rehearse(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]... [RULES.yaml]",
            help="Folder of recorded events, as for `salepulse replay`, or several, or a folder with one for each day, "
            "such as DAYS/2025-11-11/orders.ndjson.gz; file of rules. Default: a simulated sale.",
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
    from --incident. Several days give one table: false pages a day with their confidence interval, and for each kind of
    incident recall, delay against the least possible one, pages, names and money. Each day needs its incidents.json;
    `{"incidents": []}` is a calm day.
    """
    settings = load_settings(Settings)
    with report_errors():
        folders, rules = _folders_and_rules(paths or (), rules)
        if folders and incident:
            raise UsageError("--incident needs a simulated sale: remove the folder")
        every_s = None if every is None else _every_s(every)
        until_ms = None if until is None else parse_time("--until", until)
        if _are_days(folders):
            if report is not None or until is not None:
                raise UsageError("--report and --until need one sale: name one day")
            _print_days(_rehearse_days(settings, rules, folders, every_s), as_json=as_json)
            return
        sale = _sale(folders, tuple(incident or ()), (seed, rate, duration))
        result = _rehearse(settings, rules, sale, every_s, until_ms)
        if report is not None:
            try:
                report.write_text(result.html(), encoding="utf-8")
            except OSError as error:
                raise SalepulseError(f"{report} cannot be written: {error.strerror or error}") from None
    _print_sale(result, as_json=as_json)


def _folders_and_rules(paths: Sequence[Path], rules: Path | None) -> tuple[list[Path], Path | None]:
    """Assign positional arguments by file type, and merge them with the options."""
    given = [path for path in paths if path.suffix in (".yaml", ".yml")]
    if len(given) + (rules is not None) > 1:
        raise UsageError("two files of rules: remove one")
    return [path for path in paths if path not in given], next(iter(given), rules)


def _are_days(folders: Sequence[Path]) -> bool:
    from alerts.rehearsal.days import is_day

    return len(folders) > 1 or any(folder.is_dir() and not is_day(folder) for folder in folders)


def _sale(folders: Sequence[Path], incidents: tuple[str, ...], simulation: tuple[int, float, float]) -> RehearsalSource:
    """The recorded sale, or a simulated one of this (seed, rate, duration)."""
    from alerts.rehearsal.sources import recorded, simulated
    from streams.simulate import SimulationConfig

    if folders:
        return recorded(folders[0])
    seed, rate, duration = simulation
    return simulated(
        SimulationConfig.sized(seed=seed, rate=rate, duration_s=duration, compress=False, incidents=incidents)
    )


def _rehearse(
    settings: Settings, rules: Path | None, source: RehearsalSource, every_s: float | None, until_ms: int | None
) -> Report:
    from alerts.rehearsal.days import rehearse_source
    from alerts.rehearsal.report import report
    from alerts.settings import shop_info

    start_ms, end_ms = source.span_ms
    length_ms = max(0, min(end_ms, until_ms or end_ms) - start_ms)
    loaded, chosen = _rules_and_pace(settings, rules, length_ms, every_s)
    with progress("rehearsing") as show_progress:

        def show(as_of_ms: int) -> None:
            show_progress(f"at {format_utc(as_of_ms)}", min(max(0, as_of_ms - start_ms), length_ms), length_ms)

        fitting_rules = chosen.fitting(loaded)
        done = rehearse_source(settings, fitting_rules, source, chosen, until_ms=until_ms, on_progress=show)
    return replace(report(loaded, source, done, chosen), shop=shop_info(settings))


def _rehearse_days(
    settings: Settings, rules: Path | None, folders: Sequence[Path], every_s: float | None
) -> DaysSummary:
    from alerts.rehearsal.days import find_days, rehearse_day
    from alerts.rehearsal.sources import recorded
    from alerts.rehearsal.summary import DaysSummary
    from alerts.settings import shop_info

    days = find_days(folders)
    spans = [recorded(day).span_ms for day in days]
    loaded, chosen = _rules_and_pace(settings, rules, max(end_ms - start_ms for start_ms, end_ms in spans), every_s)
    total_ms = sum(end_ms - start_ms for start_ms, end_ms in spans)
    rehearsed, done_ms = [], 0
    with progress("rehearsing") as show_progress:
        for day, (start_ms, end_ms) in zip(days, spans, strict=True):

            def show(as_of_ms: int, day: Path = day, start_ms: int = start_ms, before_ms: int = done_ms) -> None:
                show_progress(f"{day.name} at {format_utc(as_of_ms)}", before_ms + as_of_ms - start_ms, total_ms)

            rehearsed.append(rehearse_day(settings, chosen.fitting(loaded), day, chosen, show))
            done_ms += end_ms - start_ms
    return DaysSummary(rehearsed, shop_info(settings))


def _rules_and_pace(
    settings: Settings, rules: Path | None, length_ms: int, every_s: float | None
) -> tuple[Rules, RehearsalPace]:
    """The requested rules, and the pace for a sale of this length, which is printed."""
    from alerts.rehearsal.pace import pace
    from alerts.rules.loader import RuleLoader
    from alerts.settings import rules_path

    loaded = RuleLoader(rules or rules_path(settings)).loaded.rules
    chosen = pace(length_ms / 1000, every_s)
    print_note(chosen.describe())
    if left_out := chosen.describe_left_out(loaded):
        print_note(left_out)
    return loaded, chosen


def _print_sale(result: Report, *, as_json: bool) -> None:
    from alerts.rehearsal.report import HEADER, INCIDENT_HEADER

    if as_json:
        print_json(result.to_json())
        return
    print_table(HEADER, result.rows(), right=range(1, len(HEADER)), styles=("bold",))
    if result.truth is not None:
        typer.echo()
        print_table(INCIDENT_HEADER, result.incidents(), right=(3, 4, 5), styles=("bold",))
    typer.echo()
    print_table(("at", "until", "severity", "verdict", "page"), result.pages())
    print_note(result.verdict())


def _print_days(summary: DaysSummary, *, as_json: bool) -> None:
    from alerts.rehearsal.summary import DAY_HEADER, KIND_HEADER

    if as_json:
        print_json(summary.to_json())
        return
    print_table(
        KIND_HEADER, [kind.row() for kind in summary.kinds()], right=range(1, len(KIND_HEADER)), styles=("bold",)
    )
    typer.echo()
    print_table(DAY_HEADER, summary.day_rows(), right=range(1, len(DAY_HEADER)), styles=("bold",))
    if missed := summary.missed():
        typer.echo()
        print_table(("day", "missed incident", "at", "reason"), missed)
    if wrong := summary.wrong_pages():
        typer.echo()
        print_table(("day", "at", "verdict", "series", "page"), wrong)
    print_note(summary.verdict())


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
