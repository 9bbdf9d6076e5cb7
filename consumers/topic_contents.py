"""Detects messages of other systems in the topics that salepulse writes to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from consumers.contract.rejection import RejectedMessage
from consumers.contract.rejection_hints import bytes_hint, envelope_hint, json_value_hint
from consumers.dead_letters.letters import from_record
from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.standalone import standalone_consumer
from consumers.settings import IngestSettings
from consumers.topics import Topic

log = structlog.get_logger()

WRITTEN_TOPICS = (Topic.PROMOTIONS, Topic.DEAD_LETTERS, Topic.ALERTS)
"""The topics that salepulse writes to."""
_MOST = 100
"""Maximum records to read from a topic."""
_WITHIN_S = 10.0
_QUIET_S = 1.0
"""Pause without records after which reading ends."""
_SHOWN_BYTES = 60


class _AlertChangeMessage(msgspec.Struct):
    """The fields of every message on `alerts`; early versions wrote `what` for `change`."""

    alert: dict[str, Any]
    change: str = ""
    what: str = ""


class _PromotionLike(msgspec.Struct):
    """The field of every definition, even an invalid one."""

    promotion_id: msgspec.Raw


async def require_own_topics(settings: IngestSettings, topics: Collection[Topic], *, at_work: bool) -> None:
    """Raise SalepulseError for topics whose oldest messages mostly break the contract, unless they are accepted.

    `at_work`: the shop was counted or watched before, so only log an error; `salepulse doctor` reports it.
    """
    foreign = await find_foreign_contents(settings.kafka, set(topics) - settings.accepted_topics)
    for topic, description in sorted(foreign.items()):
        shown = settings.topic_names.shown(topic)
        if not at_work:
            raise SalepulseError(f"topic {shown} cannot be used: {description}; {contents_advice(topic)}")
        log.error("topic holds messages of others", topic=shown, why=description, fix=contents_advice(topic))


async def find_foreign_contents(kafka: KafkaTarget, topics: Collection[Topic]) -> Mapping[Topic, str]:
    """The topics whose oldest messages are mostly of other systems, each with a description of them.

    Omits topics that cannot be read or do not respond within seconds. The topics must exist.
    """
    oldest: dict[Topic, list[Any]] = {}
    if not (written := [topic for topic in WRITTEN_TOPICS if topic in topics]):
        return {}
    with suppress(KafkaError, SalepulseError, TimeoutError, OSError):
        async with asyncio.timeout(_WITHIN_S):
            oldest = await _oldest(kafka, written)
    return {
        topic: description
        for topic, records in oldest.items()
        if (description := describe_foreign_messages(topic, records))
    }


def describe_foreign_messages(topic: Topic, records: Collection[Any]) -> str:
    """A description of the records if more than half of them are not salepulse's, else an empty string."""
    others = [record for record in records if not is_salepulse_message(topic, record)]
    if 2 * len(others) <= len(records):
        return ""
    example = _describe_message(others[0].value)
    return f"{len(others)} of its {len(records)} oldest messages are not salepulse's (such as: {example})"


def is_salepulse_message(topic: Topic, record: Any) -> bool:
    """Whether a record has the form that this or an earlier version of salepulse writes to the topic."""
    from consumers.contract.decoding import decode_promotion  # imports numpy, which the command line has no need of

    if topic is Topic.DEAD_LETTERS:
        return from_record(record) is not None
    if topic is Topic.PROMOTIONS and not isinstance(decode_promotion(record.key, record.value), RejectedMessage):
        return True
    try:
        if topic is Topic.PROMOTIONS:
            msgspec.json.decode(record.value or b"", type=_PromotionLike)
            return True
        change = msgspec.json.decode(record.value or b"", type=_AlertChangeMessage)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return False
    return bool(change.change or change.what)


def contents_advice(topic: Topic) -> str:
    """How to handle a topic that another system writes to."""
    return (
        f"if it belongs to another team, rename yours with `topic_{topic.name.lower()}` or `topic_prefix`; "
        f"to use it anyway, pass `--accept {topic}` (setting `accept`)"
    )


async def _oldest(kafka: KafkaTarget, topics: Collection[Topic]) -> dict[Topic, list[Any]]:
    """The oldest records of each topic, over all partitions."""
    names = kafka_client_config(kafka).topics
    records_of: dict[Topic, list[Any]] = {topic: [] for topic in topics}
    async with standalone_consumer(kafka) as consumer:
        cluster = await consumer._client.fetch_all_metadata()
        for topic in topics:
            name = names.on_broker(topic)
            partitions = [TopicPartition(name, number) for number in cluster.partitions_for_topic(name) or ()]
            if partitions:
                consumer.assign(partitions)
                with suppress(KafkaError):  # not authorized to read it
                    records_of[topic] = await _read_first_records(consumer, partitions)
        return records_of


async def _read_first_records(consumer: Any, partitions: Collection[TopicPartition]) -> list[Any]:
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    unfinished = {partition for partition in partitions if begins[partition] < ends[partition]}
    records: list[Any] = []
    quiet_s = 0.0
    while unfinished and len(records) < _MOST and quiet_s < _QUIET_S:
        fetched = await consumer.getmany(*unfinished, timeout_ms=100, max_records=_MOST)
        quiet_s = 0.0 if fetched else quiet_s + 0.1
        for fetched_records in fetched.values():
            records += fetched_records[: _MOST - len(records)]
        unfinished = {partition for partition in unfinished if await consumer.position(partition) < ends[partition]}
    return records


def _describe_message(value: bytes | None) -> str:
    """A short description of a message."""
    if not value:
        return "no value"
    if (text := bytes_hint(value)) is not None:
        return text.partition(": ")[0]
    with suppress(msgspec.DecodeError, RecursionError):
        decoded = msgspec.json.decode(value)
        text = envelope_hint(decoded) if isinstance(decoded, dict) else json_value_hint(decoded)
        if text is not None:
            return text.partition(": ")[0]
    shown = value[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return repr(shown) + ("..." if len(value) > _SHOWN_BYTES else "")
