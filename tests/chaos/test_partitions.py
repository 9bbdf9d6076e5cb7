"""Topics that change under a running shop: partitions added, topics deleted, and recreated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from consumers.settings import Clock
from consumers.topic_admin import create_topics, default_plans
from consumers.topics import EVENT_TOPICS, Partition, Topic
from tests.chaos.test_recreated_topics import delete_topics
from tests.support.servers import Server
from tests.support.stack import WORKER, Shop, stack
from tests.support.traffic import Traffic, Witness
from tests.support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

NOTICED_S = 15
BLIND = """
from aiokafka.consumer.group_coordinator import GroupCoordinator
def ignore(self):
    if len(self._subscription.assigned_partitions()) < 7:
        self.request_rejoin()
GroupCoordinator._on_metadata_change = ignore
"""
"""A worker that ignores metadata changes once it reads the first 7 partitions, like aiokafka with its default of 5
min."""


@contextmanager
def open_now(broker: Server, store: Server, **changes: object) -> Iterator[Shop]:
    """A shop on the machine's clock."""
    with stack(broker, store, clock=Clock.WALL, session_timeout_s=6, compact_every_s=2, **changes) as shop:
        yield shop


def add_partitions(broker: Server, count: int, *topics: Topic) -> None:
    """Raise the number of partitions of topics."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for added in admin.create_partitions([NewPartitions(topic.value, count) for topic in topics]).values():
        added.result(60)


def counted(shop: Shop, topic: Topic) -> int:
    """Distinct events of a topic counted so far."""
    return sum(count for name, count in shop.totals().items() if name.startswith(f"events,{topic},"))


def until_all_counted(shop: Shop, traffic: Traffic) -> None:
    """Wait until each event counted, and none twice."""
    for topic in (Topic.ORDERS, Topic.CLICKS):
        written = traffic.written(topic)
        eventually(
            lambda topic=topic, written=written: counted(shop, topic) == written,
            within_s=60,
            what=f"{written} {topic} are counted",
        )


def test_adding_partitions_under_load_keeps_counts_exact(apache_kafka: Server, redis_server: Server) -> None:
    with (
        open_now(apache_kafka, redis_server, workers=2, partitions=2) as shop,
        Traffic(apache_kafka.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        added_s = time.monotonic()
        add_partitions(apache_kafka, 4, *EVENT_TOPICS)
        wanted = {Partition(topic, number) for topic in EVENT_TOPICS for number in range(4)}
        eventually(lambda: wanted <= set(shop.state().partitions), within_s=30, what="the new partitions are read")
        witness.until_live()
        time.sleep(max(0, added_s + NOTICED_S + 5 - time.monotonic()))
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong(added_s + NOTICED_S)
        assert all(one.at_s < added_s + NOTICED_S for one in witness.not_live(added_s)), witness.reasons()
        held = shop.state().partitions
        assert all(held[Partition(topic, 3)].position for topic in (Topic.ORDERS, Topic.CLICKS))


def test_unread_partitions_make_answers_not_live(apache_kafka: Server, redis_server: Server) -> None:
    with (
        open_now(apache_kafka, redis_server, workers=0, partitions=2) as shop,
        Traffic(apache_kafka.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        blind = shop.start_worker(BLIND + WORKER)
        witness.until_live()
        added_s = time.monotonic()
        add_partitions(apache_kafka, 3, *EVENT_TOPICS)
        witness.until_not_live(within_s=NOTICED_S)
        time.sleep(NOTICED_S)
        unread_s = time.monotonic()
        assert not witness.wrong(added_s + NOTICED_S)
        later = [one for one in witness.seen if one.at_s > added_s + NOTICED_S]
        assert not any(one.live for one in later)
        assert not all(one.right for one in later), "answers must lack events of the new partitions here"
        assert all(set(one.stale) == {"clicks/2", "logistics/2", "orders/2"} for one in later)
        assert "partition orders/2 exists on the broker and no worker reads it yet" in witness.reasons()
        blind.stop()
        shop.workers.clear()
        shop.start_worker()
        witness.until_live()
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong(unread_s)


def test_a_topic_recreated_with_fewer_partitions_does_not_stop_others(
    apache_kafka: Server, redis_server: Server
) -> None:
    with (
        open_now(apache_kafka, redis_server, workers=2, partitions=3) as shop,
        Traffic(apache_kafka.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        traffic.pause(Topic.CLICKS)
        # Clicks that are not counted by now are lost with their topic.
        eventually(lambda: counted(shop, Topic.CLICKS) == traffic.written(Topic.CLICKS), within_s=60, what="clicks")
        witness.until_live()
        deleted_s = time.monotonic()
        asyncio.run(delete_topics(apache_kafka.bootstrap, Topic.CLICKS))
        missing = witness.until_not_live(within_s=NOTICED_S)
        eventually(
            lambda: "topic clicks does not exist" in witness.reasons(), within_s=NOTICED_S, what=("it is reported")
        )
        asyncio.run(create_topics(apache_kafka.bootstrap, default_plans(2)))
        created_s = time.monotonic()
        traffic.resume(Topic.CLICKS)
        eventually(
            lambda: {"clicks/0", "clicks/1"} <= set(shop.incomplete()),
            within_s=NOTICED_S,
            what=("the loss is reported"),
        )
        witness.until_live()
        assert missing.at_s < deleted_s + NOTICED_S
        assert not witness.wrong(created_s + NOTICED_S)
        time.sleep(max(0, created_s + NOTICED_S + 2 - time.monotonic()))
        assert witness.seen[-1].live, "the removed partition does not delay the as-of"
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong(created_s + NOTICED_S)
