"""Each worker's own metrics, as it last left them in Redis, with its name as label `worker`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

log = structlog.get_logger()

FORGET_AFTER_MS = 60_000
"""A worker that said nothing for so long has ended."""


def worker_families(workers: Mapping[str, tuple[int, str]], now_ms: int) -> Iterator[Metric]:
    """The families of all workers that are at work, those of one name together."""
    families: dict[str, Metric] = {}
    for worker, (said_ms, text) in sorted(workers.items()):
        if now_ms - said_ms > FORGET_AFTER_MS:
            continue
        try:
            for family in text_string_to_metric_families(text):
                _add(families, worker, family)
        except ValueError:
            log.warning("a worker's metrics cannot be read; is it of another version?", worker=worker)
    yield from families.values()


def _add(families: dict[str, Metric], worker: str, family: Metric) -> None:
    if family.name.endswith("_created"):
        return  # when a counter began: of no use to anybody here
    held = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
    for sample in family.samples:
        held.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
