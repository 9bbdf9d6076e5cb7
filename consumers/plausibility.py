"""What is checked of decoded events a column at a time: it would cost too much by event, or goes by the settings. Pure.

Times in seconds lie in 1970 when they are taken for milliseconds, which is in the contract's range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from consumers.recognition import SECONDS, recognise_time
from consumers.rejects import Reason
from consumers.topics import Topic

Implausible = tuple[int, Reason, str]
"""(place of the event, reason, detail)"""


def implausible(topic: Topic, fields: Mapping[str, Sequence[Any]], ts: np.ndarray) -> list[Implausible]:
    """The events that break the contract though each of their fields is in its range, each once, by place.

    `fields`: decoded events, field by field; `ts`: their times, as an array.
    """
    found: dict[int, Implausible] = {}
    for place, name, given in _seconds(topic, fields, ts):
        found.setdefault(place, (place, Reason.OUT_OF_RANGE, f"`{name}` is {given}: {recognise_time(given)}"))
    return [found[place] for place in sorted(found)]


def _seconds(topic: Topic, fields: Mapping[str, Sequence[Any]], ts: np.ndarray) -> Iterator[tuple[int, str, int]]:
    for place in np.flatnonzero((ts >= SECONDS.start) & (ts < SECONDS.stop)).tolist():
        yield place, "ts", int(ts[place])
    if topic is Topic.LOGISTICS:
        promises = fields["promised_ts"]
        if promises.count(None) < len(promises):
            for place, promised_ms in enumerate(promises):
                if promised_ms is not None and promised_ms in SECONDS:
                    yield place, "promised_ts", promised_ms
