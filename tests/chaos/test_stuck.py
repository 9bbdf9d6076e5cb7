"""A worker that stops reading while its broker is available: it is detected, and counting continues soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from streams.local.embedded.ports import LOOPBACK, free_port
from tests.chaos.conftest import Opening, Recording
from tests.support.fault_proxy import FaultProxy
from tests.support.kafka import apache_kafka as start_apache_kafka
from tests.support.servers import Server, tansu_broker
from tests.support.stack import WORKER

pytestmark = pytest.mark.slow

WITHIN_S = 60
DEAF = """
from consumers.kafka.faust_transport import BatchConsumerThread
import asyncio
fetch, left = BatchConsumerThread._fetch_records, 3
async def deaf(self, *args, **kwargs):
    global left
    batches = await fetch(self, *args, **kwargs)
    left -= bool(batches)
    return batches if left > 0 else await asyncio.sleep(3600)
BatchConsumerThread._fetch_records = deaf
"""
"""A consumer that receives some batches and then waits forever, as Faust was seen to do."""


class Linked(NamedTuple):
    """A broker behind a proxy."""

    broker: Server
    proxy: FaultProxy


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def linked(request: pytest.FixtureRequest) -> Iterator[Linked]:
    if request.param == "apache":
        request.getfixturevalue("shared_apache_kafka")  # skips without Kafka
    start = tansu_broker if request.param == "embedded" else start_apache_kafka
    port = free_port()
    with FaultProxy((LOOPBACK, port)) as proxy, start(port=port, advertised=proxy.address) as broker:
        yield Linked(broker, proxy)


def test_silent_connections_are_replaced(
    linked: Linked, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(linked.broker, redis_server) as shop:
        shop.until_all_partitions_worked()
        linked.proxy.silence()
        shop.replay(recording.folder)
        shop.until_records_counted(recording.events, within_s=WITHIN_S)
        recording.check(shop)


def test_a_stuck_worker_exits_and_another_continues(
    linked: Linked, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(linked.broker, redis_server, stuck_after_s=6) as shop:
        shop.until_all_partitions_worked()
        linked.proxy.silence()
        shop.replay(recording.folder)
        assert shop.workers.pop().ended(within_s=30) == 1
        assert "worker is stuck; exiting" in shop.log()
        shop.start_worker()
        recording.check(shop)


def test_a_consumer_that_never_returns_ends_the_worker(
    embedded_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, redis_server, workers=0, stuck_after_s=6) as shop:
        shop.replay(recording.folder)
        began = time.monotonic()
        assert shop.start_worker(DEAF + WORKER).ended(within_s=WITHIN_S) == 1
        assert "worker is stuck; exiting" in shop.log()
        shop.workers.clear()
        shop.start_worker()
        recording.check(shop)
        assert time.monotonic() - began < WITHIN_S


def test_waits_for_a_broker_that_answers_no_consumer(
    linked: Linked, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(linked.broker, redis_server, stuck_after_s=6) as shop:
        with shop.replaying(recording.folder, speed=recording.over(seconds=10)):
            shop.until_records_counted(0.05 * recording.events)
        linked.proxy.black_hole()
        time.sleep(15)
        assert shop.workers[0].running, shop.log()
        linked.proxy.heal()
        recording.check(shop)


def test_idle_partitions_do_not_end_a_worker(
    embedded_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording
) -> None:
    with open_shop(embedded_broker, redis_server, stuck_after_s=2) as shop:
        shop.replay(recording.folder / "orders.ndjson.gz")
        shop.until_all_partitions_worked()
        time.sleep(8)
        assert shop.workers[0].running, shop.log()
        shop.replay(recording.folder)
        shop.until_records_counted(shop.position() + 1)
