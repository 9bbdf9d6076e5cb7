"""A broker that crashes and restarts, or has deleted records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.kafka.producer import OutgoingMessage
from consumers.topics import Topic
from tests.chaos.conftest import Opening, Recording
from tests.streams.shop import ORDERS_0
from tests.support.events import paid, wire
from tests.support.kafka import apache_kafka as start_apache_kafka
from tests.support.servers import Server
from tests.support.stack import Shop, environment
from tests.support.wait import eventually

pytestmark = [pytest.mark.slow, pytest.mark.kafka]


@pytest.fixture
def own_broker(shared_apache_kafka: Server) -> Iterator[Server]:
    """The test's own Apache Kafka; skipped without Kafka."""
    with start_apache_kafka() as server:
        yield server


def test_killing_the_broker_while_records_are_read_keeps_counts_exact(
    own_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, rng: Random
) -> None:
    with open_shop(own_broker, redis_server, workers=0) as shop:
        shop.replay(recording.folder)
        shop.start_worker()
        shop.start_worker()
        for _ in range(2):
            shop.until_records_counted(rng.uniform(0.05, 0.5) * recording.events)
            own_broker.kill()
            time.sleep(rng.uniform(0, 3))
            own_broker.restart()
        recording.check(shop)


@pytest.mark.parametrize("when", ["away", "coming back", "back"])
def test_a_worker_stops_while_its_broker_restarts(
    own_broker: Server, redis_server: Server, open_shop: Opening, recording: Recording, rng: Random, when: str
) -> None:
    with open_shop(own_broker, redis_server, workers=2) as shop:
        shop.replay(recording.folder / "promotions.ndjson.gz", recording.folder / "orders.ndjson.gz")
        shop.until_all_partitions_worked()
        own_broker.kill()
        time.sleep(rng.uniform(0, 2))
        if when != "away":
            own_broker.spawn()
        if when == "back":
            own_broker.wait_ready()
            time.sleep(rng.uniform(0, 2))
        with ThreadPoolExecutor(2) as hands:
            ended = list(hands.map(lambda worker: worker.terminate(within_s=10), shop.workers))
        shop.workers.clear()
        assert ended == [0, 0]
        assert "forced exit" not in shop.log()


class TestRecordsDeletedBeforeTheyWereCounted:
    """Retention has overtaken the position: the rest is counted, and the loss is reported."""

    def test_lost_records_are_reported_as_incomplete_history(
        self, apache_kafka: Server, redis_server: Server, open_shop: Opening, recording: Recording
    ) -> None:
        with open_shop(apache_kafka, redis_server, workers=1, partitions=1) as shop:
            shop.replay(recording.folder / "promotions.ndjson.gz", recording.folder / "orders.ndjson.gz")
            shop.until_counted()
            newest_ms = shop.state().partitions[ORDERS_0].newest_ms
            shop.stop_worker()
            before = shop.ends["orders", 0]
            shop.replay(recording.folder / "orders.ndjson.gz")
            delete_before(apache_kafka, "orders", before + 100)
            shop.start_worker()  # it finds the loss before it has an as-of
            shop.until_counted()
            assert shop.incomplete() == ["orders/0"]
            assert "history is incomplete" in shop.log()
            assert shop.totals()["duplicates,orders"] > 0
            assert since(shop) == newest_ms
            assert "orders/0" in doctor_output(shop)

            shop.stop_worker()  # a second loss, and more workers, keep the earliest time
            before = shop.ends["orders", 0]
            shop.send(OutgoingMessage(Topic.ORDERS, None, wire(paid(at=30 * 86_400 + i))) for i in range(20))
            delete_before(apache_kafka, "orders", before + 10)
            shop.start_worker()
            shop.until_counted()
            assert since(shop) == newest_ms


def since(shop: Shop) -> int | None:
    """Event time of the loss by every kind of answer, which must agree."""
    paths = ("kpis", "top?scope=channel", "series/gmv", "promotions", "shipping", "stock")
    answers = [httpx.get(f"{shop.api.url}/api/v1/{path}", timeout=30).json()["incomplete_since"] for path in paths]
    answers.append(httpx.get(f"{shop.api.url}/readyz", timeout=5).json()["incomplete_since"])
    assert len(set(answers)) == 1
    found: int | None = answers[0]
    return found


def doctor_output(shop: Shop) -> str:
    """Output of `salepulse doctor`, which must exit with 1."""
    env = {**os.environ, **environment(shop.settings)}
    argv = [sys.executable, "-m", "streams.cli", "doctor"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return "".join(line for line in done.stdout.splitlines() if "incomplete since" in line)


def delete_before(broker: Server, topic: str, offset: int) -> None:
    """Delete a topic's records of partition 0 below an offset, and wait until they are gone."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for deleted in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        assert eventually(deleted.result).low_watermark == offset
