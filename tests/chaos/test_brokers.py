"""Faults of brokers under a running shop: a crashed leader, leader changes, a slow broker, a full disk.

No answer may be live and wrong: `Witness` compares each with the events written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.dead_letters.reading import read_dead_letters
from consumers.kafka.producer import OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from streams.local.embedded.ports import LOOPBACK, free_port
from tests.chaos.test_partitions import until_all_counted
from tests.support.fault_proxy import FaultProxy
from tests.support.kafka import Listener, apache_kafka, kafka_cluster
from tests.support.servers import Server
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stack import Shop, stack
from tests.support.traffic import Traffic, Witness
from tests.support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

NOTICED_S = 15


class Brokers:
    """A cluster, with the interface that `stack` expects of a broker."""

    def __init__(self, nodes: list[Server]) -> None:
        self.nodes = nodes
        self.bootstrap = ",".join(node.bootstrap for node in nodes)
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def leaders(self) -> dict[tuple[str, int], int]:
        """The leader of each partition of orders, clicks and logistics."""
        topics = self._admin.list_topics(timeout=60).topics
        names = (Topic.ORDERS, Topic.CLICKS, Topic.LOGISTICS)
        return {(name, n): held.leader for name in names for n, held in topics[name].partitions.items()}

    def elect_preferred(self) -> None:
        """Elect the preferred leader of each partition, where it is available."""
        places = [TopicPartition(topic, number) for topic, number in self.leaders()]
        self._admin.elect_leaders(ElectionType.PREFERRED, places).result(60)


@contextmanager
def open_now(broker: Server | Brokers, store: Server, **changes: object) -> Iterator[Shop]:
    """A shop on the machine's clock."""
    with stack(broker, store, clock=Clock.WALL, session_timeout_s=6, compact_every_s=2, **changes) as shop:  # type: ignore[arg-type]
        yield shop


@pytest.fixture
def brokers(shared_apache_kafka: Server) -> Iterator[Brokers]:
    """Three nodes; skipped without Kafka."""
    with kafka_cluster(3) as nodes:
        yield Brokers(nodes)


def test_killing_leaders_under_load_keeps_counts_exact(brokers: Brokers, redis_server: Server) -> None:
    with (
        open_now(brokers, redis_server, workers=2, partitions=3) as shop,
        Traffic(brokers.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        before = brokers.leaders()
        died = before["orders", 0]
        brokers.nodes[died - 1].kill()
        eventually(lambda: died not in brokers.leaders().values(), within_s=40, what="others lead")
        witness.until_live()
        brokers.nodes[died - 1].restart()
        eventually(lambda: _elected(brokers, before), within_s=60, every_s=1, what="leaders are as at first")
        witness.until_live()
        time.sleep(3)
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong()
        assert not shop.incomplete()


def _elected(brokers: Brokers, wanted: dict[tuple[str, int], int]) -> bool:
    brokers.elect_preferred()
    return brokers.leaders() == wanted


@pytest.fixture
def slow_broker(shared_apache_kafka: Server) -> Iterator[tuple[Server, FaultProxy, Listener]]:
    """A broker that workers reach through a proxy, and producers directly; skipped without Kafka."""
    port, direct = free_port(), Listener("direct", "PLAINTEXT")
    with (
        FaultProxy((LOOPBACK, port)) as proxy,
        apache_kafka(port=port, advertised=proxy.address, listeners=[direct]) as broker,
    ):
        yield broker, proxy, direct


def test_a_slow_broker_keeps_counts_exact(
    slow_broker: tuple[Server, FaultProxy, Listener], redis_server: Server
) -> None:
    broker, proxy, direct = slow_broker
    with (
        open_now(broker, redis_server, partitions=2) as shop,
        Traffic(direct.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        for each_way_s in (0.5, 1.0):
            proxy.delay(each_way_s)
            for _ in range(3):  # the backlog does not grow
                shop.until_records_counted(traffic.written(Topic.ORDERS) + traffic.written(Topic.CLICKS), within_s=25)
        proxy.heal()
        witness.until_live()
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong()
        assert "worker is stuck" not in shop.log()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path, 48) as disk:
        yield disk


def test_a_full_disk_keeps_counts_exact(shared_apache_kafka: Server, disk: SmallDisk, redis_server: Server) -> None:
    """The broker halts, as Kafka does if its only disk is full. Messages rejected by then wait for their dead
    letters: none is dropped or skipped."""
    settings = [f"log.dirs={disk.folder / 'data'}", "log.segment.bytes=4194304", "log.index.size.max.bytes=65536"]
    with (
        apache_kafka(settings=settings) as broker,
        open_now(broker, redis_server, partitions=2) as shop,
        Traffic(broker.bootstrap) as traffic,
        Witness(shop.api, traffic) as witness,
    ):
        witness.until_live()
        shop.workers[0].pause()
        shop.send(OutgoingMessage(Topic.ORDERS, b"o-1", b"not an event %d" % number) for number in range(20))
        disk.fill()
        shop.workers[0].resume()
        eventually(lambda: not broker.running, within_s=60, what="the broker has halted")
        halted_s = time.monotonic()
        witness.until_not_live(within_s=NOTICED_S)
        time.sleep(NOTICED_S)
        assert not any(one.live for one in witness.seen if one.at_s > halted_s + NOTICED_S)
        assert "is stale" in witness.reasons(halted_s)
        disk.free()
        broker.restart()
        witness.until_live(within_s=90)
        traffic.stop()
        until_all_counted(shop, traffic)
        assert not witness.wrong()
        assert shop.totals()["rejected,orders,bad_json"] == 20
        assert dead_letters(broker) == 20
        assert not shop.incomplete()


def dead_letters(broker: Server) -> int:
    """Number of distinct messages on `dead-letters`."""

    async def read() -> int:
        return len([letter async for letter in read_dead_letters(broker.bootstrap)])

    return asyncio.run(read())
