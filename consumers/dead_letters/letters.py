"""Dead letters as values, and their encoding as messages on the topic `dead-letters`.

Key and value are the original bytes, and the last headers are the original ones; the headers before them hold the
metadata. A message that is too large for the topic is truncated: the headers then have the length and hash of the whole
value. `consumers.dead_letters.writing` writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from consumers.unpacking.record import TRUNCATION_BYTES, MessageHeaders, Record, Truncation

_PREFIX = "salepulse-"
REPLAYED_HEADER = f"{_PREFIX}replayed"
"""On a replayed message: the `id` of its dead letter."""
TIMESTAMP_HEADER = f"{_PREFIX}timestamp-ms"
"""The original timestamp: on a dead letter, and on a replayed message that was sent without it."""
_HEADERS = f"{_PREFIX}headers"
"""The number of original headers, which are the last ones; none if absent."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected message, with the place and reason of its rejection."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    """A `RejectionReason`; text, because other versions may have other reasons."""
    detail: str
    rejected_at_ms: int
    timestamp_ms: int | None = None
    """Timestamp of the original message."""
    broker_topic: str = ""
    """The topic's name on the broker; empty if it is the logical one."""
    headers: MessageHeaders = ()
    """Headers of the original message."""
    truncation: Truncation | None = None
    """Set if the message did not fit the topic: `value` is its beginning, and long keys and headers are missing."""
    last_offset: int | None = None
    """Last offset of an undecodable batch, whose bytes are in `value`; None for a single message."""

    @property
    def id(self) -> str:
        """`topic/partition/offset` of the original."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def identity(self) -> tuple[str, int, int, int | None]:
        """Equal only for the same original; the timestamp distinguishes offsets of a re-created topic."""
        return self.topic, self.partition, self.offset, self.timestamp_ms

    @property
    def is_replayable(self) -> bool:
        """Whether it holds the whole original message."""
        return self.truncation is None and self.last_offset is None


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects the dead letters that meet every given condition."""

    reasons: Collection[str] = frozenset()
    topics: Collection[str] = frozenset()
    ids: Collection[str] = frozenset()
    """Each `topic/partition/offset` of the original."""
    since_ms: int | None = None
    """Rejected at this time or later."""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether the letter meets every given condition."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (not self.ids or letter.id in self.ids)
            and (self.since_ms is None or letter.rejected_at_ms >= self.since_ms)
        )


class DeadLetterRecord(NamedTuple):
    """A dead letter as a Kafka message."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def to_record(letter: DeadLetter) -> DeadLetterRecord:
    """Encode a dead letter."""
    metadata = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "rejected-at-ms": letter.rejected_at_ms,
        "timestamp-ms": letter.timestamp_ms,
        "broker-topic": letter.broker_topic or None,
        "null-value": 1 if letter.value is None else None,
        "last-offset": letter.last_offset,
        "value-bytes": letter.truncation and letter.truncation.size,
        "value-sha256": letter.truncation and letter.truncation.sha256,
    }
    headers: list[tuple[str, bytes | None]] = [
        (_PREFIX + name, str(item).encode("utf-8", "replace")) for name, item in metadata.items() if item is not None
    ]
    if letter.headers:
        headers += [(_HEADERS, str(len(letter.headers)).encode()), *letter.headers]
    # Clients cannot send a message without key and value; the header marks a null value.
    value = b"" if letter.value is None and letter.key is None else letter.value
    return DeadLetterRecord(letter.key, value, headers)


def from_record(message: Record | DeadLetterRecord) -> DeadLetter | None:
    """Decode a dead letter; None for a message of another system."""
    try:
        ours, originals = _split(message.headers)
        text = {
            name.removeprefix(_PREFIX): (given or b"").decode("utf-8", "replace")
            for name, given in ours
            if name.startswith(_PREFIX)
        }
        size = _number(text, "value-bytes")
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
            truncation=None if size is None else Truncation(size, text.get("value-sha256", "")),
            last_offset=_number(text, "last-offset"),
        )
    except (KeyError, ValueError, AttributeError):
        return None


def truncated(letter: DeadLetter, max_bytes: int = TRUNCATION_BYTES) -> DeadLetter:
    """The letter with the beginning of its value, marked as truncated; longer keys and headers are removed."""
    value = letter.value or b""
    key = letter.key if letter.key is None or len(letter.key) <= max_bytes else letter.key[:max_bytes]
    headers = letter.headers if _size(letter.headers) <= max_bytes else ()
    truncation = letter.truncation or Truncation(len(value), sha256(value).hexdigest())
    return replace(letter, key=key, value=letter.value and value[:max_bytes], headers=headers, truncation=truncation)


def _split(headers: MessageHeaders) -> tuple[MessageHeaders, MessageHeaders]:
    """Split salepulse's headers from the original ones, which may have the same names."""
    for index, (name, given) in enumerate(headers):
        if name == _HEADERS:
            first_original = len(headers) - int(given or b"")
            if first_original != index + 1:
                raise ValueError(f"{_HEADERS} is {given!r} before {len(headers) - index - 1} headers")
            return headers[:index], list(headers[first_original:])
    return headers, ()


def _number(text: Mapping[str, str], name: str) -> int | None:
    return int(text[name]) if name in text else None


def _size(headers: MessageHeaders) -> int:
    return sum(len(name) + len(given or b"") for name, given in headers)
