"""Clock offsets that workers publish in their metrics: their own and those of producers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.worker.metrics import SOURCE_AHEAD, WORKER_CLOCK
from streams.worker.published_metrics import published_samples


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
    for worker, name, labels, seconds in published_samples(workers, since_ms, (WORKER_CLOCK, SOURCE_AHEAD)):
        if name == WORKER_CLOCK:
            own[worker] = seconds
        else:
            source = labels.get("topic", ""), labels.get("source", "")
            sources[source] = max(sources.get(source, 0.0), seconds)
    return ClockOffsets(own, sources)
