"""Clock offsets that workers publish in their metrics: their own and those of producers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from streams.worker.metrics import SOURCE_AHEAD, WORKER_CLOCK


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """Offsets from Redis's clock."""

    workers: Mapping[str, float]
    """# <worker: seconds ahead, negative if behind>"""
    sources: Mapping[tuple[str, str], float]
    """# <(topic, source): seconds ahead>, the largest that any worker measured"""


NO_CLOCK_OFFSETS = ClockOffsets({}, {})


def clock_offsets(workers: Mapping[str, tuple[int, str]], since_ms: int) -> ClockOffsets:
    """Read the offsets from metrics that workers published since `since_ms`; the keys of `workers` are worker ids."""
    own: dict[str, float] = {}
    sources: dict[tuple[str, str], float] = {}
    for worker, (published_ms, text) in sorted(workers.items()):
        if published_ms < since_ms:
            continue
        for name, labels, seconds in _samples(text):
            if name == WORKER_CLOCK:
                own[worker] = seconds
            else:
                source = labels.get("topic", ""), labels.get("source", "")
                sources[source] = max(sources.get(source, 0.0), seconds)
    return ClockOffsets(own, sources)


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """The samples of both metric families, without parsing the rest of the text."""
    lines = [line for line in text.splitlines() if line.startswith((WORKER_CLOCK, SOURCE_AHEAD))]
    for family in text_string_to_metric_families("\n".join((*lines, ""))):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
