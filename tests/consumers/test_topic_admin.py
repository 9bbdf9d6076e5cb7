"""Topics are created with the intended settings; an existing one is changed only if it is named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumers.dead_letters.letters import truncated
from consumers.dead_letters.reading import read_dead_letters
from consumers.dead_letters.writing import DeadLetterWriter
from consumers.errors import SalepulseError
from consumers.topic_admin import TopicOutcome, config_fallbacks, create_topics, default_plans
from tests.consumers.dead_letters.test_letters import letter
from tests.support.commands import require_program, run_program
from tests.support.kafka import apache_kafka as start_apache_kafka
from tests.support.kafka import kafka_jars
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


async def make(bootstrap: str, name: str, partitions: int, **config: str) -> None:
    """Create a topic; returns when the broker lists it, shortly after it has acknowledged the creation."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    settings = {key.replace("_", "."): value for key, value in config.items()}
    created = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
    assert [code for _, code, *_ in created.topic_errors] == [0]
    async with asyncio.timeout(20):
        while name not in await admin.list_topics():
            await asyncio.sleep(0.05)
    await admin.close()


async def settings_of(bootstrap: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def setting_becomes(bootstrap: str, name: str, setting: str, text: str) -> dict[str, str]:
    """A topic's settings once one of them has this value: brokers report changes with a delay."""
    async with asyncio.timeout(20):
        while (settings := await settings_of(bootstrap, name))[setting] != text:
            await asyncio.sleep(0.05)
    return settings


async def test_all_topics_are_created_and_match_the_second_time(broker: Server) -> None:
    first = await create_topics(broker.bootstrap, default_plans(3))
    second = await create_topics(broker.bootstrap, default_plans(3))
    names = ["clicks", "orders", "logistics", "promotions", "alerts", "dead-letters"]
    assert [report.name for report in first] == names
    assert {report.outcome for report in first} == {TopicOutcome.CREATED}
    assert {report.outcome for report in second} == {TopicOutcome.MATCHES}
    assert first[0].detail.startswith("3 partitions, 1 copy, cleanup.policy=delete")
    assert (await settings_of(broker.bootstrap, "promotions"))["cleanup.policy"] == "compact"
    assert (await settings_of(broker.bootstrap, "dead-letters"))["max.message.bytes"] == str(16 * 2**20)


async def test_the_number_of_partitions_is_never_changed(broker: Server) -> None:
    await create_topics(broker.bootstrap, default_plans(2))
    report, *_ = await create_topics(broker.bootstrap, default_plans(5))
    assert report.outcome is TopicOutcome.OTHER_PARTITIONS
    assert "has 2 partitions, not 5" in report.detail
    report, *_ = await create_topics(broker.bootstrap, default_plans(2))
    assert report.outcome is TopicOutcome.MATCHES


async def test_an_existing_topic_is_not_changed(broker: Server) -> None:
    await make(broker.bootstrap, "orders", 2, cleanup_policy="compact", retention_ms="5000", max_message_bytes="9000")
    before = await settings_of(broker.bootstrap, "orders")
    _, report, *_ = await create_topics(broker.bootstrap, default_plans(2))
    assert report.outcome is TopicOutcome.DIFFERS
    for phrase in (
        "cleanup.policy=compact, should be delete",
        "retention.ms=5000",
        "--take-over orders",
        "topic_orders",
    ):
        assert phrase in report.detail
    assert "compaction deletes records" in report.unusable
    assert await settings_of(broker.bootstrap, "orders") == before


async def test_a_topic_with_a_harmless_difference_can_be_used(broker: Server) -> None:
    await make(broker.bootstrap, "clicks", 2, cleanup_policy="delete", retention_ms="5000", max_message_bytes="9000")
    await make(broker.bootstrap, "promotions", 1, cleanup_policy="delete")
    reports = {report.name: report for report in await create_topics(broker.bootstrap, default_plans(2))}
    assert {name for name, report in reports.items() if report.outcome is TopicOutcome.DIFFERS} == {
        "clicks",
        "promotions",
    }
    assert not any(report.unusable for report in reports.values())


@pytest.mark.kafka
async def test_a_named_topic_is_changed_and_its_other_settings_are_kept(apache_kafka: Server) -> None:
    for name in ("orders", "logistics"):
        await make(
            apache_kafka.bootstrap, name, 2, retention_ms="5000", segment_ms="12345678", max_message_bytes="9000000"
        )
    plans = default_plans(2)
    dry = await create_topics(apache_kafka.bootstrap, plans, take_over={"orders"}, dry_run=True)
    assert [report.outcome for report in dry[:3]] == [
        TopicOutcome.WOULD_CREATE,
        TopicOutcome.WOULD_CHANGE,
        TopicOutcome.DIFFERS,
    ]
    assert (await settings_of(apache_kafka.bootstrap, "orders"))["retention.ms"] == "5000"
    _, orders, logistics, *_ = await create_topics(apache_kafka.bootstrap, plans, take_over={"orders"})
    assert (orders.outcome, orders.detail) == (TopicOutcome.CHANGED, "retention.ms 5000 → 604800000")
    assert logistics.outcome is TopicOutcome.DIFFERS
    settings = await setting_becomes(apache_kafka.bootstrap, "orders", "retention.ms", "604800000")
    assert settings["segment.ms"] == "12345678"
    assert settings["max.message.bytes"] == "9000000"
    assert (await settings_of(apache_kafka.bootstrap, "logistics"))["retention.ms"] == "5000"


async def test_a_dry_run_creates_nothing(broker: Server) -> None:
    reports = await create_topics(broker.bootstrap, default_plans(2), dry_run=True)
    assert {report.outcome for report in reports} == {TopicOutcome.WOULD_CREATE}
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    assert not {"clicks", "orders", "dead-letters"} & set(await admin.list_topics())
    await admin.close()


async def test_a_broker_that_cannot_change_settings_is_not_an_error(embedded_broker: Server) -> None:
    await make(embedded_broker.bootstrap, "orders", 2, retention_ms="5000")
    _, report, *_ = await create_topics(embedded_broker.bootstrap, default_plans(2), take_over={"orders"})
    assert report.outcome is TopicOutcome.UNCHECKED
    assert "retention.ms 5000 → 604800000" in report.detail
    assert not report.unusable


async def test_a_compacted_topic_that_the_broker_does_not_change_cannot_be_used(embedded_broker: Server) -> None:
    await make(embedded_broker.bootstrap, "orders", 2, cleanup_policy="compact")
    dry, taken = [
        (await create_topics(embedded_broker.bootstrap, default_plans(2), take_over={"orders"}, dry_run=dry_run))[1]
        for dry_run in (True, False)
    ]
    assert (dry.outcome, dry.unusable) == (TopicOutcome.WOULD_CHANGE, ""), "it would be usable after the change"
    assert taken.outcome is TopicOutcome.UNCHECKED
    assert "compaction deletes records" in taken.unusable


@pytest.mark.kafka
async def test_more_replicas_than_brokers_raise_the_brokers_error(apache_kafka: Server) -> None:
    with pytest.raises(SalepulseError, match="topic clicks was not created: InvalidReplicationFactorError"):
        await create_topics(apache_kafka.bootstrap, default_plans(1), replication=3)


async def test_without_a_broker_an_error_is_raised() -> None:
    with pytest.raises(SalepulseError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await create_topics("127.0.0.1:1", default_plans(1))


POLICY = """
import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

public class LargestMessage implements CreateTopicPolicy {
    public void configure(Map<String, ?> settings) {}
    public void close() {}
    public void validate(RequestMetadata asked) {
        String bytes = asked.configs().get("max.message.bytes");
        if (bytes != null && Integer.parseInt(bytes) > 3000000)
            throw new PolicyViolationException("'max.message.bytes' with value '" + bytes + "' exceeded max limit");
    }
}
"""
"""As on managed brokers."""


@pytest.mark.kafka
async def test_the_message_limit_is_lowered_to_what_the_broker_allows(
    shared_apache_kafka: Server, tmp_path: Path
) -> None:
    javac = require_program("javac", package="openjdk-17-jdk-headless")
    (tmp_path / "LargestMessage.java").write_text(POLICY)
    run_program(javac, "-cp", f"{kafka_jars()}/*", "-d", tmp_path, tmp_path / "LargestMessage.java")
    settings = ["create.topic.policy.class.name=LargestMessage"]
    with start_apache_kafka(settings=settings, classes=[tmp_path]) as broker:
        reports = await create_topics(broker.bootstrap, default_plans(1))
        assert {report.outcome for report in reports} == {TopicOutcome.CREATED}
        assert "the broker does not allow larger messages" in reports[-1].detail
        assert (await settings_of(broker.bootstrap, "dead-letters"))["max.message.bytes"] == str(2 * 2**20)
        assert (await settings_of(broker.bootstrap, "clicks"))["max.message.bytes"] == str(2 * 2**20)
        large = letter(0, value=b"x" * (5 * 2**20))
        async with DeadLetterWriter(broker.bootstrap) as writer:
            await writer.write([large, letter(1)])
        found = sorted([one async for one in read_dead_letters(broker.bootstrap)], key=lambda one: one.offset)
        assert found == [truncated(large), letter(1)]


def test_the_message_limit_is_halved_until_the_brokers_default() -> None:
    config = {"cleanup.policy": "delete", "max.message.bytes": str(16 * 2**20)}
    assert [tried.get("max.message.bytes") for tried in config_fallbacks(config)] == [
        *(str(mib * 2**20) for mib in (16, 8, 4, 2, 1)),
        None,
    ]
    assert list(config_fallbacks({"cleanup.policy": "compact"})) == [{"cleanup.policy": "compact"}]
