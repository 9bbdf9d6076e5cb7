"""The services of the compose file without containers: commands, settings, secrets and health checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from streams.local.embedded.child import always_ready, kafka_ready
from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.stack.plan import temporary_data_dir
from streams.settings import Settings
from tests.deploy.composed import health, written
from tests.deploy.files import DEPLOY
from tests.support.commands import require_program
from tests.support.kafka import KafkaUnavailableError, java, java_command, kafka_jars, random_id
from tests.support.servers import Server, http_ready, running, tansu_broker
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

SALEPULSE = [sys.executable, "-m", "streams.cli"]
FILES = {"redis_users": "redis_users.acl", "tokens": "tokens.json"}
"""Secrets with another file name."""


@dataclass
class Parts:
    """Local addresses in place of those of the containers."""

    folder: Path
    broker: str
    redis_port: int
    serve_port: int
    worker: Server | None = None

    def here(self, word: str) -> str:
        """A word of the compose file, with local addresses and paths."""
        if word.startswith("/etc/salepulse/"):
            return str(DEPLOY / "compose" / Path(word).name)
        name = word.removeprefix("/run/secrets/")
        if name != word:
            return str(self.folder / "secrets" / FILES.get(name, name))
        word = word.replace("kafka:9092", self.broker).replace("redis:6379", f"{LOOPBACK}:{self.redis_port}")
        return {"0.0.0.0": LOOPBACK, "8080": str(self.serve_port)}.get(word, word)

    def environment(self, service: str) -> dict[str, str]:
        """The environment of a service, without other variables of salepulse."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SALEPULSE_")}
        plain |= {
            "SALEPULSE_HTTP_PORT": str(self.serve_port),
            "SALEPULSE_METRICS_PORT": str(free_port()),
            "TMPDIR": str(self.folder),
        }
        return plain | {name: self.here(str(value)) for name, value in written()[service]["environment"].items()}

    def command(self, service: str) -> list[str]:
        return [self.here(str(word)) for word in written()[service]["command"]]

    def run(self, service: str, *changed: str) -> subprocess.CompletedProcess[str]:
        """Run a service to completion. `changed`: another command than the written one."""
        argv = [*SALEPULSE, *(changed or self.command(service))]
        return subprocess.run(
            argv,
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def health(self, service: str) -> subprocess.CompletedProcess[str]:
        """The result of a role's health check."""
        argv = [sys.executable, str(DEPLOY / "compose" / "healthcheck.py"), *health(service)[2:]]
        return subprocess.run(
            argv, env=self.environment(service), capture_output=True, text=True, timeout=30, check=False
        )


@pytest.fixture(scope="module")
def parts() -> Iterator[Parts]:
    """Broker, Redis, topics, a worker and a server of the compose file."""
    with ExitStack() as ending:
        folder = ending.enter_context(temporary_data_dir())
        broker = ending.enter_context(tansu_broker())
        subprocess.run([sys.executable, DEPLOY / "compose" / "make_secrets.py", folder / "secrets"], check=True)
        made = Parts(folder, broker.bootstrap, free_port(), free_port())
        ending.enter_context(running(_redis(made)))
        topics = made.run("topics")
        assert topics.returncode == 0, topics.stderr
        made.worker = _role(made, "worker", 0)
        ending.enter_context(running(made.worker))
        ending.enter_context(running(_role(made, "serve", made.serve_port)))
        yield made


def _redis(parts: Parts) -> Server:
    _, *flags = parts.command("redis")
    argv = [require_program("redis-server", package="redis-server"), *flags, "--port", str(parts.redis_port)]
    return Server("redis", [*argv, "--bind", LOOPBACK], parts.redis_port, always_ready, parts.folder)


def _role(parts: Parts, service: str, port: int) -> Server:
    ready = http_ready(LOOPBACK, port, "/healthz") if port else always_ready
    argv = [*SALEPULSE, *parts.command(service)]
    return Server(service, argv, port, ready, parts.folder, env=parts.environment(service))


def test_redis_accepts_only_salepulse_users(parts: Parts) -> None:
    shell = health("redis")
    text = shell[-1].replace("valkey-cli", f"redis-cli -p {parts.redis_port}")
    text = text.replace("/run/secrets/", f"{parts.folder / 'secrets'}/")
    eventually(lambda: subprocess.run([*shell[:-1], text], check=False).returncode == 0, what="PONG")
    with redis.Redis(port=parts.redis_port) as anonymous, pytest.raises(redis.AuthenticationError):
        anonymous.ping()
    assert written()["redis"]["command"][-1] == "noeviction"


def test_a_simulated_sale_is_counted_and_served(parts: Parts) -> None:
    short = parts.command("sale")
    for flag, value in (("--duration", "20"), ("--rate", "100"), ("--truth", str(parts.folder / "truth.json"))):
        short[short.index(flag) + 1] = value
    played = parts.run("sale", *short, "--speed", "max")
    assert played.returncode == 0, played.stderr
    incident = json.loads((parts.folder / "truth.json").read_text())["incidents"]
    assert [one["kind"] for one in incident] == ["conversion_drop"]
    eventually(lambda: "salepulse_gmv{" in _metrics(parts), within_s=60, every_s=0.5, what="GMV on /metrics")


def test_metrics_require_a_token(parts: Parts) -> None:
    anonymous = urllib.request.Request(f"http://{LOOPBACK}:{parts.serve_port}/metrics")
    if "tokens_file" not in Settings.model_fields:  # this build lets everybody in
        return
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(anonymous, timeout=10)


def test_a_role_that_makes_progress_is_healthy(parts: Parts) -> None:
    for service in ("worker", "serve"):
        eventually(lambda name=service: parts.health(name).returncode == 0, within_s=40, every_s=0.5, what=service)


def test_alerts_are_unhealthy_until_they_report(parts: Parts) -> None:
    before = parts.health("alerts")
    assert (before.returncode, before.stdout) == (1, "no report in Redis\n")
    with running(_role(parts, "alerts", 0)):
        eventually(lambda: parts.health("alerts").returncode == 0, within_s=40, every_s=0.5, what="alerts")


def test_a_paused_worker_is_unhealthy(parts: Parts) -> None:
    assert parts.worker is not None
    eventually(lambda: parts.health("worker").returncode == 0, within_s=40, every_s=0.5, what="healthy at first")
    parts.worker.pause()
    try:
        output = eventually(
            lambda: (done := parts.health("worker")).returncode == 1 and done.stdout, within_s=40, every_s=1
        )
        assert output.startswith("last report was")
    finally:
        parts.worker.resume()
    eventually(lambda: parts.health("worker").returncode == 0, within_s=40, every_s=1, what="healthy again")


@pytest.mark.kafka
def test_kafka_starts_with_the_settings_of_the_compose_file(tmp_path: Path) -> None:
    try:
        jars = kafka_jars()
        java()
    except KafkaUnavailableError as missing:
        pytest.skip(str(missing))
    port, controller = free_port(), free_port()
    places = {"://:9092": f"://{LOOPBACK}:{port}", "://kafka:9092": f"://{LOOPBACK}:{port}"}
    places |= {"://:9093": f"://{LOOPBACK}:{controller}", "@localhost:9093": f"@{LOOPBACK}:{controller}"}
    places |= {"/var/lib/kafka/data": str(tmp_path / "data")}
    lines = []
    for name, value in written()["kafka"]["environment"].items():
        text = str(value)
        for there, here in places.items():
            text = text.replace(there, here)
        if name != "KAFKA_HEAP_OPTS":  # of the image's start script; the others are the broker's own
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={text}")
    (tmp_path / "server.properties").write_text("\n".join(lines))
    formatting = java_command(jars, "kafka.tools.StorageTool", "format", "-t", random_id(), "-c", "server.properties")
    subprocess.run(formatting, cwd=tmp_path, check=True, capture_output=True)
    argv = java_command(jars, "kafka.Kafka", "server.properties")
    with running(Server("kafka", argv, port, kafka_ready(LOOPBACK, port, 1), tmp_path)) as kafka:
        here = Parts(tmp_path, kafka.bootstrap, 0, 0)
        made = here.run("topics")
        assert made.returncode == 0, made.stderr
        assert "created" in made.stdout


def _metrics(parts: Parts) -> str:
    token = (parts.folder / "secrets" / "prometheus_token").read_text()
    asked = urllib.request.Request(f"http://{LOOPBACK}:{parts.serve_port}/metrics")
    asked.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(answer.read().decode())
