"""The topics, with their right settings. Creating them is safe to repeat: it mends settings, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from consumers.errors import SalepulseError
from consumers.kafka import Where, kafka_at
from consumers.kafka_errors import kafka_errors
from consumers.topic_names import LOGICAL_NAMES, TopicNames
from consumers.topics import EVENT_TOPICS, Topic

_DAY_MS = 86_400_000
_TRIES = 50
_PAUSE_S = 0.2
_AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})
"""Settings where more is fine; -1 is without limit."""
_DYNAMIC = 1
"""Kafka's source code for a setting that was made on the topic itself."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How a topic should be."""

    name: str
    """On the broker."""
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    topic: Topic | None = None
    """Which topic of the contract it is, if any."""

    @property
    def title(self) -> str:
        """The topic for messages: both names where they differ."""
        return self.name if self.topic in (None, self.name) else f"{self.topic} ({self.name} on the broker)"


class Outcome(StrEnum):
    """What became of one topic."""

    CREATED = "created"
    RIGHT = "right"
    """It was there, and as it should be."""
    CHANGED = "changed"
    """It was there; its settings were put right."""
    UNCHECKED = "unchecked"
    """It was there; the broker does not tell or change its settings."""
    OTHER_PARTITIONS = "other_partitions"
    """It was there with another number of partitions, which was left alone; its settings are right."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `create_topics` found and did."""

    name: str
    outcome: Outcome
    detail: str


def default_plans(partitions: int, names: TopicNames = LOGICAL_NAMES) -> list[TopicPlan]:
    """The topics of the contract. `partitions` is for the event topics and for dead letters."""
    # Twice the contract's limit: the largest event fits with what is around it, and one that is somewhat too large
    # becomes a dead letter instead of an error at its producer.
    event = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS), "max.message.bytes": str(2 * 2**20)}
    alerts = {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS)}
    dead = {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(16 * 2**20)}
    return [
        TopicPlan(names.on_broker(topic), count, config, topic)
        for topic, count, config in (
            *((topic, partitions, event) for topic in EVENT_TOPICS),
            (Topic.PROMOTIONS, 1, {"cleanup.policy": "compact"}),
            (Topic.ALERTS, 1, alerts),
            (Topic.DEAD_LETTERS, partitions, dead),
        )
    ]


async def create_topics(
    kafka: Where, plans: Sequence[TopicPlan], *, replication: int | None = None
) -> list[TopicReport]:
    """Create what is missing and put settings right. Raises SalepulseError when the broker refuses.

    `replication`: copies of each partition of new topics; by default as many as there are brokers, at most 3.

    A topic's number of partitions is never changed: the same key would go to another partition from then on, and its
    events would no longer be in order.
    """
    async with kafka_errors(kafka):
        admin = AIOKafkaAdminClient(**kafka_at(kafka).options())
        try:
            await admin.start()
            found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
            copies = replication or min(3, len((await admin.describe_cluster())["brokers"]))
            reports = [
                await _mend(admin, plan, found[plan.name]) if plan.name in found else await _create(admin, plan, copies)
                for plan in plans
            ]
            await _until_known(admin, plans)
            return reports
        finally:
            await admin.close()


async def _create(admin: Any, plan: TopicPlan, copies: int) -> TopicReport:
    new = NewTopic(plan.name, plan.partitions, copies, topic_configs=dict(plan.config))
    answer = await admin.create_topics([new])
    for _, code, message in answer.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:  # somebody else was faster
            return TopicReport(plan.name, Outcome.RIGHT, "created by somebody else just now")
        if code:
            raise SalepulseError(
                f"topic {plan.name} was not created: {error.__name__}: {message or error.description}",
                retriable=bool(getattr(error, "retriable", False)),
            )
    copied = "1 copy" if copies == 1 else f"{copies} copies"
    return TopicReport(plan.name, Outcome.CREATED, f"{_count(plan.partitions)}, {copied}{_settings(plan.config)}")


async def _until_known(admin: Any, plans: Sequence[TopicPlan]) -> None:
    """Wait until the broker tells clients of every topic, which is a little after it has created one."""
    for _ in range(_TRIES):
        if {plan.name for plan in plans} <= set(await admin.list_topics()):
            return
        await asyncio.sleep(_PAUSE_S)
    raise SalepulseError("the broker has created the topics but does not list them: see its log", retriable=True)


async def _mend(admin: Any, plan: TopicPlan, partitions: int) -> TopicReport:
    current = await _current_config(admin, plan.name)
    if current is None:
        outcome, detail = Outcome.UNCHECKED, "the broker does not tell its settings"
    elif wrong := {name: text for name, text in plan.config.items() if not _will_do(name, current.get(name), text)}:
        outcome, detail = await _put_right(admin, plan, current, wrong)
    else:
        outcome, detail = Outcome.RIGHT, f"{_count(partitions)}{_settings(plan.config)}"
    if partitions != plan.partitions:
        outcome = Outcome.OTHER_PARTITIONS
        detail += (
            f"; has {_count(partitions)}, not {plan.partitions}, which is left as it is: with another number the same "
            "key goes elsewhere. To change it, replay into a new topic"
        )
    return TopicReport(plan.name, outcome, detail)


async def _put_right(
    admin: Any, plan: TopicPlan, current: Mapping[str, tuple[str, int]], wrong: Mapping[str, str]
) -> tuple[Outcome, str]:
    # This request replaces all that was set on the topic itself, so what others set there is sent along.
    kept = {name: text for name, (text, source) in current.items() if source == _DYNAMIC}
    change = ConfigResource(ConfigResourceType.TOPIC, plan.name, {**kept, **wrong})
    listed = ", ".join(f"{name} {current.get(name, ('unset', 0))[0]} → {text}" for name, text in wrong.items())
    try:
        for answer in await admin.alter_configs([change]):
            for code, message, *_ in answer.resources:
                if code:
                    return Outcome.UNCHECKED, f"the broker refused {listed}: {message or for_code(code).__name__}"
    except KafkaError as error:
        return Outcome.UNCHECKED, f"the broker refused {listed}: {type(error).__name__}"
    return Outcome.CHANGED, listed


def _will_do(name: str, current: tuple[str, int] | None, wanted: str) -> bool:
    """Whether a setting is right; somebody's longer retention or larger limit is, too."""
    if current is None:
        return False
    text = current[0]
    if name in _AT_LEAST and text.lstrip("-").isdecimal():
        return int(text) < 0 or int(text) >= int(wanted)
    return text == wanted


async def _current_config(admin: Any, topic: str) -> dict[str, tuple[str, int]] | None:
    """The topic's settings: name -> (value, source). None if the broker does not tell."""
    with suppress(KafkaError):
        for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
            for code, _message, _kind, _name, entries in answer.resources:
                if not code and entries:
                    # (name, value, read_only, source, is_sensitive, ...)
                    return {entry[0]: (entry[1] or "", int(entry[3])) for entry in entries}
    return None


def _count(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def _settings(config: Mapping[str, str]) -> str:
    return "".join(f", {name}={text}" for name, text in config.items())
