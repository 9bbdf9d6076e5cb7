"""What was refused, kept whole: one message on the topic `dead-letters` for each, written before its offset is done.

The message's key and value are the original bytes, untouched; everything else is in its headers. A worker that dies
between writing a dead letter and committing its position writes it again: whoever reads tells them apart by `identity`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from consumers.kafka import Where, kafka_at
from consumers.kafka_errors import kafka_errors
from consumers.metadata import partition_count
from consumers.producing import MAX_REQUEST_BYTES
from consumers.topics import Topic

_PREFIX = "salepulse-"
REPLAYED_HEADER = f"{_PREFIX}replayed"
"""On a message that was sent again: the `id` of the dead letter it came from."""

Headers = Sequence[tuple[str, bytes]]


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

    @property
    def id(self) -> str:
        """What a person names it by: `topic/partition/offset` of the original."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def identity(self) -> tuple[str, int, int, int | None]:
        """Equal only for the same original; its time tells offsets of a deleted and re-created topic apart."""
        return self.topic, self.partition, self.offset, self.timestamp_ms


@dataclass(frozen=True, slots=True)
class Message:
    """A dead letter as Kafka holds it."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def to_message(letter: DeadLetter) -> Message:
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
    # A client cannot send a message with neither key nor value; the header tells that its value was null.
    value = b"" if letter.value is None and letter.key is None else letter.value
    headers = [(_PREFIX + name, text.encode("utf-8", "replace")) for name, text in facts.items()]
    return Message(letter.key, value, headers)


def from_message(message: Message) -> DeadLetter | None:
    """The dead letter that the message keeps; None if it is no message of ours."""
    facts = {name.removeprefix(_PREFIX): given for name, given in message.headers if name.startswith(_PREFIX)}
    try:
        text = {name: given.decode("utf-8", "replace") for name, given in facts.items()}
        return DeadLetter(
            topic=text["topic"],
            partition=int(text["partition"]),
            offset=int(text["offset"]),
            key=message.key,
            value=None if "null-value" in text else message.value,
            reason=text["reason"],
            detail=text["detail"],
            rejected_at_ms=int(text["rejected-at-ms"]),
            timestamp_ms=int(text["timestamp-ms"]) if "timestamp-ms" in text else None,
            broker_topic=text.get("broker-topic", ""),
        )
    except (KeyError, ValueError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: those that meet every condition given. Without one: all."""

    reasons: Collection[str] = field(default_factory=frozenset)
    topics: Collection[str] = field(default_factory=frozenset)
    ids: Collection[str] = field(default_factory=frozenset)
    """Each `topic/partition/offset` of the original."""
    since_ms: int | None = None
    """Refused at this time or later."""

    def has(self, letter: DeadLetter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (not self.ids or letter.id in self.ids)
            and (self.since_ms is None or letter.rejected_at_ms >= self.since_ms)
        )


class DeadLetterWriter:
    """Writes dead letters. Use as `async with`, or `start` and `stop`."""

    def __init__(self, kafka: Where) -> None:
        self._kafka = kafka
        self._topic = kafka_at(kafka).topics.on_broker(Topic.DEAD_LETTERS)
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises SalepulseError without a broker, or where the topic is missing."""
        async with kafka_errors(self._kafka):
            self._producer = whole_message_producer(self._kafka)
            try:
                await self._producer.start()
                # Kafka may create a topic by itself when it is written to, but with a limit that is too small.
                await partition_count(self._producer.client, self._topic, self._kafka)
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write all of them; returns once the broker has confirmed every one.

        Raises SalepulseError if it did not: then some may be written, and all are to be written again.
        """
        async with kafka_errors(self._kafka):
            answers = []
            for letter in letters:
                message = to_message(letter)
                answers.append(
                    await self._producer.send(self._topic, message.value, message.key, headers=list(message.headers))
                )
            await all_confirmed(answers)


def whole_message_producer(kafka: Where) -> Any:
    """An aiokafka producer that takes messages as large as any topic does, and sends each once confirmed by all."""
    return AIOKafkaProducer(
        **kafka_at(kafka).options(), acks="all", max_request_size=MAX_REQUEST_BYTES, max_batch_size=2**18
    )


async def all_confirmed(answers: Iterable[asyncio.Future[Any]]) -> None:
    """Wait for every answer, then raise the first failure there was."""
    for answer in await asyncio.gather(*answers, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
