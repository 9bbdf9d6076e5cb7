"""Deduplication horizons that workers report, and the memory that would extend them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.times import format_rough_duration
from streams.store.process_reports import DedupReport, ProcessReports, recent_reports

_STEP_MB = 16


@dataclass(frozen=True, slots=True)
class ShortHorizon:
    """A worker deduplicates a topic over a shorter time than its settings promise."""

    worker: str
    topic: str
    horizon_s: float
    promised_s: float
    needed_share: float
    """Multiple of its memory for event ids that it needs."""

    @property
    def text(self) -> str:
        """The problem in one sentence.

        >>> ShortHorizon("w-1", "orders", 21_600, 86_400, 4.0).text
        'worker w-1 deduplicates orders over 6 h of 24 h: its memory for event ids is full'
        """
        horizon, promised = format_rough_duration(self.horizon_s * 1000), format_rough_duration(self.promised_s * 1000)
        problem = f"worker {self.worker} deduplicates {self.topic} over {horizon} of {promised}"
        return f"{problem}: its memory for event ids is full"

    def fix(self, memory_mb: int) -> str:
        """Settings that extend the horizon. `memory_mb`: the present dedup_memory_mb."""
        needed_mb = math.ceil(memory_mb * self.needed_share / _STEP_MB) * _STEP_MB
        return (
            f"set dedup_memory_mb (now {memory_mb}) to about {needed_mb} for every worker, or start about "
            f"{math.ceil(self.needed_share)} times as many workers, at most one per partition"
        )


def short_horizons(reports: ProcessReports, since_ms: int) -> list[ShortHorizon]:
    """Short horizons of workers that reported after `since_ms`."""
    return [short for worker, report in recent_reports(reports, since_ms) for short in _of_worker(worker, report.dedup)]


def _of_worker(worker: str, dedup: Mapping[str, DedupReport]) -> Iterator[ShortHorizon]:
    # 0: the worker owns no partition of the topic.
    short = {topic: report for topic, report in dedup.items() if 0 < report.horizon_s < report.promised_s}
    total_ids = sum(report.ids for report in dedup.values())
    needed = sum(
        report.ids * (report.promised_s / report.horizon_s if topic in short else 1) for topic, report in dedup.items()
    )
    for topic, report in short.items():
        share = needed / total_ids if total_ids else report.promised_s / report.horizon_s
        yield ShortHorizon(worker, topic, report.horizon_s, report.promised_s, share)
