"""Tries sources on sample messages, and finds the ready file that fits samples. Pure."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from consumers.sources.envelopes import PassedOver
from consumers.sources.source import CompiledSource, decode_json
from consumers.sources.values import MappingError
from consumers.unpacking.record import MessageHeaders, Record

_json = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


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
    """The messages in a file: a list of objects, or JSON values one after the other. `null` is a tombstone."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        listed = msgspec.json.decode(content, type=list[msgspec.Raw])
        if listed and all(bytes(message).startswith(b"{") for message in listed):
            return [bytes(message) for message in listed]
    values = _values_in(content) or content.splitlines()
    return [None if value.strip() == b"null" else value for value in values if value.strip()]


def _values_in(content: bytes) -> list[bytes]:
    """JSON values one after the other, each on one line or several; empty if there is anything else."""
    values = []
    try:
        text = content.decode()
        at = _after_space(text, 0)
        while at < len(text):
            end = _json.raw_decode(text, at)[1]
            values.append(text[at:end].encode())
            at = _after_space(text, end)
    except (ValueError, RecursionError):
        return []
    return values


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def try_sample(source: CompiledSource, value: bytes | None, headers: MessageHeaders = ()) -> SampleResult:
    """Map one message, as if it were the first of its topic."""
    batch = source.read(0, [Record(0, None, None, value, headers)])
    if batch.rejected:
        return SampleResult(reason=str(batch.rejected[0].reason), detail=batch.rejected[0].detail)
    if batch.passed_over:
        return SampleResult(passed_over=next(iter(batch.passed_over)))
    structs = [event for events in batch.events.values() for event in events.events]
    return SampleResult([_without_absent(msgspec.to_builtins(event)) for event in structs])


def is_json(value: bytes) -> bool:
    """Whether a sample is JSON."""
    try:
        decode_json(value)
    except MappingError:
        return False
    return True


def fit(source: CompiledSource, values: Sequence[bytes | None], headers: MessageHeaders = ()) -> int:
    """The number of samples that a source makes events of."""
    return sum(bool(try_sample(source, value, headers).events) for value in values)


def _without_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_absent(given) for name, given in value.items() if given is not None}
    return [_without_absent(item) for item in value] if isinstance(value, list | tuple) else value
