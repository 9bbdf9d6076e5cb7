"""Choose the `alerts` process that reports an outage of Redis, which then cannot hold the lease that elects the leader.

Every process joins a Kafka consumer group on the topic `alerts` and reads nothing. The owner of partition 0 reports, so
that on-call is paged once, whichever processes were killed or restarted. The group decides nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from consumers.kafka.connection import KafkaTarget, kafka_client_config
from consumers.kafka.errors import kafka_errors
from consumers.kafka.standalone import stop_consumer
from consumers.topics import Topic

log = structlog.get_logger()

JOIN_WITHIN_S = 20.0
"""A process that has not joined by then assumes that Kafka is unavailable, too."""
_CHECK_EVERY_S = 1.0


class OutageReporter:
    """Membership of one process in the group. Call `hold` in a loop: it rejoins after an error."""

    def __init__(self, kafka: KafkaTarget, group: str, session_timeout_s: float) -> None:
        self._kafka = kafka
        self._group = group
        self._session_timeout_ms = round(session_timeout_s * 1000)
        self._started_s = time.monotonic()
        self._chosen: bool | None = None

    def reports(self, *, led: bool, led_by_another: bool) -> bool:
        """Whether this process reports an outage.

        While it has not joined the group, the process that led last does; after `JOIN_WITHIN_S`, also one that has
        never seen another lead.
        """
        if self._chosen is not None:
            return self._chosen
        return led or (not led_by_another and time.monotonic() - self._started_s > JOIN_WITHIN_S)

    async def hold(self, yields: Callable[[], bool]) -> None:
        """Join, and stay a member until this process owns partition 0 and `yields` returns true.

        Leaving the group then gives the partition to another process.

        Raises SalepulseError if Kafka does not respond or denies the group.
        """
        topic = kafka_client_config(self._kafka).topics.on_broker(Topic.ALERTS)
        partition = TopicPartition(topic, 0)
        consumer = AIOKafkaConsumer(
            **kafka_client_config(self._kafka).options(),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=self._session_timeout_ms // 5,
            max_poll_interval_ms=2**31 - 1,
        )
        try:
            async with kafka_errors(self._kafka):
                consumer.subscribe([topic], listener=_Listener(consumer, self._assigned, partition))
                await consumer.start()
            while True:
                await asyncio.sleep(_CHECK_EVERY_S)
                if self._chosen and yields():
                    self._chosen = False
                    return
        finally:
            await stop_consumer(consumer)

    def _assigned(self, chosen: bool) -> None:
        if chosen is not self._chosen:
            log.info("joined the group of alerts processes", reports_outages=chosen)
        self._chosen = chosen


class _Listener(ConsumerRebalanceListener):
    """Reports whether one partition is assigned, and pauses all of them, because no record is read."""

    def __init__(self, consumer: Any, assigned: Callable[[bool], None], partition: TopicPartition) -> None:
        self._consumer = consumer
        self._assigned = assigned
        self._partition = partition

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Keep the last assignment until the next one."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pause the assigned partitions and report the assignment."""
        self._consumer.pause(*assigned)
        self._assigned(self._partition in assigned)
