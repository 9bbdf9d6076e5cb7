"""Creates and checks the topics. Repeatable: an existing topic is changed only if the caller names it.

Kafka does not record who created a topic, so every existing topic may belong to another system.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidRequestError,
    KafkaError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    for_code,
)

from consumers.errors import SalepulseError
from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import fetch_topic_settings, wait_until
from consumers.kafka.topic_differences import TopicSettingDifference, differences, losses, unusable
from consumers.topic_contents import contents_advice, find_foreign_contents
from consumers.topics import EVENT_TOPICS, LOGICAL_NAMES, InputTopic, Topic, TopicNames
from consumers.validation_messages import how_many

_DAY_MS = 86_400_000
_LARGEST = "max.message.bytes"
_SMALLEST_MAXIMUM_BYTES = 2**20
"""About the default limit of brokers."""
_SETTING_REFUSED = (InvalidConfigurationError, InvalidRequestError, PolicyViolationError)
_DYNAMIC = 1
"""Kafka's config source code for a setting of the topic itself."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The intended state of a topic."""

    topic: Topic
    name: str
    """Name on the broker."""
    title: str
    """Name in messages: logical and broker name if they differ."""
    partitions: int
    config: Mapping[str, str]


class TopicOutcome(StrEnum):
    """The result for one topic; in a dry run, the intended result."""

    CREATED = "created"
    WOULD_CREATE = "would_create"
    MATCHES = "matches"
    """It existed with the intended settings."""
    DIFFERS = "differs"
    """It existed with other settings and was not changed."""
    CHANGED = "changed"
    """It existed, was named, and its settings were changed."""
    WOULD_CHANGE = "would_change"
    UNCHECKED = "unchecked"
    """It existed; the broker does not report or alter its settings."""
    OTHER_PARTITIONS = "other_partitions"
    """It existed with the intended settings and another number of partitions, which was not changed."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of `create_topics` for one topic."""

    name: str
    """Name on the broker."""
    outcome: TopicOutcome
    detail: str
    title: str
    """Name in messages: logical and broker name if they differ."""
    unusable: str = ""
    """Why salepulse cannot use it; empty if it can."""
    losses: Sequence[str] = ()
    """Records that the change deletes."""

    def __str__(self) -> str:
        unusable = f"; it cannot be used: {self.unusable}" if self.unusable else ""
        return f"{self.title}: {self.outcome.replace('_', ' ')}: {self.detail}{unusable}"


def default_plans(
    partitions: int, names: TopicNames = LOGICAL_NAMES, read: Collection[InputTopic] = EVENT_TOPICS
) -> list[TopicPlan]:
    """The topics of the contract. `partitions` applies to the event topics and to dead letters.

    `read`: topics with events that workers read; those that sources replace are left out.
    """
    # Twice the contract's limit: the largest event fits with its overhead, and a slightly larger one becomes a dead
    # letter instead of a producer error.
    event = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS), _LARGEST: str(2 * 2**20)}
    alerts = {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS)}
    dead = {**alerts, _LARGEST: str(16 * 2**20)}
    return [
        TopicPlan(topic, names.on_broker(topic), names.shown(topic), count, config)
        for topic, count, config in (
            *((topic, partitions, event) for topic in EVENT_TOPICS if topic in read),
            (Topic.PROMOTIONS, 1, {"cleanup.policy": "compact"}),
            (Topic.ALERTS, 1, alerts),
            (Topic.DEAD_LETTERS, partitions, dead),
        )
    ]


async def create_topics(
    kafka: KafkaTarget,
    plans: Sequence[TopicPlan],
    *,
    replication: int | None = None,
    take_over: Collection[str] = (),
    accepted: Collection[InputTopic] = (),
    dry_run: bool = False,
) -> list[TopicReport]:
    """Create the missing topics. Raises SalepulseError if the broker refuses.

    `replication`: replicas of each partition of new topics; by default one per broker, at most 3.
    `take_over`: broker names of existing topics whose settings may be changed.
    `accepted`: topics that may hold messages of other systems, in addition to those taken over.
    `dry_run`: report without changing anything.

    The number of partitions never changes: keys would move to other partitions, and their events would lose their
    order.
    """
    async with kafka_errors(kafka):
        admin = AIOKafkaAdminClient(**kafka_client_config(kafka).options())
        try:
            await admin.start()
            existing = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
            replicas = replication or min(3, len((await admin.describe_cluster())["brokers"]))
            reports = {
                plan.topic: await _check_existing(admin, plan, existing[plan.name], plan.name in take_over, dry_run)
                if plan.name in existing
                else await _create_missing(admin, plan, replicas, dry_run)
                for plan in plans
            }
            if not dry_run:
                await _wait_until_listed(admin, plans)
            foreign_candidates = {plan.topic for plan in plans if plan.name in existing and plan.name not in take_over}
            for topic, foreign in (await find_foreign_contents(kafka, foreign_candidates.difference(accepted))).items():
                if not reports[topic].unusable:
                    reports[topic] = replace(reports[topic], unusable=f"{foreign}; {contents_advice(topic)}")
            return list(reports.values())
        finally:
            await admin.close()


async def create_source_topics(kafka: KafkaTarget, names: Collection[str], partitions: int) -> None:
    """Create missing topics of sources on an embedded broker. Raises SalepulseError if the broker refuses."""
    async with kafka_errors(kafka):
        admin = AIOKafkaAdminClient(**kafka_client_config(kafka).options())
        try:
            await admin.start()
            missing = set(names).difference(topic["topic"] for topic in await admin.describe_topics())
            created = await admin.create_topics([NewTopic(name, partitions, 1) for name in sorted(missing)])
        finally:
            await admin.close()
    for name, code, message in created.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise SalepulseError(f"topic {name} was not created: {error.__name__}: {message or error.description}")


