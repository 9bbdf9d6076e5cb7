"""Decodes batches of messages into events, with a fast path for valid ones.

msgspec decodes messages directly into structs derived from the contract's models. Messages it rejects are validated
with the models (`consumers.contract.rejection`), which find the reason. Bad input is a value: nothing in this module
raises for the content of a message.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import asdict, force_setattr
from pydantic import TypeAdapter, ValidationError

from consumers.contract.events import (
    ITEM_LABELS,
    MAX_DEPTH,
    MAX_LABEL,
    MAX_MESSAGE_BYTES,
    MAX_MONEY,
    REQUIRED_BY_TYPE,
    Label,
    Promotion,
    order_amount,
)
from consumers.contract.own_fields import CONTRACTS, NO_OWN_FIELDS, OwnFields, TopicContract, contract_with
from consumers.contract.rejection import (
    RejectedMessage,
    RejectionError,
    RejectionReason,
    nests_too_deep,
    validate_as,
    validate_event,
)
from consumers.contract.structs import struct_from_model
from consumers.topics import Topic

_CHUNK = 256
"""Messages decoded together. If one is bad, its chunk is decoded again one by one."""
_ABSENT = (None, "")
_LABEL = TypeAdapter(Label)


@dataclass(slots=True)
class DecodedBatch:
    """A decoded batch."""

    events: list[Any] = field(default_factory=list)
    """Structs of the topic (`EventDecoder.struct`), in the batch's order."""
    indexes: list[int] = field(default_factory=list)
    """Index of each event in the batch; parallel to `events`."""
    amounts: list[int] | None = None
    """On orders, each order's amount in minor units, parallel to `events`; None on other topics."""
    rejected: list[RejectedMessage] = field(default_factory=list)
    """All other messages of the batch, in order."""
    dropped_labels: list[tuple[int, str]] = field(default_factory=list)
    """Optional labels that were too long: index in the batch and field name."""

    def add(
        self,
        events: Sequence[Any],
        indexes: Sequence[int],
        amounts: Sequence[int] | None,
        dropped_labels: Sequence[str] = (),
    ) -> None:
        """Add events and their amounts; `dropped_labels` requires a single event."""
        self.events += events
        self.indexes += indexes
        if self.amounts is not None and amounts is not None:
            self.amounts += amounts
        self.dropped_labels += [(indexes[0], name) for name in dropped_labels]


