"""Find the days of folders, and rehearse each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alerts.detection.inputs import DetectionInputs
from alerts.rehearsal.incident_rates import IncidentRates
from alerts.rehearsal.pace import RehearsalPace
from alerts.rehearsal.play import RehearsalResult, play
from alerts.rehearsal.rehearsal import Rehearsal, SaleTimeline
from alerts.rehearsal.score import DetectedIncident, Score, score
from alerts.rehearsal.sources import RehearsalSource, recorded
from alerts.rehearsal.truth import TRUTH, ActualIncident
from alerts.rules.detect import HealthCheckDetector, StockDetector, ThresholdDetector
from alerts.rules.rule import Rules
from consumers.errors import UsageError
from consumers.ndjson import holds_recordings
from streams.settings import Settings

LAYOUT = f"a folder for each day, such as DAYS/2025-11-11 with orders.ndjson.gz, clicks.ndjson.gz and {TRUTH}"
_LIMIT_DETECTORS = (ThresholdDetector, StockDetector, HealthCheckDetector)
"""Detectors that compare a number with a limit; the others conclude from evidence."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One sale against the rules."""

    played: RehearsalResult
    course: SaleTimeline
    rates: IncidentRates


@dataclass(frozen=True, slots=True)
class RehearsedDay:
    """One day of several, scored."""

    name: str
    score: Score
    """Of this day alone."""


def is_day(folder: Path) -> bool:
    """Whether a folder holds recordings itself; if not, it is a folder of days."""
    return folder.is_dir() and holds_recordings(folder)


def find_days(paths: Sequence[Path]) -> list[Path]:
    """The days among these folders and directly in them, in order. Raises UsageError for a folder without days, and for
    a day without `incidents.json`, which cannot be scored."""
    days: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder of recorded events")
        found = [path] if is_day(path) else sorted(child for child in path.iterdir() if is_day(child))
        if not found:
            raise UsageError(f"{path} has no recorded day: expected {LAYOUT}")
        days += found
    if unknown := [day for day in days if not (day / TRUTH).is_file()]:
        others = f" (and {len(unknown) - 1} more days)" if len(unknown) > 1 else ""
        raise UsageError(
            f"{unknown[0]} has no {TRUTH}{others}, so its pages cannot be scored: "
            f'write {{"incidents": []}} there if nothing went wrong, or leave it out'
        )
    return days


def rehearse_source(
    settings: Settings,
    rules: Rules,
    source: RehearsalSource,
    pace: RehearsalPace,
    *,
    until_ms: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Rehearsed:
    """Play one sale. `on_progress` gets the as-of of each evaluation, epoch ms."""
    rehearsal = Rehearsal(settings, rules, every_s=pace.every_s, until_ms=until_ms)
    rates = IncidentRates(() if source.truth is None else source.truth.incidents)

    def watched() -> Iterator[DetectionInputs]:
        for snapshot in rehearsal.snapshots(source.messages):
            on_progress(snapshot.as_of_ms)
            rates.take(snapshot.panes)
            yield snapshot

    return Rehearsed(play(rules, watched(), step_s=pace.step_s), rehearsal.course, rates)


def add_score(total: Score, rules: Rules, source: RehearsalSource, done: Rehearsed) -> list[DetectedIncident]:
    """Score a sale, with the bounds of its incidents."""
    plain = {rule.name for rule in rules.rules if isinstance(rule.detect, _LIMIT_DETECTORS)}
    incidents = () if source.truth is None else source.truth.incidents
    detected = score(total, done.played, [_priced(incident, done.rates) for incident in incidents], plain)
    for incident, stated in zip(detected, incidents, strict=True):
        incident.bound = done.rates.bound(stated)
    return detected


def _priced(incident: ActualIncident, rates: IncidentRates) -> ActualIncident:
    """The incident with its loss: as stated, or else from the rates before it."""
    if incident.lost_per_minute is not None:
        return incident
    return replace(incident, lost_per_minute=rates.lost_per_minute(incident))


def rehearse_day(
    settings: Settings, rules: Rules, folder: Path, pace: RehearsalPace, on_progress: Callable[[int], None]
) -> RehearsedDay:
    """Play and score one recorded day."""
    source, total = recorded(folder), Score()
    add_score(total, rules, source, rehearse_source(settings, rules, source, pace, on_progress=on_progress))
    return RehearsedDay(folder.name, total)
