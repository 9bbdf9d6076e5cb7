"""From the bytes of a batch to events: fast where all is well, careful where it is not.

The hot path decodes with msgspec straight into structs derived from the contract's models. Whatever that refuses is
looked at again with the models themselves (`consumers.classification`), which also find the reason. Bad input is a
value here: nothing in this module raises for what a message holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from pydantic import TypeAdapter, ValidationError

from consumers.classification import Refusal, examine, examine_as, nests_too_deep
from consumers.events import (
    MAX_DEPTH,
    MAX_MESSAGE_BYTES,
    MAX_MONEY,
    MODELS,
    REQUIRED_BY_TYPE,
    Label,
    Promotion,
    order_amount,
)
from consumers.rejects import Reason, Rejected
from consumers.structs import struct_of
from consumers.topics import Topic

_CHUNK = 256
"""Messages that are checked together. A bad one costs its chunk about one more pass."""

STRUCTS: Mapping[Topic, type[msgspec.Struct]] = {topic: struct_of(model) for topic, model in MODELS.items()}
"""What `decode_batch` makes of each event topic: the model's fields, absent ones None."""

_DECODERS = {topic: msgspec.json.Decoder(struct) for topic, struct in STRUCTS.items()}
_LABEL = TypeAdapter(Label)


@dataclass(slots=True)
class Decoded:
    """A decoded batch."""

    events: list[Any] = field(default_factory=list)
    """The topic's structs (`STRUCTS`), in the batch's order."""
    positions: list[int] = field(default_factory=list)
    """Where each event stood in the batch; parallel to `events`."""
    amounts: list[int] | None = None
    """On orders: each order's amount in minor units, parallel to `events`. None on other topics."""
    rejected: list[Rejected] = field(default_factory=list)
    """The rest of the batch, in order."""


def decode_batch(topic: Topic, values: Sequence[bytes | None]) -> Decoded:
    """Decode the values of messages on one event topic (`EVENT_TOPICS`); every value is an event or rejected."""
    decoded = Decoded(amounts=[] if topic is Topic.ORDERS else None)
    for start in range(0, len(values), _CHUNK):
        _decode_chunk(topic, values[start : start + _CHUNK], start, decoded)
    return decoded


@dataclass(frozen=True, slots=True)
class PromotionChange:
    """What one message on `promotions` does."""

    promotion_id: str
    promotion: Promotion | None
    """The definition now in force; None deletes it."""


def decode_promotion(key: bytes | None, value: bytes | None) -> PromotionChange | Rejected:
    """Decode one message of `promotions`. A missing key is taken from the value; one that differs is refused.

    A `Rejected` has index 0.
    """
    try:
        name = None if key is None else _promotion_key(key)
        if value is None:
            if name is None:
                raise Refusal(Reason.EMPTY, "neither key nor value: to delete a promotion, send its id as the key")
            return PromotionChange(name, None)
        promotion = examine_as(Promotion, value)
        if name not in (None, promotion.promotion_id):
            raise Refusal(Reason.OUT_OF_RANGE, "`promotion_id` differs from the message's key: send the id as the key")
        return PromotionChange(promotion.promotion_id, promotion)
    except Refusal as refusal:
        return refusal.at(0)


def _decode_chunk(topic: Topic, values: Sequence[bytes | None], start: int, decoded: Decoded) -> None:
    """Add the values to `decoded`; where one is bad, halve until it stands alone."""
    if _add_all(topic, values, start, decoded):
        return
    if len(values) > 1:
        half = len(values) // 2
        _decode_chunk(topic, values[:half], start, decoded)
        _decode_chunk(topic, values[half:], start + half, decoded)
        return
    try:
        # What the model accepts is an event, whatever the fast decoder thought of it.
        event: Any = msgspec.convert(examine(topic, values[0]).model_dump(), STRUCTS[topic])
    except Refusal as refusal:
        decoded.rejected.append(refusal.at(start))
        return
    decoded.events.append(event)
    decoded.positions.append(start)
    if decoded.amounts is not None:
        decoded.amounts.append(order_amount(event))


def _add_all(topic: Topic, values: Sequence[bytes | None], start: int, decoded: Decoded) -> bool:
    """Add the values if every one is an event, else none. Accepts nothing that the topic's model would refuse."""
    if (events := _decode_all(topic, values)) is None:
        return False
    if topic is not Topic.CLICKS and not _complete(events):
        return False
    if decoded.amounts is not None:
        amounts = list(map(order_amount, events))
        if min(amounts) < 0 or max(amounts) > MAX_MONEY:
            return False
        decoded.amounts += amounts
    decoded.events += events
    decoded.positions += range(start, start + len(values))
    return True


def _decode_all(topic: Topic, values: Sequence[bytes | None]) -> list[Any] | None:
    """The structs, if every value is well-formed and fits; else None."""
    decode = _DECODERS[topic].decode
    try:
        joined = b"".join(values)  # type: ignore[arg-type]  # a None is a TypeError, like other bad values
        if len(joined) > MAX_MESSAGE_BYTES and max(map(len, values)) > MAX_MESSAGE_BYTES:  # type: ignore[arg-type]
            return None
        events = list(map(decode, values))  # type: ignore[arg-type]
        if not joined.isascii():
            joined.decode()  # msgspec does not look into the strings of unknown fields
    except Exception:  # of any kind: RecursionError and UnicodeDecodeError are no DecodeError
        return None
    # Every value opens at least its own object, so a value with 33 openings makes this many in all. On clicks that
    # settles it; orders, with their items, are counted one by one.
    openings = np.count_nonzero(np.frombuffer(joined, np.uint8) | 0x20 == ord("{"))  # "[" | 0x20 is "{"
    if openings >= len(values) + MAX_DEPTH and any(map(nests_too_deep, values)):  # type: ignore[arg-type]
        return None
    return events


def _complete(events: list[Any]) -> bool:
    """Whether each event has what its type requires beyond what its topic does."""
    for event in events:
        for name in REQUIRED_BY_TYPE.get(event.type, ()):
            if getattr(event, name) is None:
                return False
    return True


def _promotion_key(key: bytes) -> str:
    try:
        return _LABEL.validate_python(key.decode())
    except (UnicodeDecodeError, ValidationError):
        raise Refusal(Reason.OUT_OF_RANGE, "the key is no promotion id of 1 to 128 characters in UTF-8") from None
