"""Clock offsets are read from the metrics that workers publish."""

from __future__ import annotations

from prometheus_client import generate_latest

from streams.worker.clock_offsets import clock_offsets
from streams.worker.metrics import WorkerMetrics


def left(offset_s: float, **ahead: float) -> str:
    metrics = WorkerMetrics()
    metrics.clock_offset.set(offset_s)
    for source, seconds in ahead.items():
        metrics.source_ahead.labels("orders", source).set(seconds)
    return generate_latest(metrics.registry).decode()


def test_reads_worker_offsets_and_the_largest_offset_per_source() -> None:
    found = clock_offsets({"a": (5_000, left(-600, till=240)), "b": (5_000, left(0.1, till=230, shop=3))}, 4_000)
    assert found.workers == {"a": -600, "b": 0.1}
    assert found.sources == {("orders", "till"): 240, ("orders", "shop"): 3}


def test_ignores_silent_workers_and_other_versions() -> None:
    found = clock_offsets({"a": (1_000, left(90, till=240)), "alerts-1": (5_000, "# nothing\n")}, 4_000)
    assert (found.workers, found.sources) == ({}, {})


def test_source_names_may_hold_any_character() -> None:
    name = 'a"b\\c{}\nd, e=1'
    metrics = WorkerMetrics()
    metrics.source_ahead.labels("orders", name).set(3)
    found = clock_offsets({"a": (5_000, generate_latest(metrics.registry).decode())}, 0)
    assert found.sources == {("orders", name): 3}
