"""Functions of the shop that make events of messages. Pure, as far as the functions are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from consumers.contract.events import TOPIC_BY_EVENT_TYPE
from consumers.contract.rejection import RejectionReason
from consumers.sources.values import MappingError
from consumers.topics import Topic
from consumers.unpacking.record import MessageHeaders

EventFunction = Callable[[bytes, MessageHeaders], Iterable[Mapping[str, Any]]]
"""A function of the shop: the events of a message."""


def call_function(
    function: EventFunction, name: str, feeds: Sequence[Topic], value: bytes, headers: MessageHeaders
) -> list[tuple[Topic, bytes]]:
    """The events that a function makes of a message, encoded: (topic of the contract, event). Raises MappingError.

    `name`: of the function in errors. `feeds`: the topics that it may make events of.
    """
    try:
        returned = function(value, headers)
        events = _events_in(returned, name)
        return [(_topic_of(event, name, feeds), msgspec.json.encode(event)) for event in events]
    except MappingError:
        raise
    except (Exception, SystemExit) as error:  # a message must not end the worker
        text = " ".join(str(error).split())
        raise MappingError(RejectionReason.UNMAPPED, f"{name} raised {type(error).__name__}: {text}") from None


def _events_in(returned: Any, name: str) -> list[Mapping[str, Any]]:
    if returned is None:
        return []
    if isinstance(returned, Mapping | str | bytes) or not isinstance(returned, Iterable):
        raise _wrong_result(name, f"returned a {type(returned).__name__}")
    events = list(returned)
    for event in events:
        if not isinstance(event, Mapping):
            raise _wrong_result(name, f"made an event that is a {type(event).__name__}")
    return events


def _wrong_result(name: str, fault: str) -> MappingError:
    return MappingError(RejectionReason.UNMAPPED, f"{name} {fault}: return a list of dicts, one for each event")


def _topic_of(event: Mapping[str, Any], name: str, feeds: Sequence[Topic]) -> Topic:
    given = event.get("type")
    topic = TOPIC_BY_EVENT_TYPE.get(given) if isinstance(given, str) else None
    if topic is None or topic not in feeds:
        raise MappingError(
            RejectionReason.UNKNOWN_TYPE,
            f"{name} made an event of type {given!r}, which {', '.join(feeds)} do not have",
        )
    return topic
