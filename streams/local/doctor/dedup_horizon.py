"""Deduplication horizons that workers report, and the memory that would extend them. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumers.times import format_rough_duration
from streams.worker.metrics import DEDUP_HORIZON, DEDUP_IDS, DEDUP_PROMISED
from streams.worker.published_metrics import published_samples

_STEP_MB = 16
Values = defaultdict[str, dict[str, float]]
"""# <name of the metric: <topic: value>>"""


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


def short_horizons(workers: Mapping[str, tuple[int, str]], since_ms: int) -> list[ShortHorizon]:
    """Short horizons of workers that published metrics after `since_ms`. `workers`: <worker: (epoch ms, metrics)>."""
    held: defaultdict[str, Values] = defaultdict(lambda: defaultdict(dict))
    for worker, name, labels, value in published_samples(workers, since_ms, (DEDUP_HORIZON, DEDUP_PROMISED, DEDUP_IDS)):
        held[worker][name][labels.get("topic", "")] = value
    return [short for worker, values in held.items() for short in _of_worker(worker, values)]


def _of_worker(worker: str, held: Values) -> Iterator[ShortHorizon]:
    horizons, promised, ids = held[DEDUP_HORIZON], held[DEDUP_PROMISED], held[DEDUP_IDS]
    # 0: the worker owns no partition of the topic.
    short = {topic: seconds for topic, seconds in horizons.items() if 0 < seconds < promised.get(topic, 0)}
    whole = sum(ids.values())
    needed = sum(count * (promised[topic] / short[topic] if topic in short else 1) for topic, count in ids.items())
    for topic, seconds in short.items():
        share = needed / whole if whole else promised[topic] / seconds
        yield ShortHorizon(worker, topic, seconds, promised[topic], share)
