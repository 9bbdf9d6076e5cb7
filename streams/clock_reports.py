"""What workers report of clocks in their metrics: their own, and those of producers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.metrics import SOURCE_AHEAD, WORKER_CLOCK
from streams.worker_reports import reported


@dataclass(frozen=True, slots=True)
class ClockReports:
    """The clocks that were compared with Redis's."""

    workers: Mapping[str, float]
    """# <worker: seconds ahead of it; behind: negative>"""
    sources: Mapping[tuple[str, str], float]
    """# <(topic, source): seconds ahead of it>; by the worker that saw it furthest ahead"""


NO_REPORTS = ClockReports({}, {})


def clock_reports(workers: Mapping[str, tuple[int, str]], since_ms: int) -> ClockReports:
    """From what each worker left at a moment; of those that were heard of since then."""
    own: dict[str, float] = {}
    sources: dict[tuple[str, str], float] = {}
    for worker, name, labels, seconds in reported(workers, since_ms, (WORKER_CLOCK, SOURCE_AHEAD)):
        if name == WORKER_CLOCK:
            own[worker] = seconds
        else:
            source = labels.get("topic", ""), labels.get("source", "")
            sources[source] = max(sources.get(source, 0.0), seconds)
    return ClockReports(own, sources)
