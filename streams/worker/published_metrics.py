"""Samples from the metrics that workers publish to Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class PublishedSample(NamedTuple):
    """One sample of a worker's metrics."""

    worker: str
    name: str
    labels: Mapping[str, str]
    value: float


def published_samples(
    workers: Mapping[str, tuple[int, str]], since_ms: int, names: tuple[str, ...]
) -> Iterator[PublishedSample]:
    """The samples of some metrics that workers published since `since_ms`. `workers`: <worker: (epoch ms, metrics)>.

    The rest of a worker's text is not parsed.

    >>> list(published_samples({"w": (9, 'a{b="c"} 1.0'), "old": (4, "a 2.0")}, 5, ("a",)))
    [PublishedSample(worker='w', name='a', labels={'b': 'c'}, value=1.0)]
    """
    for worker, (published_ms, text) in sorted(workers.items()):
        if published_ms < since_ms:
            continue
        lines = [line for line in text.splitlines() if line.startswith(names)]
        for family in text_string_to_metric_families("\n".join((*lines, ""))):
            for sample in family.samples:
                yield PublishedSample(worker, sample.name, sample.labels, sample.value)
