"""What was refused, as values: one message on the topic `dead-letters` for each.

The message's key and value are the original bytes, and its last headers the original ones; everything else is in the
headers before them. What is too large for the topic is cut: then the message has the beginning of the value, and its
headers give the length and the hash of all of it. How they are written: `consumers.dead_letters.writing`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from consumers.kafka.skipped_records import TRUNCATION_BYTES, MessageHeaders, Truncation

_PREFIX = "salepulse-"
REPLAYED_HEADER = f"{_PREFIX}replayed"
"""On a message that was sent again: the `id` of the dead letter it came from."""
TIMESTAMP_HEADER = f"{_PREFIX}timestamp-ms"
"""The original message's time in Kafka: on its dead letter, and on what was sent again without that time."""
_HEADERS = f"{_PREFIX}headers"
"""How many headers are the original's: the last ones. Without it none are."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused message, and where and why it was refused."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    """A `Reason`; text, because another version of salepulse may have written it."""
    detail: str
    rejected_at_ms: int
    timestamp_ms: int | None = None
    """The original message's own time in Kafka."""
    broker_topic: str = ""
    """What the broker called the topic, where that is another name; empty where it is the same."""
    headers: MessageHeaders = ()
    """The original message's own."""
    truncation: Truncation | None = None
    """Where it did not fit the topic: then `value` is the beginning, and long keys and headers are missing too."""
    last_offset: int | None = None
    """Of records that could not be decoded: the last of them. `value` is their batch, as Kafka keeps it."""

    @property
    def id(self) -> str:
        """What a person names it by: `topic/partition/offset` of the original."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def identity(self) -> tuple[str, int, int, int | None]:
        """Equal only for the same original; its time tells offsets of a deleted and re-created topic apart."""
        return self.topic, self.partition, self.offset, self.timestamp_ms

    @property
    def is_replayable(self) -> bool:
        """Whether it holds the original message, so that this can be sent again."""
        return self.truncation is None and self.last_offset is None


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter as Kafka holds it."""

    key: bytes | None
    value: bytes | None
    headers: MessageHeaders


def to_record(letter: DeadLetter) -> DeadLetterRecord:
    """The message that keeps this dead letter."""
    facts: dict[str, str] = {
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "reason": letter.reason,
        "detail": letter.detail,
        "rejected-at-ms": str(letter.rejected_at_ms),
    }
    if letter.timestamp_ms is not None:
        facts["timestamp-ms"] = str(letter.timestamp_ms)
    if letter.broker_topic:
        facts["broker-topic"] = letter.broker_topic
    if letter.value is None:
        facts["null-value"] = "1"
    if letter.last_offset is not None:
        facts["last-offset"] = str(letter.last_offset)
    if letter.truncation is not None:
        facts |= {"value-bytes": str(letter.truncation.size), "value-sha256": letter.truncation.sha256}
    headers: list[tuple[str, bytes | None]] = [
        (_PREFIX + name, text.encode("utf-8", "replace")) for name, text in facts.items()
    ]
    if letter.headers:
        headers += [(_HEADERS, str(len(letter.headers)).encode()), *letter.headers]
    # A client cannot send a message with neither key nor value; the header tells that its value was null.
    value = b"" if letter.value is None and letter.key is None else letter.value
    return DeadLetterRecord(letter.key, value, headers)


def from_record(message: DeadLetterRecord) -> DeadLetter | None:
    """The dead letter that the message keeps; None if it is no message of ours."""
    try:
        ours, originals = _split(message.headers)
        text = {
            name.removeprefix(_PREFIX): (given or b"").decode("utf-8", "replace")
            for name, given in ours
            if name.startswith(_PREFIX)
        }
        return DeadLetter(
            topic=text["topic"],
            partition=int(text["partition"]),
            offset=int(text["offset"]),
            key=message.key,
            value=None if "null-value" in text else message.value,
            reason=text["reason"],
            detail=text["detail"],
            rejected_at_ms=int(text["rejected-at-ms"]),
            timestamp_ms=_number(text, "timestamp-ms"),
            broker_topic=text.get("broker-topic", ""),
            headers=originals,
            truncation=Truncation(int(text["value-bytes"]), text.get("value-sha256", ""))
            if "value-bytes" in text
            else None,
            last_offset=_number(text, "last-offset"),
        )
    except (KeyError, ValueError, AttributeError):
        return None


def truncated(letter: DeadLetter, max_bytes: int = TRUNCATION_BYTES) -> DeadLetter:
    """The letter with the beginning of its value, marked as cut; keys and headers that are longer go as well."""
    value = letter.value or b""
    key = letter.key if letter.key is None or len(letter.key) <= max_bytes else letter.key[:max_bytes]
    headers = letter.headers if _size(letter.headers) <= max_bytes else ()
    truncation = letter.truncation or Truncation(len(value), sha256(value).hexdigest())
    return replace(letter, key=key, value=letter.value and value[:max_bytes], headers=headers, truncation=truncation)


def _split(headers: MessageHeaders) -> tuple[MessageHeaders, MessageHeaders]:
    """Our own, and the original's, which may be called like ours."""
    for at, (name, given) in enumerate(headers):
        if name == _HEADERS:
            own = len(headers) - int(given or b"")
            if own != at + 1:
                raise ValueError(f"{_HEADERS} is {given!r} before {len(headers) - at - 1} headers")
            return headers[:at], list(headers[own:])
    return headers, ()


def _number(text: Mapping[str, str], name: str) -> int | None:
    return int(text[name]) if name in text else None


def _size(headers: MessageHeaders) -> int:
    return sum(len(name) + len(given or b"") for name, given in headers)


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters are meant: those that meet every condition given. Without one: all."""

    reasons: Collection[str] = field(default_factory=frozenset)
    topics: Collection[str] = field(default_factory=frozenset)
    ids: Collection[str] = field(default_factory=frozenset)
    """Each `topic/partition/offset` of the original."""
    since_ms: int | None = None
    """Refused at this time or later."""

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (not self.ids or letter.id in self.ids)
            and (self.since_ms is None or letter.rejected_at_ms >= self.since_ms)
        )
