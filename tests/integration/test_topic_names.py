"""Topics with other names on the broker: everything works, and no topic with a logical name is touched."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.embedded.ports import free_port
from streams.settings import Settings
from tests.support.salepulse import Running, salepulse, started
from tests.support.servers import Server
from tests.support.wait import eventually

NAMES = {"topic_prefix": "eu.shop.", "topic_orders": "order-events"}
ON_BROKER = {"clicks", "order-events", "logistics", "promotions", "dead-letters", "alerts"}
PROMOTIONS = """
promotions:
  - promotion_id: d11
    name: Double eleven
    starts_at: 2030-11-11T00:00
    ends_at: 2030-11-12T00:00
    timezone: Asia/Shanghai
"""


@pytest.mark.slow
def test_workers_dead_letters_replay_promotions_and_alerts_use_the_configured_names(
    broker: Server, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = Settings(bootstrap=broker.bootstrap, redis_url=redis_url, partitions=2, http_port=port, **NAMES)
    env = environment(settings)
    topics = salepulse("topics", "create", cwd=tmp_path, env=env)
    assert "orders (eu.shop.order-events on the broker): created" in topics.stdout, topics.stderr
    recording, file = tmp_path / "recording", tmp_path / "promotions.yaml"
    recording.mkdir()
    (recording / "orders.ndjson").write_bytes(b"".join(order(i) + b"\n" for i in range(20)) + b'{"broken\n')
    file.write_text(PROMOTIONS)
    up = Running("up", cwd=tmp_path, env=env)
    with started(up):
        up.until("ready http")
        done = salepulse("replay", recording, "--wait", cwd=tmp_path, env=env, timeout_s=120)
        assert "counted all 21 messages" in done.stdout, done.stderr
        assert salepulse("promotions", "apply", file, cwd=tmp_path, env=env).returncode == 0
        eventually(lambda: "topic and shop" in promotions(tmp_path, env), within_s=60, what="d11 is in force")
        scraped = metrics(port)
        assert 'salepulse_events_total{topic="orders",type="order_created"} 20.0' in scraped
        assert 'salepulse_topic_info{broker_topic="eu.shop.order-events",topic="orders"} 1.0' in scraped
        letters = salepulse("dead-letters", "list", "--topic", "orders", "--json", cwd=tmp_path, env=env)
        (letter,) = json.loads(letters.stdout)["dead_letters"]
        assert (letter["topic"], letter["broker_topic"]) == ("orders", "eu.shop.order-events")
        again = salepulse("dead-letters", "replay", "--id", letter["id"], cwd=tmp_path, env=env)
        assert again.stdout == "sent again: 1 to orders\n", again.stderr
        sample = 'salepulse_rejected_total{reason="bad_json",topic="orders"} 2.0'
        eventually(lambda: sample in metrics(port), within_s=60, what=sample)
        doctor = salepulse("doctor", "--json", cwd=tmp_path, env=env)
        found = {one["check"]: one["status"] for one in json.loads(doctor.stdout)["checks"]}
        assert found["topic orders (eu.shop.order-events on the broker)"] == "ok", doctor.stdout
    asyncio.run(send_all(settings.kafka, [OutgoingMessage(Topic.ALERTS, b"k", b"{}")]))
    assert asyncio.run(read(broker.bootstrap, "eu.shop.alerts")) == [b"{}"]
    found_topics = asyncio.run(topics_of(broker.bootstrap))
    assert found_topics == {"eu.shop." + name for name in ON_BROKER}


def test_an_invalid_topic_name_is_rejected_at_start(tmp_path: Path) -> None:
    for command in (("worker",), ("topics", "create"), ("serve",), ("alerts",)):
        done = salepulse(*command, cwd=tmp_path, env={"SALEPULSE_TOPIC_ORDERS": "clicks"})
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "clicks and orders would both be called 'clicks' on the broker" in done.stderr


def order(number: int) -> bytes:
    event = {"event_id": f"e{number}", "type": "order_created", "ts": now_ms(), "order_id": f"o{number}"}
    return json.dumps(event | {"user_id": "u", "items": [{"sku": "s", "qty": 1, "unit_price": 100}]}).encode()


def environment(settings: Settings) -> dict[str, str]:
    chosen = {"bootstrap", "redis_url", "partitions", "http_port", *NAMES}
    plain = settings.model_dump(mode="json") | {"redis_url": settings.redis_url.get_secret_value()}
    return {f"SALEPULSE_{name.upper()}": str(plain[name]) for name in chosen}


def promotions(folder: Path, env: Mapping[str, str]) -> str:
    return salepulse("promotions", "list", cwd=folder, env=env).stdout


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


async def topics_of(bootstrap: str) -> set[str]:
    """All topics except Kafka's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if not re.match("__", name)}
    finally:
        await admin.close()


async def read(bootstrap: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 20)).value]
    finally:
        await consumer.stop()