class TopicDecoder:
    """Decodes the events of one topic."""

    def __init__(self, contract: TopicContract) -> None:
        self.struct = struct_from_model(contract.model)
        """The model's fields, None if absent; absent labels may also be ""."""
        self._contract = contract
        self._topic = contract.topic
        self._decoder = msgspec.json.Decoder(self.struct)
        self._long_label_decoder = msgspec.json.Decoder(struct_from_model(contract.model, long_labels=True))
        self._list = types.GenericAlias(list, (self.struct,))

    def decode_batch(self, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode the values of messages into events and rejected messages."""
        decoded = self._nothing()
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            if (events := self._decode_all(chunk)) is None or not self._add_valid(events, start, decoded):
                for index, value in enumerate(chunk, start):
                    self._decode_one(value, index, decoded)
        return decoded

    def decode_objects(self, objects: Sequence[Mapping[str, Any]]) -> DecodedBatch:
        """Decode events that are objects already into events and rejected messages; see `EventDecoder`."""
        decoded = self._nothing()
        for start in range(0, len(objects), _CHUNK):
            chunk = objects[start : start + _CHUNK]
            try:
                events = msgspec.convert(chunk, self._list)
            except msgspec.ValidationError:
                events = None
            if events is None or not self._add_valid(events, start, decoded):
                for index, found in enumerate(chunk, start):
                    self._decode_one(msgspec.json.encode(_without_none(found)), index, decoded)
        return decoded

    def _nothing(self) -> DecodedBatch:
        return DecodedBatch(amounts=[] if self._topic is Topic.ORDERS else None)

    def _add_valid(self, events: list[Any], start: int, decoded: DecodedBatch) -> bool:
        """Add structs to `decoded` if each has the fields of its type and a valid amount; whether they were added."""
        if not self._has_required_fields(events):
            return False
        amounts = list(map(order_amount, events)) if self._topic is Topic.ORDERS else None
        if amounts is not None and not (min(amounts) >= 0 and max(amounts) <= MAX_MONEY):
            return False
        decoded.add(events, range(start, start + len(events)), amounts)
        return True

    def _decode_all(self, values: Sequence[bytes | None]) -> list[Any] | None:
        """The structs if every value is valid, else None."""
        try:
            joined = b"".join(values)  # type: ignore[arg-type]  # a None is a TypeError, like other bad values
            if len(joined) > MAX_MESSAGE_BYTES and max(map(len, values)) > MAX_MESSAGE_BYTES:  # type: ignore[arg-type]
                return None
            events = list(map(self._decoder.decode, values))  # type: ignore[arg-type]
            if not joined.isascii():
                joined.decode()  # msgspec does not validate the strings of unknown fields
        except Exception:  # RecursionError and UnicodeDecodeError are no DecodeError
            return None
        # Every value opens at least one object, so 33 levels in one value imply this many openings in total. This
        # suffices for clicks; orders, with their items, are counted one by one.
        openings = np.count_nonzero(np.frombuffer(joined, np.uint8) | 0x20 == ord("{"))  # "[" | 0x20 is "{"
        if openings >= len(values) + MAX_DEPTH and any(map(nests_too_deep, values)):  # type: ignore[arg-type]
            return None
        return events

    def _decode_one(self, value: bytes | None, index: int, decoded: DecodedBatch) -> None:
        """Add one value as an event or a rejected message."""
        dropped_labels: Sequence[str] = ()
        event: Any = _decode_struct(self._decoder, value)
        if event is None and (loose := _decode_struct(self._long_label_decoder, value)) is not None:
            event, dropped_labels = self._without_long_labels(loose)
        if event is not None and self._has_required_fields((event,)):
            amount = order_amount(event) if self._topic is Topic.ORDERS else 0
            if 0 <= amount <= MAX_MONEY:
                decoded.add([event], [index], [amount], dropped_labels)
                return
        try:
            # The model decides: it may accept a message that the fast decoder rejected.
            validated = validate_event(self._contract, value)
        except RejectionError as rejection:
            decoded.rejected.append(rejection.to_rejected(index))
            return
        event = msgspec.convert(validated.event.model_dump(by_alias=True), self.struct)
        amounts = [order_amount(event)] if self._topic is Topic.ORDERS else None
        decoded.add([event], [index], amounts, validated.dropped_labels)

    def _without_long_labels(self, loose: Any) -> tuple[Any, Sequence[str]]:
        """The event without its oversized labels, and their names; None if its type requires one of them."""
        long = [name for name in self._contract.optional_labels if len(getattr(loose, name) or "") > MAX_LABEL]
        if not set(long).isdisjoint(REQUIRED_BY_TYPE.get(loose.type, ())):
            return None, ()
        fields = asdict(loose) | dict.fromkeys(long)
        if self._topic is Topic.ORDERS:
            for item in loose.items:
                for name in ITEM_LABELS:
                    if len(getattr(item, name) or "") > MAX_LABEL:
                        force_setattr(item, name, None)  # frozen, but not shared yet
                        long.append(f"items.{name}")
        return self.struct(**fields), long

    def _has_required_fields(self, events: Sequence[Any]) -> bool:
        """Whether each event has the fields that its type requires in addition to its topic's."""
        if self._topic is Topic.CLICKS:
            return True
        for event in events:
            for name in REQUIRED_BY_TYPE.get(event.type, ()):
                given = getattr(event, name)
                if not given and given in _ABSENT:
                    return False
        return True


_OF_CONTRACT = {topic: TopicDecoder(contract) for topic, contract in CONTRACTS.items()}


class EventDecoder:
    """Decodes events with the fields of the contract, and those added by a model."""

    def __init__(self, own: OwnFields = NO_OWN_FIELDS) -> None:
        self.own = own
        """The added fields."""
        self._of_topic = {
            topic: TopicDecoder(contract_with(topic, own[topic])) if own.get(topic) else decoder
            for topic, decoder in _OF_CONTRACT.items()
        }

    def struct(self, topic: Topic) -> type[msgspec.Struct]:
        """The struct of a topic's events: its fields, added ones last, None if absent; absent labels may also be ""."""
        return self._of_topic[topic].struct

    def decode_batch(self, topic: Topic, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode the values of messages on an event topic (`EVENT_TOPICS`) into events and rejected messages."""
        return self._of_topic[topic].decode_batch(values)

    def decode_objects(self, topic: Topic, objects: Sequence[Mapping[str, Any]]) -> DecodedBatch:
        """Decode events that are objects already, all of whose texts are valid Unicode, into events and rejections.

        None is an absent field.
        """
        return self._of_topic[topic].decode_objects(objects)


CONTRACT = EventDecoder()
"""Decodes the fields of the contract alone."""
STRUCTS: Mapping[Topic, type[msgspec.Struct]] = {topic: CONTRACT.struct(topic) for topic in CONTRACTS}
"""The struct of each event topic, without added fields."""
decode_batch = CONTRACT.decode_batch
decode_objects = CONTRACT.decode_objects


def _without_none(found: Mapping[str, Any]) -> dict[str, Any]:
    """An object without absent fields, and so its items."""
    given = {name: value for name, value in found.items() if value is not None}
    if isinstance(items := given.get("items"), list):
        given["items"] = [_without_none(item) for item in items]
    return given


@dataclass(frozen=True, slots=True)
class PromotionChange:
    """The effect of one message on `promotions`."""

    promotion_id: str
    promotion: Promotion | None
    """The new definition; None deletes it."""


def decode_promotion(key: bytes | None, value: bytes | None) -> PromotionChange | RejectedMessage:
    """Decode one message of `promotions`. A missing key is taken from the value; a different one is rejected.

    A `RejectedMessage` has index 0.
    """
    try:
        promotion_id = None if key is None else _promotion_key(key)
        if value is None:
            if promotion_id is None:
                raise RejectionError(
                    RejectionReason.EMPTY, "neither key nor value: to delete a promotion, send its id as the key"
                )
            return PromotionChange(promotion_id, None)
        promotion = validate_as(Promotion, value)
        if promotion_id not in (None, promotion.promotion_id):
            raise RejectionError(
                RejectionReason.OUT_OF_RANGE, "`promotion_id` differs from the message's key: send the id as the key"
            )
        return PromotionChange(promotion.promotion_id, promotion)
    except RejectionError as rejection:
        return rejection.to_rejected(0)


def _decode_struct(decoder: msgspec.json.Decoder[Any], value: bytes | None) -> Any:
    """The struct if the value is valid, else None."""
    if value is None or len(value) > MAX_MESSAGE_BYTES:
        return None
    try:
        event = decoder.decode(value)
        if not value.isascii():
            value.decode()
    except Exception:  # as in `_decode_all`
        return None
    return None if nests_too_deep(value) else event


def _promotion_key(key: bytes) -> str:
    try:
        return _LABEL.validate_python(key.decode())
    except (UnicodeDecodeError, ValidationError):
        raise RejectionError(
            RejectionReason.OUT_OF_RANGE, "the key is not a promotion id of 1 to 128 characters in UTF-8"
        ) from None
