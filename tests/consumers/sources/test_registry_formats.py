"""Random events in Avro, Protobuf and framed JSON are mapped to exactly the events of the contract."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from consumers.contract.decoding import decode_batch
from consumers.settings import IngestSettings
from consumers.sources.inputs import load_inputs
from consumers.topics import SourceTopic, Topic
from tests.consumers.sources.builders import record
from tests.support.events import some_events
from tests.support.registry_formats import (
    CLICKS,
    ORDER_INDEXES,
    ORDERS,
    avro_click,
    protobuf_order,
    register,
    sources,
)
from tests.support.schema_registry import SchemaRegistry, framed
from tests.support.seed import rng

__all__ = ["rng"]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("topic", "own"), [(Topic.CLICKS, CLICKS), (Topic.ORDERS, ORDERS)])
def test_the_events_are_those_of_the_contract(
    tmp_path: Path, rng: Random, topic: Topic, own: SourceTopic, version: int
) -> None:
    events = [_without_empty(event) for event in some_events(topic, 300, rng.randrange(10**6))]
    with SchemaRegistry() as registry:
        ids = register(registry)
        file = tmp_path / "sources.yaml"
        file.write_text(sources(registry.url))
        inputs = load_inputs(IngestSettings(sources=str(file)), exponent=2)
        if topic is Topic.CLICKS:
            values = [framed(ids[f"avro{version}"], avro_click(event, version, rng)) for event in events]
        else:
            schema_id = ids[f"protobuf{version}"]
            values = [framed(schema_id, protobuf_order(event, version), ORDER_INDEXES) for event in events]
        assert inputs.schema_loader is not None
        asyncio.run(inputs.schema_loader.load(inputs.schema_loader.missing(values, 0), 0))
    batch = inputs.sources[own].read(0, [record(value, offset) for offset, value in enumerate(values)])
    assert batch.rejected == []
    assert batch.events[topic].events == decode_batch(topic, [json.dumps(event).encode() for event in events]).events


def _without_empty(value: Any) -> Any:
    """An event without empty labels, which are absent: the contract's decoder keeps them as they are."""
    if isinstance(value, dict):
        return {name: _without_empty(given) for name, given in value.items() if given != ""}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
