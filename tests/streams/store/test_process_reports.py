"""Processes' reports in Redis, and what doctor and the alert rules read from them."""

from __future__ import annotations

import msgspec

from streams.store.process_reports import (
    DedupReport,
    ProcessReport,
    SourceAhead,
    clock_offsets,
    decode_report,
    encode_report,
    refusal_reports,
)
from streams.store.refusal_kinds import RedisRefusal


def worker(at_ms: int, offset_s: float, **ahead: float) -> ProcessReport:
    sources = tuple(SourceAhead("orders", source, seconds) for source, seconds in ahead.items())
    return ProcessReport(at_ms=at_ms, clock_offset_s=offset_s, sources_ahead=sources)


def test_a_report_is_read_as_it_was_written() -> None:
    report = ProcessReport(
        at_ms=5_000,
        records=7,
        clock_offset_s=-0.5,
        sources_ahead=(SourceAhead("orders", 'a"b\\c{}\nd, e=1', 3.5),),
        refused=(RedisRefusal.LOGIN,),
        dedup={"orders": DedupReport(60, 3_600, 12)},
    )
    assert decode_report(encode_report(report)) == report


def test_reports_of_other_versions_are_read_if_possible() -> None:
    assert decode_report('{"at_ms": 5, "added": [1]}') == ProcessReport(at_ms=5)
    for text in ("", "{}", '{"at_ms": 5, "refused": ["unheard"]}', b"5\nsalepulse_rebalances_total 1.0\n"):
        assert decode_report(text) is None


def test_a_report_of_alerts_is_the_time_only() -> None:
    assert msgspec.json.decode(encode_report(ProcessReport(at_ms=5))) == {"at_ms": 5}


def test_clock_offsets_of_workers_and_the_largest_of_each_source() -> None:
    found = clock_offsets({"a": worker(5_000, -600, till=240), "b": worker(5_000, 0.1, till=230, shop=3)}, 4_000)
    assert found.workers == {"a": -600, "b": 0.1}
    assert found.sources == {("orders", "till"): 240, ("orders", "shop"): 3}


def test_clock_offsets_of_silent_workers_and_of_alerts_are_ignored() -> None:
    found = clock_offsets({"a": worker(1_000, 90, till=240), "alerts-1": ProcessReport(at_ms=5_000)}, 4_000)
    assert (found.workers, found.sources) == ({}, {})


def test_refusals_of_silent_workers_are_ignored() -> None:
    denied = (RedisRefusal.NOPERM,)
    reports = {"a": ProcessReport(at_ms=1_000, refused=denied), "b": ProcessReport(at_ms=20_000, refused=denied)}
    assert [report.worker for report in refusal_reports(reports, 20_000)] == ["b"]
