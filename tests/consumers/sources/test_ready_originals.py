"""Ready files make exactly the events that the originals are, for random messages of the real shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from consumers.sources.ready import ready_files
from consumers.unpacking.record import Record
from tests.support.ready_formats import READY_TOPICS, encoded, events_of, messages
from tests.support.seed import rng

__all__ = ["rng"]

_ABSENT: tuple[object, ...] = (None, "", [], ())


def given(event: Any) -> Mapping[str, Any]:
    """The fields of an event that are present, without its producer and currency."""
    fields = dict(event)
    if "items" in fields:
        fields["items"] = [
            {name: value for name, value in item.items() if value not in _ABSENT} for item in fields["items"]
        ]
    return {
        name: value for name, value in fields.items() if value not in _ABSENT and name not in ("source", "currency")
    }


def without_absent(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in fields.items() if value not in _ABSENT}


def test_every_ready_file_makes_the_events_of_its_originals(rng: Random) -> None:
    originals = list(messages(rng, 60))
    sources = {found.topic: found for ready in ready_files() for found in ready.compiled(2)}
    assert sources.keys() == set(READY_TOPICS)
    for topic, source in sources.items():
        of_topic = [original for original in originals if original.topic == topic]
        records = [
            Record(offset, None, message.key, message.value, message.headers)
            for offset, message in enumerate(encoded(original, rng) for original in of_topic)
        ]
        batch = source.read(0, records)
        assert batch.rejected == []
        made: dict[int, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
        for contract_topic, decoded in batch.events.items():
            for index, event in zip(decoded.indexes, decoded.events, strict=True):
                made[index].append((contract_topic, given(msgspec.to_builtins(event))))
        for index, original in enumerate(of_topic):
            wanted = [(event.topic, given(event.fields)) for event in events_of(original)]
            assert sorted(made[index], key=str) == sorted(wanted, key=str), original
