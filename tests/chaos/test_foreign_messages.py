"""A topic with another team's messages: paused through kills, reported everywhere, and exact once accepted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.dead_letters.reading import read_dead_letters
from consumers.kafka.producer import OutgoingMessage
from consumers.topics import Topic
from tests.support.events import click, paid, wire
from tests.support.salepulse import salepulse
from tests.support.servers import Server
from tests.support.stack import Shop, environment, stack
from tests.support.wait import eventually

FOREIGN, GOOD, CLICKS = 20_000, 8_000, 500
DEBEZIUM = b'{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":1},"op":"c"}}'


@pytest.mark.slow
def test_a_foreign_topic_stays_paused_through_kills_and_counts_exactly_once_accepted(
    broker: Server, redis_server: Server, tmp_path: Path
) -> None:
    with stack(broker, redis_server, partitions=2, batch_records=300) as shop:
        shop.send(orders())
        shop.send(OutgoingMessage(Topic.CLICKS, b"u%d" % i, wire(click(at=i))) for i in range(CLICKS))
        until(lambda: paused(shop) == ["orders/0", "orders/1"])
        for _ in range(2):
            shop.kill_worker()
            shop.until_worker_heartbeats_stop()
            shop.start_worker()
            shop.until_all_partitions_worked()
        until(lambda: shop.totals().get("events,clicks,page_view") == CLICKS)
        ready = httpx.get(f"{shop.api.url}/readyz")
        assert ready.status_code == 503
        (reason,) = [text for text in ready.json()["reasons"] if text.startswith("topic orders is not read: ")]
        assert "--accept orders" in reason
        assert "topic_orders" in reason
        assert 'salepulse_topic_stopped{topic="orders"} 1.0' in httpx.get(f"{shop.api.url}/metrics").text
        assert 0 < asyncio.run(letters(broker.bootstrap)) <= 1_000
        assert counted(shop)["refused"] <= 500
        assert doctor(shop, tmp_path)["partition orders/0"] == "error"
        shop.kill_worker()
        shop.environment = {**shop.environment, "SALEPULSE_ACCEPT": "orders"}
        shop.start_worker()
        until(lambda: counted(shop)["good"] > 1_000)
        shop.kill_worker()
        shop.start_worker()
        shop.until_counted()
        assert counted(shop) == {"good": GOOD, "refused": FOREIGN}
        assert paused(shop) == []
        assert asyncio.run(distinct_letters(broker.bootstrap)) == FOREIGN
        assert "partition orders/0" not in doctor(shop, tmp_path)


def orders() -> Iterator[OutgoingMessage]:
    """Five of seven messages are foreign."""
    for i in range(FOREIGN + GOOD):
        yield OutgoingMessage(Topic.ORDERS, b"o%d" % i, wire(paid(at=i / 10)) if i % 7 < 2 else DEBEZIUM)


def until(condition: Callable[[], object]) -> None:
    eventually(condition, within_s=90, every_s=0.2)


def paused(shop: Shop) -> list[str]:
    return sorted(map(str, shop.state().paused))


def counted(shop: Shop) -> dict[str, int]:
    totals = shop.totals()
    refused = sum(count for name, count in totals.items() if name.startswith("rejected,orders,"))
    return {"good": totals.get("events,orders,order_paid", 0), "refused": refused}


def doctor(shop: Shop, folder: Path) -> dict[str, Any]:
    """Status of each check. The doctor exits with 1 here, since messages were rejected recently."""
    done = salepulse("doctor", "--json", cwd=folder, env=dict(environment(shop.settings)))
    assert done.returncode == 1, done.stdout
    return {one["check"]: one["status"] for one in json.loads(done.stdout)["checks"]}


async def letters(bootstrap: str) -> int:
    """Records on the dead-letter topic, including repeats."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition("dead-letters", n) for n in range(2)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def distinct_letters(bootstrap: str) -> int:
    return sum([1 async for _ in read_dead_letters(bootstrap)])
