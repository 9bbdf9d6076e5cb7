"""A compiled source: from the messages of a topic to validated events of the contract. Pure.

Either all events of a message are valid, or the message is rejected and none of them counts.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import msgspec

from consumers.contract.decoding import CONTRACT, DecodedBatch, EventDecoder
from consumers.contract.events import MAX_MESSAGE_BYTES
from consumers.contract.rejection import RejectedMessage, RejectionError, RejectionReason, parse_object
from consumers.contract.rejection_hints import registry_frame_content
from consumers.sources.compiling import EventMaker, compile_event
from consumers.sources.conditions import unmet_condition
from consumers.sources.envelopes import MARKS, Envelope, PassedOver, parse_text, unwrap
from consumers.sources.file import REGISTRY_FORMATS, SourceMap
from consumers.sources.functions import EventFunction, call_function
from consumers.sources.message import SourceMessage
from consumers.sources.openers import Opener, openers_for
from consumers.sources.paths import MessagePath, compile_path, parse_path
from consumers.sources.schemas import FRAME_BYTES, Decoder, FramedDecoder, SchemaCache, SchemaKind, schema_id_of
from consumers.sources.unrolled import PickedSource, unroll
from consumers.sources.values import MappingError
from consumers.topics import Topic
from consumers.unpacking.record import Record

_decode_any = msgspec.json.Decoder().decode
_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})
_FORMATS_IN_FRAME = {"JSON": "`format: json-schema`", "Avro or Protobuf": "`format: avro` or `format: protobuf`"}
_MAX_DETAIL = 300
_MOST_CONDITIONS = 3
"""Of a message that makes no event, in its refusal."""
_NAMED_FIELD = re.compile(r"`(\w+)(?:\[\d+\](\.\w+))?")


@dataclass(slots=True)
class MappedBatch:
    """The result of mapping a batch of messages."""

    events: dict[Topic, DecodedBatch] = field(default_factory=dict)
    """# <topic of the contract: its events>; indexes are those of the messages, ascending, maybe several times."""
    rejected: list[RejectedMessage] = field(default_factory=list)
    passed_over: Counter[PassedOver] = field(default_factory=Counter)
    """Messages that make no event, and are not rejected."""


