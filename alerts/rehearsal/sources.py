"""The input of a rehearsal: recorded or simulated messages, and the actual incidents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from alerts.rehearsal.truth import SaleTruth, described_truth, read_truth
from consumers.errors import UsageError
from consumers.ndjson import Recording, find_recordings, read_merged, span_ms
from consumers.topics import EVENT_TOPICS, Topic
from streams.simulate import Season, SimulationConfig
from streams.simulate.folder import describe_incidents

_STEP_MS = 1000


class Arrival(NamedTuple):
    """One message."""

    at_ms: int
    """Arrival time; 0: before the sale."""
    topic: Topic
    value: bytes


@dataclass(frozen=True, slots=True)
class RehearsalSource:
    """Messages in order of arrival, and the actual incidents if known."""

    messages: Iterator[Arrival]
    truth: SaleTruth | None
    """None: unknown; pages are then neither right nor false."""
    span_ms: tuple[int, int]
    """Approximate time from the first to the last message."""


def recorded(folder: Path) -> RehearsalSource:
    """Read recordings as `salepulse replay` does, with the incidents that `salepulse simulate --out` wrote beside them.

    Raises UsageError if the folder or its file of incidents is invalid.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of recorded events")
    truth = read_truth(folder)
    recordings = find_recordings([folder])
    spans = [span for recording in recordings if recording.topic in EVENT_TOPICS and (span := span_ms(recording))]
    first_ms = min((start_ms for start_ms, _ in spans), default=0)
    return RehearsalSource(
        _lines(recordings), truth, (first_ms, max((end_ms for _, end_ms in spans), default=first_ms))
    )


def _lines(recordings: Sequence[Recording]) -> Iterator[Arrival]:
    for line in read_merged(recordings):
        if line.topic is Topic.PROMOTIONS or line.topic in EVENT_TOPICS:
            yield Arrival(line.at_ms or 0, line.topic, line.value)


def simulated(config: SimulationConfig) -> RehearsalSource:
    """A sale with the incidents of its configuration."""
    season = Season(config)
    truth = described_truth(describe_incidents(season.present.world))
    return RehearsalSource(season_messages(season), truth, (season.start_ms, config.end_ms))


def season_messages(season: Season) -> Iterator[Arrival]:
    """Its messages in order of arrival."""
    for batch in season.batches(_STEP_MS):
        for topic, _, _, value in batch.messages:
            yield Arrival(0 if topic == Topic.PROMOTIONS else batch.arrival_ms - 1, Topic(topic), value)
