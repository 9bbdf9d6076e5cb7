"""`/metrics` of a role: reachability, TLS, tokens, and clients that send nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from consumers.errors import UsageError
from streams.local.embedded.ports import free_port
from streams.process.metrics_server import metrics_server, metrics_url
from streams.settings import Settings
from tests.streams.tokens.making import token, write
from tests.support.certificates import Authority


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("salepulse_rebalances", "Rebalances.", registry=made).inc()
    return made


def served(registry: CollectorRegistry, **changes: object) -> tuple[Settings, int]:
    port = free_port()
    return Settings.model_validate({"metrics_port": port, **changes}), port


def test_the_registry_is_served_without_the_start_of_counters(registry: CollectorRegistry) -> None:
    settings, port = served(registry)
    with metrics_server(settings, registry, 1):
        answer = httpx.get(metrics_url(settings, port))
    assert answer.headers["content-type"].startswith("text/plain")
    assert "salepulse_rebalances_total 1.0\n" in answer.text
    assert "_created" not in answer.text


def test_the_default_port_is_used_without_a_setting(registry: CollectorRegistry) -> None:
    port = free_port()
    with metrics_server(Settings(), registry, port):
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_port_0_serves_nothing(registry: CollectorRegistry) -> None:
    before = threading.active_count()
    with metrics_server(Settings(metrics_port=0), registry, free_port()):
        assert threading.active_count() == before


def test_a_port_in_use_is_a_usage_error_with_the_flag(registry: CollectorRegistry) -> None:
    settings, port = served(registry)
    with (
        metrics_server(settings, registry, 1),
        pytest.raises(UsageError, match=rf"/metrics at 127.0.0.1:{port} .*--metrics-port \(metrics_port; 0: no"),
        metrics_server(settings, registry, 1),
    ):
        pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.7"])
def test_a_host_that_is_not_this_machine_is_a_usage_error(
    registry: CollectorRegistry, tmp_path: Path, host: str
) -> None:
    tokens = str(write(tmp_path / "tokens.json", token("prometheus")))
    settings, _ = served(registry, metrics_host=host, tokens_file=tokens)
    with pytest.raises(UsageError, match="choose another --metrics-host"), metrics_server(settings, registry, 1):
        pass


def test_other_machines_need_a_token(registry: CollectorRegistry, tmp_path: Path) -> None:
    settings, port = served(registry, metrics_host="0.0.0.0")
    with pytest.raises(UsageError, match="set metrics_host=127"), metrics_server(settings, registry, 1):
        pass
    file = str(write(tmp_path / "tokens.json", token("prometheus"), token("old", expires_ms=1)))
    with metrics_server(settings.model_copy(update={"tokens_file": file, "metrics_host": "127.0.0.1"}), registry, 1):
        url = metrics_url(Settings(), port)

        def status(secret: str) -> int:
            return httpx.get(url, headers={"authorization": f"Bearer {secret}"}).status_code

        assert [status(secret) for secret in ("sp_prometheus", "sp_old", "sp_none")] == [200, 401, 401]
        assert httpx.get(url).status_code == 401


def test_tls_with_the_certificate_of_the_api(registry: CollectorRegistry, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    settings, port = served(registry, http_cert_file=str(pair.cert), http_key_file=str(pair.key))
    trust = ssl.create_default_context(cafile=str(authority.ca))
    trust.check_hostname = False
    with metrics_server(settings, registry, 1), socket.create_connection(("127.0.0.1", port)):  # no handshake on it
        assert metrics_url(settings, port).startswith("https:")
        assert httpx.get(metrics_url(settings, port), verify=trust).status_code == 200


def test_idle_connections_are_limited_and_delay_no_scrape(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.process.metrics_server._ScrapeHandler.timeout", 0.5)
    settings, port = served(registry)
    with metrics_server(settings, registry, 1):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        assert httpx.get(metrics_url(settings, port)).status_code == 200
        idle += [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        time.sleep(0.2)
        assert threading.active_count() <= 64
        time.sleep(1)
        assert httpx.get(metrics_url(settings, port)).status_code == 200
        for connection in idle:
            connection.close()


def test_it_answers_while_the_event_loop_hangs(registry: CollectorRegistry) -> None:
    settings, port = served(registry)
    answers: list[int] = []

    async def hang() -> None:
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(metrics_url(settings, port)).status_code))
        scrape.start()
        scrape.join()  # blocks the loop

    with metrics_server(settings, registry, 1):
        asyncio.run(hang())
    assert answers == [200]
