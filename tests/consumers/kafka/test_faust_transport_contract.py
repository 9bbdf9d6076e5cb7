"""The parts of Faust and aiokafka that `consumers.kafka.faust_transport` overrides and reads are unchanged."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from consumers.kafka import faust_transport
from consumers.kafka.bulk_fetch import RawMemoryRecords, patch_memory_records


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(thing: Any) -> str:
    return inspect.getsource(thing)


def test_faust_has_the_version_that_the_transport_was_written_for() -> None:
    assert faust.__version__ == "0.15.3"


@pytest.mark.parametrize(
    ("overridden", "expected"),
    [
        (driver.AIOKafkaConsumerThread._create_consumer, ["self", "loop"]),
        (
            driver.AIOKafkaConsumerThread._fetch_records,
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (faust_consumer.Consumer.getmany, ["self", "timeout"]),
        (faust_consumer.Consumer._wait_next_records, ["self", "timeout"]),
        (faust.Schema.loads_key, ["self", "app", "message", "loads"]),
        (faust.Schema.loads_value, ["self", "app", "message", "loads"]),
        (faust.App._new_transport, ["self"]),
        (Fetcher.fetched_records, ["self", "partitions", "timeout", "max_records"]),
        (Fetcher._create_fetch_waiter, ["self"]),
        (Assignment.state_value, ["self", "tp"]),
        (FetchResult.has_more, ["self"]),
        (FetchResult.getall, ["self", "max_records"]),
        (aiokafka.AIOKafkaConsumer.getmany, ["self", "partitions", "timeout_ms", "max_records"]),
    ],
)
def test_overridden_and_called_functions_exist_with_their_parameters(
    overridden: Callable[..., Any], expected: list[str]
) -> None:
    assert [name for name in parameters(overridden) if name != "kwargs"][: len(expected)] == expected


def test_every_override_exists_in_faust() -> None:
    for ours, theirs in (
        (faust_transport.BatchConsumerThread, driver.AIOKafkaConsumerThread),
        (faust_transport.BatchConsumer, driver.Consumer),
        (faust_transport.BatchTransport, driver.Transport),
        (faust_transport.BatchSchema, faust.Schema),
        (faust_transport.BatchApp, faust.App),
    ):
        own = {name for name in vars(ours) if not name.startswith("__") and name not in ("_message", "_abc_impl")}
        helpers = {
            "logger",
            "fetch_settings",
            "fetch_topic_metadata",
            "large_record_reads",
            "last_fetch_ms",
            "topic_names",
        }
        for name in own - helpers:
            assert hasattr(theirs, name), f"{theirs.__name__}.{name}"
    assert driver.Transport.Consumer is driver.Consumer


def test_attributes_set_before_start_are_read_at_start() -> None:
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in started
    assert "self._max_partition_fetch_bytes" in started


def test_attributes_read_by_the_transport_exist() -> None:
    assert "self._subscriptions = subscriptions" in source(Fetcher.__init__)
    assert "self._records" in source(Fetcher.__init__)
    assert "self._partition_records" in source(FetchResult.__init__)
    assert isinstance(inspect.getattr_static(SubscriptionState, "reassignment_in_progress"), property)
    assert isinstance(inspect.getattr_static(SubscriptionState, "subscription"), property)
    assert "self.highwater" in source(TopicPartitionState.__init__)
    assert "self._assignment" in source(FetchResult.__init__)
    for name in ("has_valid_position", "position"):
        assert isinstance(inspect.getattr_static(TopicPartitionState, name), property)
    for name in ("_read_offset", "_buffered_partitions", "flow_active"):
        assert name in source(faust_consumer.Consumer)


def test_bulk_partition_records_has_every_attribute_a_fetch_result_uses() -> None:
    code = source(FetchResult)
    asked = set(re.findall(r"_partition_records\.(\w+)", code))
    assert asked == {"next_fetch_offset"}
    assert "for msg in self._partition_records:" in code


def test_fetched_bytes_are_kept_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka creates the parser of a fetch by a replaceable name, and uses nothing else of it."""
    code = source(Fetcher._proc_fetch_request)
    assert code.count("records = MemoryRecords(part_data[-1])") == 1
    assert set(re.findall(r"\brecords\.(\w+)\(", code)) == {"has_next", "size_in_bytes"}
    assert set(re.findall(r"\brecords\.(\w+)\(", source(PartitionRecords._unpack_records))) == {
        "has_next",
        "next_batch",
    }
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    patch_memory_records()
    assert fetcher.MemoryRecords is RawMemoryRecords


def test_raw_memory_records_checks_what_aiokafka_checks_without_transactions() -> None:
    parsed = PartitionRecords(TopicPartition("clicks", 0), MemoryRecords(b""), None, 7, None, None, True, 0)
    assert (parsed._tp, parsed.next_fetch_offset) == (("clicks", 0), 7)
    assert not parsed._records.has_next()
    assert parsed._records_iterator is not None
    assert aiokafka.AIOKafkaConsumer.__init__.__kwdefaults__["isolation_level"] == "read_uncommitted"
    assert aiokafka.AIOKafkaConsumer.__init__.__kwdefaults__["check_crcs"] is True


def test_faust_accepts_a_message_if_the_read_offset_is_none() -> None:
    """`getmany` sets the read offset to None, and Faust then drops nothing."""
    assert "if r_offset is None or offset >= r_offset:" in source(faust_consumer.Consumer._drain_messages)


def test_there_is_no_await_between_reading_positions_and_records() -> None:
    """With a timeout of 0 and without a rebalance, aiokafka returns what it holds without suspending."""
    code = source(Fetcher.fetched_records)
    upto = code.index("if drained or not timeout:")
    awaits = [line.strip() for line in code[:upto].splitlines() if "await " in line]
    assert awaits == ["await self._subscriptions.wait_for_assignment()"]
