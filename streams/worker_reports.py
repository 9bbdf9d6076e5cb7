"""What workers report in the metrics that they leave in Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class Reported(NamedTuple):
    """One sample of a worker's metrics."""

    worker: str
    name: str
    labels: Mapping[str, str]
    value: float


def reported(workers: Mapping[str, tuple[int, str]], since_ms: int, names: tuple[str, ...]) -> Iterator[Reported]:
    """The samples of some metrics, from what each worker left at a moment; of those that were heard of since then.

    The rest of a worker's text is not parsed.

    >>> list(reported({"w": (9, 'a{b="c"} 1.0'), "old": (4, "a 2.0")}, 5, ("a",)))
    [Reported(worker='w', name='a', labels={'b': 'c'}, value=1.0)]
    """
    for worker, (left_ms, text) in sorted(workers.items()):
        if left_ms < since_ms:
            continue
        lines = [line for line in text.splitlines() if line.startswith(names)]
        for family in text_string_to_metric_families("\n".join((*lines, ""))):
            for sample in family.samples:
                yield Reported(worker, sample.name, sample.labels, sample.value)
