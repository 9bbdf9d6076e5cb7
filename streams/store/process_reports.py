"""Reports that workers and alerts processes write to Redis each second, for doctor, /readyz and alert rules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from streams.store.refusal_kinds import RedisRefusal

REPORTED_WITHIN_MS = 15_000
"""Older reports are ignored."""


class SourceAhead(msgspec.Struct, frozen=True):
    """A producer whose clock is ahead of Redis's."""

    topic: str
    source: str
    ahead_s: float


class DedupReport(msgspec.Struct, frozen=True):
    """Deduplication of one topic by one worker."""

    horizon_s: float
    """Event time that the held ids cover; 0: the worker owns no partition of the topic."""
    promised_s: float
    """Event time that they should cover by the settings."""
    ids: int


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The report of one process; one of `alerts` has the time only."""

    at_ms: int
    """By Redis's clock."""
    records: int = 0
    """Records in the batches that were applied since the start."""
    clock_offset_s: float | None = None
    """Offset of the machine's clock from Redis's; negative if behind."""
    sources_ahead: tuple[SourceAhead, ...] = ()
    refused: tuple[RedisRefusal, ...] = ()
    """Permissions that Redis denies the worker."""
    dedup: dict[str, DedupReport] = {}
    """# <topic: its deduplication>"""
    setup: str = ""
    """Token of the worker's model and sources; empty: its release has none."""


ProcessReports = Mapping[str, ProcessReport]
"""# <process id: its last report>"""


def encode_report(report: ProcessReport) -> bytes:
    """A report as JSON."""
    return msgspec.json.encode(report)


def decode_report(text: bytes | str) -> ProcessReport | None:
    """A report from JSON; None if a version with other reports wrote it.

    >>> decode_report(b'{"at_ms": 5, "new": 1}').at_ms, decode_report("{}")
    (5, None)
    """
    try:
        return msgspec.json.decode(text, type=ProcessReport)
    except msgspec.DecodeError:
        return None


def recent_reports(reports: ProcessReports, since_ms: int) -> Iterator[tuple[str, ProcessReport]]:
    """The reports since `since_ms`, by process id."""
    return ((name, report) for name, report in sorted(reports.items()) if report.at_ms >= since_ms)


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """Offsets from Redis's clock."""

    workers: Mapping[str, float]
    """# <worker: seconds ahead, negative if behind>"""
    sources: Mapping[tuple[str, str], float]
    """# <(topic, source): seconds ahead>, the largest that any worker measured"""


NO_CLOCK_OFFSETS = ClockOffsets({}, {})


def clock_offsets(reports: ProcessReports, since_ms: int) -> ClockOffsets:
    """The offsets that workers reported since `since_ms`."""
    workers: dict[str, float] = {}
    sources: dict[tuple[str, str], float] = {}
    for worker, report in recent_reports(reports, since_ms):
        if report.clock_offset_s is not None:
            workers[worker] = report.clock_offset_s
        for clock in report.sources_ahead:
            source = clock.topic, clock.source
            sources[source] = max(sources.get(source, 0.0), clock.ahead_s)
    return ClockOffsets(workers, sources)


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """A worker that may not write."""

    worker: str
    why: RedisRefusal


def refusal_reports(reports: ProcessReports, now_ms: int) -> list[RefusalReport]:
    """The permissions that Redis currently denies workers.

    >>> refusal_reports({"w": ProcessReport(at_ms=9, refused=(RedisRefusal.NOPERM,))}, 10)
    [RefusalReport(worker='w', why=<RedisRefusal.NOPERM: 'noperm'>)]
    """
    return [
        RefusalReport(worker, why)
        for worker, report in recent_reports(reports, now_ms - REPORTED_WITHIN_MS)
        for why in report.refused
    ]
