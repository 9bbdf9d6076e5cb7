"""Tries sources on sample messages, and finds the ready file that fits samples. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from consumers.sources.envelopes import PassedOver
from consumers.sources.source import CompiledSource
from consumers.unpacking.record import MessageHeaders, Record


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What a source makes of a sample."""

    events: Sequence[Mapping[str, Any]] = ()
    """As messages of the contract have them."""
    passed_over: PassedOver | None = None
    reason: str = ""
    """Of a refusal; empty if there is none."""
    detail: str = ""


def split_samples(content: bytes) -> list[bytes | None]:
    """The messages in a file: one JSON value, a list of objects, or one value per line. `null` is a tombstone."""
    try:
        found = json.loads(content)
    except ValueError:
        return [None if line.strip() == b"null" else line for line in content.splitlines() if line.strip()]
    if isinstance(found, list) and found and all(isinstance(message, dict) for message in found):
        return [json.dumps(message).encode() for message in found]
    return [None if found is None else content]


def try_sample(source: CompiledSource, value: bytes | None, headers: MessageHeaders = ()) -> SampleResult:
    """Map one message, as if it were the first of its topic."""
    batch = source.read(0, [Record(0, None, None, value, headers)])
    if batch.rejected:
        return SampleResult(reason=str(batch.rejected[0].reason), detail=batch.rejected[0].detail)
    if batch.passed_over:
        return SampleResult(passed_over=next(iter(batch.passed_over)))
    structs = [event for events in batch.events.values() for event in events.events]
    return SampleResult([_without_absent(msgspec.to_builtins(event)) for event in structs])


def fit(source: CompiledSource, values: Sequence[bytes | None], headers: MessageHeaders = ()) -> int:
    """The number of samples that a source makes events of."""
    return sum(bool(try_sample(source, value, headers).events) for value in values)


def _without_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_absent(given) for name, given in value.items() if given is not None}
    return [_without_absent(item) for item in value] if isinstance(value, list | tuple) else value
