"""The test servers start, survive SIGKILL, and end with the process that started them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support.empty_broker import empty_broker
from tests.support.fault_proxy import FaultProxy
from tests.support.kafka import apache_kafka, kafka_cluster
from tests.support.processes import alive
from tests.support.servers import Server, redis_server
from tests.support.wait import eventually


async def create_topic(bootstrap: str, topic: str, *, replicas: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=replicas)])
    finally:
        await admin.close()


async def put(bootstrap: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2**25) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def take(bootstrap: str, topic: str, count: int) -> list[int]:
    """Sizes of the first messages."""
    at = {"bootstrap_servers": bootstrap, "auto_offset_reset": "earliest", "group_id": "takers"}
    async with AIOKafkaConsumer(topic, **at) as consumer:
        return [len((await consumer.getone()).value or b"") for _ in range(count)]


def test_both_brokers_deliver_messages_to_a_group(broker: Server) -> None:
    async def scenario() -> list[int]:
        await create_topic(broker.bootstrap, "clicks")
        await put(broker.bootstrap, "clicks", b"a", b"bc")
        return await take(broker.bootstrap, "clicks", 2)

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == [1, 2]


@pytest.mark.kafka
class TestApacheKafka:
    def test_an_emptied_broker_has_no_topics_and_accepts_new_ones(self, apache_kafka: Server) -> None:
        asyncio.run(create_topic(apache_kafka.bootstrap, "clicks"))
        asyncio.run(put(apache_kafka.bootstrap, "clicks", b"old"))
        asyncio.run(take(apache_kafka.bootstrap, "clicks", 1))
        empty_broker(apache_kafka.bootstrap)
        asyncio.run(create_topic(apache_kafka.bootstrap, "clicks"))
        asyncio.run(put(apache_kafka.bootstrap, "clicks", b"fresh"))
        assert asyncio.run(take(apache_kafka.bootstrap, "clicks", 1)) == [len("fresh")]

    @pytest.mark.slow
    def test_messages_of_16_mib_survive_sigkill(self) -> None:
        with apache_kafka() as server:
            asyncio.run(create_topic(server.bootstrap, "topic"))
            asyncio.run(put(server.bootstrap, "topic", bytes(16 * 2**20)))
            server.kill()
            assert not server.running
            server.restart()
            assert asyncio.run(asyncio.wait_for(take(server.bootstrap, "topic", 1), 60)) == [16 * 2**20]

    @pytest.mark.slow
    def test_a_cluster_of_three_continues_without_one_node(self) -> None:
        with kafka_cluster(3) as nodes:
            bootstrap = ",".join(node.bootstrap for node in nodes)
            asyncio.run(create_topic(bootstrap, "topic", replicas=3))
            asyncio.run(put(bootstrap, "topic", b"a"))
            nodes[0].kill()
            asyncio.run(asyncio.wait_for(put(bootstrap, "topic", b"b"), 60))
            assert asyncio.run(asyncio.wait_for(take(bootstrap, "topic", 2), 60)) == [1, 1]


@pytest.mark.parametrize(("aof", "left"), [(True, b"1"), (False, None)])
def test_a_killed_redis_keeps_its_data_only_with_aof(aof: bool, left: bytes | None) -> None:
    with redis_server(aof=aof) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", 1)
        server.kill()
        server.restart()
        assert client.get("key") == left


def test_every_test_gets_an_empty_redis(redis_url: str, request: pytest.FixtureRequest) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("left", "behind")
        request.getfixturevalue("redis_server")
        assert client.dbsize() == 1


def test_a_server_that_cannot_start_shows_its_log() -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)redis did not start: .*no-such-option"),
        redis_server("--no-such-option", "1"),
    ):
        pass


def test_a_server_outlives_the_thread_that_started_it() -> None:
    with redis_server() as server:
        server.kill()
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()
        time.sleep(0.3)
        assert server.running


def test_servers_end_with_a_killed_test_run(tmp_path: Path) -> None:
    code = (
        "import time; from tests.support.servers import redis_server\n"
        "with redis_server() as server: print(server.pid, flush=True); time.sleep(600)"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    eventually(lambda: not alive(pid), what="the server is gone")


class TestFaultProxy:
    @pytest.fixture
    def proxy(self, redis_server: Server):
        with FaultProxy((redis_server.host, redis_server.port)) as proxy:
            yield proxy

    def ask(self, connection: socket.socket) -> bytes:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)

    def connect(self, proxy: FaultProxy) -> socket.socket:
        return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5)

    def test_data_passes_unchanged(self, proxy: FaultProxy) -> None:
        with self.connect(proxy) as connection:
            assert self.ask(connection) == b"+PONG\r\n"
            assert proxy.connections == 1

    def test_cut_resets_connections_and_refuses_new_ones_until_healed(self, proxy: FaultProxy) -> None:
        with self.connect(proxy) as connection:
            self.ask(connection)
            proxy.cut()
            with pytest.raises(ConnectionError):
                self.ask(connection)
        with pytest.raises(ConnectionRefusedError):
            self.connect(proxy)
        proxy.heal()
        with self.connect(proxy) as connection:
            assert self.ask(connection) == b"+PONG\r\n"

    def test_a_black_hole_holds_all_data_until_healed(self, proxy: FaultProxy) -> None:
        with self.connect(proxy) as connection:
            self.ask(connection)
            proxy.black_hole()
            with pytest.raises(TimeoutError):
                self.ask(connection)
            with self.connect(proxy) as late, pytest.raises(TimeoutError):
                self.ask(late)
            proxy.heal()
            assert connection.recv(100) == b"+PONG\r\n"

    def test_a_delay_applies_in_each_direction(self, proxy: FaultProxy) -> None:
        proxy.delay(0.1)
        with self.connect(proxy) as connection:
            start = time.monotonic()
            self.ask(connection)
            assert time.monotonic() - start >= 0.2
