"""Messages of a source as columns, one for each topic of the contract that they make events of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from consumers.contract.rejection import RejectedMessage
from consumers.dedup import Hashes
from consumers.sources.envelopes import PassedOver
from consumers.sources.source import CompiledSource
from consumers.topics import EVENT_TOPICS, Topic
from consumers.unpacking.record import Record
from streams.fold.columns import CHUNK, Columns, join_columns, plausible_columns
from streams.panes.rows import RowIndex

_SALTS: Mapping[Topic, np.uint64] = {
    topic: np.uint64(0x9E3779B97F4A7C15 * number % 2**64) for number, topic in enumerate(EVENT_TOPICS, 1)
}
"""Make equal event ids of two topics of the contract different."""


@dataclass(slots=True)
class SourceColumns:
    """The events of a batch of a source."""

    columns: list[Columns] = field(default_factory=list)
    """One per topic of the contract, each with at least one event."""
    rejected: list[RejectedMessage] = field(default_factory=list)
    """One per rejected message."""
    passed_over: Counter[PassedOver] = field(default_factory=Counter)
    """Messages that make no event and are not rejected."""


def read_source_columns(
    source: CompiledSource, partition: int, records: Sequence[Record], rows: RowIndex, currency: str | None
) -> SourceColumns:
    """The events and rejections of a batch of messages. No event of a rejected message counts."""
    parts: dict[Topic, list[Columns]] = defaultdict(list)
    result = SourceColumns()
    rejected: dict[int, RejectedMessage] = {}
    for start in range(0, len(records), CHUNK):
        mapped = source.read(partition, records[start : start + CHUNK])
        result.passed_over += mapped.passed_over
        messages = [replace(message, index=start + message.index) for message in mapped.rejected]
        for topic, decoded in mapped.events.items():
            part, implausible = plausible_columns(topic, decoded, start, rows, currency)
            parts[topic].append(part)
            messages += (replace(message, detail=f"{source.topic}: {message.detail}") for message in implausible)
        for message in messages:
            rejected.setdefault(message.index, message)
    result.rejected = [rejected[index] for index in sorted(rejected)]
    for topic, chunks in parts.items():
        columns = _without(join_columns(topic, chunks), rejected)
        if len(columns):
            result.columns.append(replace(columns, ids=_salted(columns.ids, topic)))
    return result


def _without(columns: Columns, rejected: Mapping[int, object]) -> Columns:
    """The columns without events of messages of which another event was rejected."""
    if not rejected:
        return columns
    kept = ~np.isin(columns.indexes, list(rejected))
    return columns if kept.all() else columns.take(np.flatnonzero(kept))


def _salted(ids: Hashes, topic: Topic) -> Hashes:
    salted: Hashes = np.maximum(ids ^ _SALTS[topic], np.uint64(1))
    return salted
