"""What workers report of how far back they know repeats, and the memory that would do. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.feeds import span_text
from streams.metrics import DEDUP_HORIZON, DEDUP_IDS, DEDUP_PROMISED
from streams.worker_reports import reported

_STEP_MB = 16
Values = defaultdict[str, dict[str, float]]
"""# <name of the metric: <topic: value>>"""


@dataclass(frozen=True, slots=True)
class ShortHorizon:
    """A worker knows repeats on a topic for a shorter time than its settings promise."""

    worker: str
    topic: str
    horizon_s: float
    promised_s: float
    needed_share: float
    """How many times the memory that it has for event ids would do."""

    @property
    def text(self) -> str:
        """In a sentence.

        >>> ShortHorizon("w-1", "orders", 21_600, 86_400, 4.0).text
        'worker w-1 knows repeats on orders for 6 h of 24 h: its memory for event ids is full; later ones count twice'
        """
        horizon, promised = span_text(round(self.horizon_s * 1000)), span_text(round(self.promised_s * 1000))
        return (
            f"worker {self.worker} knows repeats on {self.topic} for {horizon} of {promised}: its memory for event ids "
            "is full; later ones count twice"
        )

    def fix(self, memory_mb: int) -> str:
        """What to set. `memory_mb`: what workers have now."""
        needed_mb = math.ceil(memory_mb * self.needed_share / _STEP_MB) * _STEP_MB
        return (
            f"at this rate set dedup_memory_mb (now {memory_mb}) to about {needed_mb} for every worker, or start about "
            f"{math.ceil(self.needed_share)} times as many workers, at most one a partition"
        )


def short_horizons(workers: Mapping[str, tuple[int, str]], since_ms: int) -> list[ShortHorizon]:
    """From what each worker left at a moment; of those that were heard of since then."""
    held: defaultdict[str, Values] = defaultdict(lambda: defaultdict(dict))
    for worker, name, labels, value in reported(workers, since_ms, (DEDUP_HORIZON, DEDUP_PROMISED, DEDUP_IDS)):
        held[worker][name][labels.get("topic", "")] = value
    return [short for worker, values in held.items() for short in _of_worker(worker, values)]


def _of_worker(worker: str, held: Values) -> Iterator[ShortHorizon]:
    horizons, promised, ids = held[DEDUP_HORIZON], held[DEDUP_PROMISED], held[DEDUP_IDS]
    # A topic of which the worker has no partition has a horizon of 0.
    short = {topic: seconds for topic, seconds in horizons.items() if 0 < seconds < promised.get(topic, 0)}
    whole = sum(ids.values())
    needed = sum(count * (promised[topic] / short[topic] if topic in short else 1) for topic, count in ids.items())
    for topic, seconds in short.items():
        share = needed / whole if whole else promised[topic] / seconds
        yield ShortHorizon(worker, topic, seconds, promised[topic], share)