def _report(
    plan: TopicPlan, outcome: TopicOutcome, detail: str, unusable: str = "", losses: Sequence[str] = ()
) -> TopicReport:
    return TopicReport(plan.name, outcome, detail, plan.title, unusable, losses)


async def _create_missing(admin: Any, plan: TopicPlan, replicas: int, dry_run: bool) -> TopicReport:
    layout = f"{how_many(plan.partitions, 'partition')}, {'1 copy' if replicas == 1 else f'{replicas} copies'}"
    if dry_run:
        return _report(plan, TopicOutcome.WOULD_CREATE, layout + _settings(plan.config))
    first: SalepulseError | None = None
    for config in config_fallbacks(plan.config):
        new = NewTopic(plan.name, plan.partitions, replicas, topic_configs=config)
        ((_, code, message),) = (await admin.create_topics([new])).topic_errors
        error = for_code(code)
        if error is TopicAlreadyExistsError:  # created concurrently
            return _report(plan, TopicOutcome.MATCHES, "created by another process just now")
        if not code:
            note = "" if config == plan.config else "; the broker does not allow larger messages"
            return _report(plan, TopicOutcome.CREATED, f"{layout}{_settings(config)}{note}")
        first = first or SalepulseError(
            f"topic {plan.title} was not created: {error.__name__}: {message or error.description}",
            retriable=bool(getattr(error, "retriable", False)),
        )
        if error not in _SETTING_REFUSED:
            break
    raise first or SalepulseError(f"topic {plan.title} was not created")


def config_fallbacks(config: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Settings to try in turn until the broker accepts one.

    Many brokers reject a message limit above their own maximum without reporting it. The last attempt sets no limit.
    """
    yield dict(config)
    if _LARGEST in config:
        largest = int(config[_LARGEST]) // 2
        while largest >= _SMALLEST_MAXIMUM_BYTES:
            yield {**config, _LARGEST: str(largest)}
            largest //= 2
        yield {name: text for name, text in config.items() if name != _LARGEST}


async def _wait_until_listed(admin: Any, plans: Sequence[TopicPlan]) -> None:
    """Wait until the broker lists every topic, shortly after their creation."""

    async def all_listed() -> bool:
        return {plan.name for plan in plans} <= set(await admin.list_topics())

    if not await wait_until(all_listed, within_s=10):
        raise SalepulseError("the broker has created the topics but does not list them: check its log", retriable=True)


async def _check_existing(admin: Any, plan: TopicPlan, partitions: int, may_change: bool, dry_run: bool) -> TopicReport:
    current = await fetch_topic_settings(admin, plan.name)
    partition_note = ""
    if partitions != plan.partitions:
        partition_note = (
            f"; has {how_many(partitions, 'partition')}, not {plan.partitions}; not changed, because keys would move "
            "to other partitions. To change it, replay into a new topic"
        )
    if current is None:
        return _report(plan, TopicOutcome.UNCHECKED, "the broker does not report its settings" + partition_note)
    actual = {name: text for name, (text, _) in current.items()}
    differing = differences(actual, plan.config)
    if not differing:
        outcome = TopicOutcome.OTHER_PARTITIONS if partition_note else TopicOutcome.MATCHES
        return _report(plan, outcome, f"{how_many(partitions, 'partition')}{_settings(plan.config)}{partition_note}")
    if not may_change:
        detail = f"{', '.join(map(str, differing))}; not changed. {take_over_advice(plan)}{partition_note}"
        return _report(plan, TopicOutcome.DIFFERS, detail, unusable(plan.topic, differing))
    if dry_run:
        outcome, detail = TopicOutcome.WOULD_CHANGE, _changes(differing)
    else:
        outcome, detail = await _alter_settings(admin, plan, current, differing)
    unusable_reason = unusable(plan.topic, differing) if outcome is TopicOutcome.UNCHECKED else ""
    return _report(plan, outcome, detail + partition_note, unusable_reason, tuple(losses(differing, actual)))


def take_over_advice(plan: TopicPlan) -> str:
    """How to change an existing topic, or avoid it."""
    return (
        f"To change it: `salepulse topics create --take-over {plan.name}`; if it belongs to another system, "
        f"set another name with `topic_{plan.topic.name.lower()}` or `topic_prefix`"
    )


def _changes(differing: Sequence[TopicSettingDifference]) -> str:
    return ", ".join(
        f"{difference.setting} {difference.actual or 'unset'} → {difference.wanted}" for difference in differing
    )


async def _alter_settings(
    admin: Any, plan: TopicPlan, current: Mapping[str, tuple[str, int]], differing: Sequence[TopicSettingDifference]
) -> tuple[TopicOutcome, str]:
    # AlterConfigs replaces all settings of the topic, so those set by others are sent along.
    kept = {name: text for name, (text, source) in current.items() if source == _DYNAMIC}
    wanted = {difference.setting: difference.wanted for difference in differing}
    change = ConfigResource(ConfigResourceType.TOPIC, plan.name, {**kept, **wanted})
    try:
        for response in await admin.alter_configs([change]):
            for code, message, *_ in response.resources:
                if code:
                    reason = message or for_code(code).__name__
                    return TopicOutcome.UNCHECKED, f"the broker refused {_changes(differing)}: {reason}"
    except KafkaError as error:
        return TopicOutcome.UNCHECKED, f"the broker refused {_changes(differing)}: {type(error).__name__}"
    return TopicOutcome.CHANGED, _changes(differing)


def _settings(config: Mapping[str, str]) -> str:
    return "".join(f", {name}={text}" for name, text in config.items())
