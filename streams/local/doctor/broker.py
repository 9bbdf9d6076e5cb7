"""Checks of the broker and its topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from consumers.errors import SalepulseError, UsageError
from consumers.kafka.errors import kafka_errors
from consumers.kafka.metadata import broker_clock_offset_s, fetch_topic_settings
from consumers.kafka.topic_differences import differences, unusable
from consumers.sources.inputs import InputTopics, load_inputs
from consumers.sources.registry import SchemaLoader, SchemaRegistryError
from consumers.topic_admin import TopicPlan, default_plans, take_over_advice
from consumers.topic_contents import contents_advice, find_foreign_contents
from consumers.topics import EVENT_TOPICS
from consumers.validation_messages import how_many
from streams.local.doctor.check_results import CheckResult, failed, ok, warning
from streams.settings import Settings

ANSWER_WITHIN_S = 5.0
"""Time-out of one request."""
WITHIN_S = 12.0
"""Time-out of all requests: a frozen broker accepts connections and answers none."""
_CLOSED_WITHIN_S = 1.0
CREATE = "run `salepulse topics create`"
CLOCK_WARNING_S = 2.0
FETCH = 1
FETCH_SINCE = ((18, "4.1"), (17, "3.9"), (16, "3.7"), (15, "3.5"), (13, "3.1"), (12, "2.7"), (11, "2.3"))
"""(fetch request version, first Kafka release with it): a broker does not report its release."""


async def examine_broker(settings: Settings) -> list[CheckResult]:
    """Check connection, clock and topics; returns the results up to the time-out."""
    results: list[CheckResult] = []
    try:
        async with kafka_errors(settings.kafka), asyncio.timeout(WITHIN_S):
            admin = AIOKafkaAdminClient(**settings.kafka.options(), request_timeout_ms=round(ANSWER_WITHIN_S * 1000))
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await admin.start()
                async for result in _examine(admin, settings):
                    results.append(result)
            finally:
                with suppress(TimeoutError):
                    await asyncio.wait_for(admin.close(), _CLOSED_WITHIN_S)
    except SalepulseError as error:
        problem, _, fix = str(error).partition(": ")
        results.append(failed("broker", problem, fix or "see the broker's log"))
    return results


async def _examine(admin: Any, settings: Settings) -> AsyncIterator[CheckResult]:
    cluster = await admin.describe_cluster()
    count = len(cluster["brokers"])
    yield ok(
        "broker", f"{settings.bootstrap} answers: {count} {'broker' if count == 1 else 'brokers'}{_version(admin)}"
    )
    if (ahead_s := await broker_clock_offset_s(admin._client)) is not None:
        yield check_broker_clock(ahead_s)
    topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
    try:
        inputs = load_inputs(settings, exponent=settings.money_exponent)
    except UsageError as error:
        inputs = InputTopics(settings.topic_names)
        yield failed("sources", str(error), "correct the file; `salepulse sources check` shows all of its errors")
    if inputs.schema_loader is not None:
        yield await check_schema_registry(inputs.schema_loader)
    for source_topic in inputs.sources:
        yield check_source_topic(inputs.names.on_broker(source_topic), topics)
    plans = default_plans(settings.partitions, inputs.names, inputs.feeds.keys() - inputs.sources.keys())
    existing = {plan.topic for plan in plans if plan.name in topics}
    foreign = await find_foreign_contents(settings.kafka, existing - settings.accepted_topics)
    for plan in plans:
        topic = topics.get(plan.name)
        if topic is None:
            yield failed(f"topic {plan.title}", "does not exist", CREATE)
        else:
            fetched = await fetch_topic_settings(admin, plan.name)
            config = None if fetched is None else {name: text for name, (text, _) in fetched.items()}
            for result in check_topic(plan, topic["partitions"], config, count):
                yield result
        if plan.topic in foreign:
            yield failed(f"topic {plan.title}", foreign[plan.topic], contents_advice(plan.topic))


async def check_schema_registry(loader: SchemaLoader) -> CheckResult:
    """Whether the schema registry answers."""
    try:
        await loader.check()
    except SchemaRegistryError as error:
        problem, _, fix = str(error).rpartition(": ")
        return failed("schema registry", problem, fix)
    return ok("schema registry", f"{loader.target.url} answers")


def check_source_topic(name: str, topics: Mapping[str, Mapping[str, Any]]) -> CheckResult:
    """Whether a topic in the shop's own format exists. `topics`: descriptions of the broker's topics by name."""
    if name not in topics:
        return failed(f"topic {name}", "does not exist, and a source reads it", "create it, or correct its name there")
    return ok(f"topic {name}", f"{how_many(len(topics[name]['partitions']), 'partition')}, read by its source")


def check_broker_clock(ahead_s: float) -> CheckResult:
    """The clock of the quorum's leader against the clock of this machine."""
    if abs(ahead_s) < CLOCK_WARNING_S:
        return ok("broker clock", f"within {CLOCK_WARNING_S:g} s of this machine's")
    return warning(
        "broker clock",
        f"the broker's clock is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's",
        "run NTP on both: the broker's clock decides retention and the timestamps of LogAppendTime",
    )


def check_topic(
    plan: TopicPlan, partitions: Iterable[Mapping[str, Any]], config: Mapping[str, str] | None, brokers: int
) -> Iterator[CheckResult]:
    """Leaders, settings, replication and partitions of a topic. `config`: None if the broker does not report it."""
    check, described = f"topic {plan.title}", list(partitions)
    orphans = sorted(int(item["partition"]) for item in described if item["leader"] < 0)
    if orphans:
        yield failed(check, f"no leader for partitions {orphans}", "start the brokers that hold their replicas")
    differ = [] if config is None else differences(config, plan.config)
    if differ:
        harmful = any(item.harmful for item in differ)
        why = f": {cannot}" if (cannot := unusable(plan.topic, differ)) else ""
        yield (failed if harmful else warning)(check, ", ".join(map(str, differ)) + why, take_over_advice(plan))
    replicas = min((len(item["replicas"]) for item in described), default=0)
    if brokers > 1 and replicas < 2:
        yield warning(check, f"has one replica on {brokers} brokers", "raise its replication: a lost disk loses events")
    count = f"{len(described)} {'partition' if len(described) == 1 else 'partitions'}"
    if len(described) != plan.partitions:
        yield warning(
            check,
            f"has {count}, the setting `partitions` is {plan.partitions}",
            f"set partitions = {len(described)}; more partitions would move keys to others"
            if plan.topic in EVENT_TOPICS
            else "none needed",
        )
    elif not orphans and not differ:
        yield ok(check, count + ("" if config is not None else ", settings not reported by the broker"))


def _version(admin: Any) -> str:
    """The oldest Kafka release that the broker may be, from its fetch request; "" if unknown."""
    for connection in getattr(getattr(admin, "_client", None), "_conns", {}).values():
        known = (getattr(connection, "_versions", None) or {}).get(FETCH)
        since = next((release for version, release in FETCH_SINCE if known and known[1] >= version), None)
        if since:
            return f", Kafka {since} or newer"
    return ""