class CompiledSource:
    """The source of one topic."""

    def __init__(
        self,
        source: SourceMap,
        *,
        exponent: int,
        function: EventFunction | None = None,
        schemas: SchemaCache | None = None,
        decoder: EventDecoder = CONTRACT,
    ) -> None:
        """`exponent`: decimal places of money. `function`: the source's `python`. `schemas`: of avro and protobuf.
        `decoder`: of the model, for its fields. Raises ValueError for an invalid constant."""
        self.topic = source.topic
        self.feeds = source.feeds
        self._none_is_fine = source.none_is_fine
        self._envelope = None if source.envelope is None else Envelope(source.envelope)
        self._is_bare = self._envelope is Envelope.NONE
        self.is_framed = source.format != "json"
        """Whether messages begin with the frame of a schema registry."""
        self.needs_schemas = source.format in REGISTRY_FORMATS
        """Whether the schemas of messages must be in the cache before they are read."""
        self._decode = _decoder(source.format, SchemaCache() if schemas is None else schemas)
        self._function = function
        self._function_name = source.python or ""
        self._parse_json = [_text_parser(parse_path(text)) for text in source.parse_json]
        self._makers: list[EventMaker] = [compile_event(event, exponent, decoder.own) for event in source.events or ()]
        self._events = decoder
        self._picked = unroll(source.events or (), exponent, decoder.own)
        self._openers = (
            openers_for(self._picked, self._envelope, source.events or ())
            if self._picked and source.format == "json" and not source.parse_json
            else []
        )

    def read(self, partition: int, records: Sequence[Record]) -> MappedBatch:
        """The events of messages of one partition."""
        if self._function is not None:
            return self._read_by_function(self._function, records)
        return self._read_by_maps(partition, records)

    def _read_by_maps(self, partition: int, records: Sequence[Record]) -> MappedBatch:
        batch = MappedBatch()
        objects: list[list[dict[str, Any]]] = [[] for _ in self._makers]
        indexes: list[list[int]] = [[] for _ in self._makers]
        message = SourceMessage(None, self.topic, partition, 0)
        remaining: Sequence[int] = range(len(records))
        if self._picked is not None:
            remaining = self._read_usual(self._picked, message, records, objects, indexes)
        for index in remaining:
            try:
                made = self._make(message, records[index])
            except MappingError as error:
                batch.rejected.append(self._rejected(index, error.reason, error.detail))
                continue
            if isinstance(made, PassedOver):
                batch.passed_over[made] += 1
                continue
            for number, events in made:
                objects[number] += events
                indexes[number] += [index] * len(events)
        self._validate(objects, indexes, batch)
        return batch

    def _read_usual(
        self,
        picked: PickedSource,
        message: SourceMessage,
        records: Sequence[Record],
        objects: list[list[dict[str, Any]]],
        indexes: list[list[int]],
    ) -> list[int]:
        """Add the events of usual messages, in one loop for speed. Returns the indexes of all others, and of messages
        that make no event or fail."""
        remaining: list[int] = []
        opener = self._openers[0] if self._openers else None
        makers = [
            (make, events.append, of_events.append)
            for make, events, of_events in zip(picked.makers, objects, indexes, strict=True)
        ]
        for index, record in enumerate(records):
            value = record.value
            if value is None or len(value) > MAX_MESSAGE_BYTES:
                remaining.append(index)
                continue
            made = root = None
            message.offset, message.headers, message.attributes = record.offset, record.headers, _NO_ATTRIBUTES
            try:
                if opener is not None:
                    try:
                        root = opener.decode(value)
                    except msgspec.ValidationError:
                        opener, root = self._reopen(value, opener)
                if root is None or opener is None:
                    root = self._pick(picked, message, value)
                else:
                    if not value.isascii():
                        value.decode()  # msgspec does not validate the texts of unused fields
                    if opener.root_of is not None:
                        message.attributes = opener.attributes_of(root) if opener.used else _NO_ATTRIBUTES
                        root = opener.root_of(root)
                for make, add, add_index in makers:
                    if (found := make(root, message)) is not None:
                        if made is not None:  # add both only if neither fails
                            made = None
                            break
                        made, of_made, of_index = found, add, add_index
            except (MappingError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                made = None
            if made is None:
                remaining.append(index)
            else:
                of_made(made)
                of_index(index)
        return remaining

    def _reopen(self, value: bytes, failed: Opener) -> tuple[Opener, Any]:
        """Decode a message by another opener, and return that; None as the message if none accepts it."""
        for opener in self._openers:
            if opener is not failed:
                with contextlib.suppress(msgspec.ValidationError):
                    return opener, opener.decode(value)
        return failed, None

    def _pick(self, picked: PickedSource, message: SourceMessage, value: bytes) -> Any:
        """The picked struct of a message in an envelope or another format."""
        content = self._open(message, value)
        if isinstance(content, PassedOver):
            raise msgspec.ValidationError
        return msgspec.convert(content, picked.struct)

    def _open(self, message: SourceMessage, value: bytes) -> Any:
        """Decode a message and take it out of its envelope."""
        content = self._decode(value)
        if self._is_bare or (self._envelope is None and content.__class__ is dict and MARKS.isdisjoint(content)):
            message.root, message.attributes = content, _NO_ATTRIBUTES
        else:
            unwrapped = unwrap(self._envelope, content)
            if isinstance(unwrapped, PassedOver):
                return unwrapped
            message.root, message.attributes = unwrapped.content, unwrapped.attributes
        if message.root.__class__ is not dict:
            raise MappingError(RejectionReason.NOT_AN_OBJECT, "the message is not an object")
        for parse in self._parse_json:
            parse(message)
        return message.root

    def _make(self, message: SourceMessage, record: Record) -> list[tuple[int, list[dict[str, Any]]]] | PassedOver:
        """The events of a message: (number of the maker, its events). `message` is reused."""
        value = record.value
        if value is None:
            return PassedOver.TOMBSTONE
        if len(value) > MAX_MESSAGE_BYTES:
            raise MappingError(
                RejectionReason.TOO_LARGE, f"the message has {len(value)} bytes: send at most {MAX_MESSAGE_BYTES}"
            )
        message.offset, message.headers = record.offset, record.headers
        content = self._open(message, value)
        if isinstance(content, PassedOver):
            return content
        made = []
        for number, maker in enumerate(self._makers):
            try:
                events = maker.make(message)
            except MappingError as error:
                raise MappingError(error.reason, f"{self._entry(number)}{error.detail}") from None
            if events:
                made.append((number, events))
        if made:
            return made
        if self._none_is_fine:
            return PassedOver.NONE_MATCHES
        raise MappingError(
            RejectionReason.UNMAPPED,
            "no entry of `events` matches: add one, or set `none_is_fine: true` if the message is no event"
            + self._unmet(message),
        )

    def _unmet(self, message: SourceMessage) -> str:
        unmet = [unmet_condition(maker.when, message.root, message) for maker in self._makers]
        found = list(dict.fromkeys(filter(None, unmet)))[:_MOST_CONDITIONS]
        return f"; {', '.join(found)}" if found else ""

    def _validate(self, objects: list[list[dict[str, Any]]], indexes: list[list[int]], batch: MappedBatch) -> None:
        """Add the made events to the batch, as far as they follow the contract."""
        decoded: dict[Topic, list[DecodedBatch]] = defaultdict(list)
        for number, maker in enumerate(self._makers):
            if not objects[number]:
                continue
            made, message_of = _in_order(objects[number], indexes[number])
            events = self._events.decode_objects(maker.topic, made)
            batch.rejected += [
                self._rejected(message_of[message.index], message.reason, self._with_origin(number, message.detail),
                               message)
                for message in events.rejected
            ]  # fmt: skip
            events.indexes = [message_of[index] for index in events.indexes]
            events.dropped_labels = [(message_of[index], name) for index, name in events.dropped_labels]
            decoded[maker.topic].append(events)
        _finish(batch, decoded)

    def _read_by_function(self, function: EventFunction, records: Sequence[Record]) -> MappedBatch:
        batch = MappedBatch()
        values: dict[Topic, list[bytes]] = defaultdict(list)
        indexes: dict[Topic, list[int]] = defaultdict(list)
        for index, record in enumerate(records):
            if record.value is None:
                batch.passed_over[PassedOver.TOMBSTONE] += 1
                continue
            try:
                made = call_function(function, self._function_name, self.feeds, record.value, record.headers)
            except MappingError as error:
                batch.rejected.append(self._rejected(index, error.reason, error.detail))
                continue
            if not made and self._none_is_fine:
                batch.passed_over[PassedOver.NONE_MATCHES] += 1
            elif not made:
                detail = f"{self._function_name} made no event of it"
                batch.rejected.append(self._rejected(index, RejectionReason.UNMAPPED, detail))
            for topic, value in made:
                values[topic].append(value)
                indexes[topic].append(index)
        decoded: dict[Topic, list[DecodedBatch]] = defaultdict(list)
        for topic, encoded in values.items():
            events = self._events.decode_batch(topic, encoded)
            batch.rejected += [
                self._rejected(indexes[topic][message.index], message.reason, message.detail, message)
                for message in events.rejected
            ]
            events.indexes = [indexes[topic][index] for index in events.indexes]
            events.dropped_labels = [(indexes[topic][index], name) for index, name in events.dropped_labels]
            decoded[topic].append(events)
        _finish(batch, decoded)
        return batch

    def _rejected(
        self, index: int, reason: RejectionReason, detail: str, origin: RejectedMessage | None = None
    ) -> RejectedMessage:
        text = f"{self.topic}: {detail}"
        text = text if len(text) <= _MAX_DETAIL else text[: _MAX_DETAIL - 1] + "…"
        return RejectedMessage(index, reason, text, None if origin is None else origin.pricing_labels)

    def _entry(self, number: int) -> str:
        return f"event {number + 1}: " if len(self._makers) > 1 else ""

    def _with_origin(self, number: int, detail: str) -> str:
        """The contract's objection, with the path of the field that it names first."""
        named, origins = _NAMED_FIELD.search(detail), self._makers[number].origins
        origin = origins.get(named[1] + (named[2] or "")) if named else None
        problem, sends_time, _ = detail.partition(": send epoch milliseconds")
        if origin and sends_time:
            detail = f"{problem}: correct `time` in the map"
        return f"{self._entry(number)}{detail}" + (f" (from {origin})" if origin else "")


def decode_json(value: bytes) -> Any:
    """The default decoder. Raises MappingError."""
    try:
        return _decode_any(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        parsed = parse_object(value)
        msgspec.json.encode(parsed)  # fails for unpaired surrogates
    except RejectionError as rejection:
        fix = _FORMATS_IN_FRAME.get(registry_frame_content(value) or "")
        detail = rejection.detail if fix is None else f"the message has a Schema Registry frame: write {fix}"
        raise MappingError(rejection.reason, detail) from None
    except (UnicodeEncodeError, msgspec.EncodeError, RecursionError):
        raise MappingError(RejectionReason.BAD_ENCODING, "a text has an unpaired surrogate") from None
    return parsed


def decode_framed_json(value: bytes) -> Any:
    """JSON after the frame of a schema registry. Raises MappingError."""
    schema_id_of(value)
    return decode_json(value[FRAME_BYTES:])


def _decoder(name: str, schemas: SchemaCache) -> Decoder:
    """The decoder of a format."""
    match name:
        case "json":
            return decode_json
        case "json-schema":
            return decode_framed_json
    return FramedDecoder(SchemaKind(name), schemas)


def _in_order(objects: list[dict[str, Any]], indexes: list[int]) -> tuple[list[dict[str, Any]], list[int]]:
    """Events in the order of their messages: of equal event ids the first one counts."""
    if sorted(indexes) == indexes:
        return objects, indexes
    ordered = sorted(range(len(indexes)), key=indexes.__getitem__)
    return [objects[place] for place in ordered], [indexes[place] for place in ordered]


def _finish(batch: MappedBatch, decoded: Mapping[Topic, Sequence[DecodedBatch]]) -> None:
    """Move the events to the batch, except those of rejected messages, of which one rejection is kept."""
    rejected: dict[int, RejectedMessage] = {}
    for message in batch.rejected:
        rejected.setdefault(message.index, message)
    batch.rejected = [rejected[index] for index in sorted(rejected)]
    for topic, parts in decoded.items():
        events = parts[0] if len(parts) == 1 and not rejected else _merged(parts, rejected)
        if events.events:
            batch.events[topic] = events


def _merged(parts: Sequence[DecodedBatch], rejected: Mapping[int, object]) -> DecodedBatch:
    """The events of all parts in the order of their messages, without those of rejected messages."""
    entries = [
        (index, part.events[position], None if part.amounts is None else part.amounts[position])
        for part in parts
        for position, index in enumerate(part.indexes)
        if index not in rejected
    ]
    entries.sort(key=lambda entry: entry[0])
    return DecodedBatch(
        [event for _, event, _ in entries],
        [index for index, _, _ in entries],
        None if parts[0].amounts is None else [amount for _, _, amount in entries if amount is not None],
        [],
        [(index, name) for part in parts for index, name in part.dropped_labels if index not in rejected],
    )


def _text_parser(path: MessagePath) -> Callable[[SourceMessage], None]:
    """Replaces a text that holds JSON by its content."""
    *outer, last = path.steps
    find = compile_path(replace(path, steps=tuple(outer), from_message=False)) if outer else None

    def parse(message: SourceMessage) -> None:
        holder = message.root if find is None else find(message.root, message)
        if isinstance(holder, dict) and isinstance(text := holder.get(last), str) and text:
            holder[last] = parse_text(text, path.text)

    return parse
