"""Runs every line of a shell block in README and docs, except those listed here with a reason.

The lines run in order beside one `salepulse up`, in a folder with the files they name. Addresses are
replaced by local ones, and long durations shortened.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from consumers.kafka.producer import OutgoingMessage, send_all
from consumers.topics import Topic
from streams.local.embedded.ports import free_port
from tests.support.salepulse import Up, started
from tests.support.servers import http_ready
from tests.support.wait import eventually
from tests.test_docs import REPOSITORY, shell_lines

pytestmark = pytest.mark.slow

NOT_RUN = {
    "make demo": "minutes: tests/streams/commands/test_demo.py runs a shorter one",
    "make test": "this is part of it",
    "make install": "it creates the environment that this runs in",
    "make check": "a minute: the gate runs it before the tests",
    'make bench ARGS="--only throughput --repeats 3 --json found.json"': "minutes",
    'make bench ARGS="--full"': "an hour",
    'make bench ARGS="--broker apache"': "minutes",
    "make bench": "minutes",
    "make containers": "needs Docker: tests/deploy/test_parts.py runs its parts",
    "docker compose -f deploy/compose.yaml up --build --detach": "needs Docker: as above",
    "export SALEPULSE_BOOTSTRAP=kafka-1:9092 SALEPULSE_REDIS_URL=redis://cache:6379/0": "other hosts",
    ".venv/bin/salepulse up --data-dir ./data": "the stack that the other lines use",
    ".venv/bin/salepulse up --data-dir ./past --clock event --retain all": "tests/streams/commands/test_replay.py",
    ".venv/bin/salepulse replay recording --wait": "needs the previous line",
    "SALEPULSE_SOURCES=sources.yaml salepulse up --clock event --retain all": "test_the_first_own_topic_is_counted",
    "python send.py 127.0.0.1:9092 shop.orders.v3 orders.ndjson": "as above",
    "salepulse alerts rehearse --incident conversion_drop@+40m/5m:size=0.3 --incident order_stop@+52m/2m": (
        "a minute: tests/alerts/rehearsal/"
    ),
    "salepulse alerts rehearse days/": "tests/alerts/rehearsal/test_days.py",
    "salepulse alerts rehearse days/2025-11-10 days/2025-11-11 --rules rules.yaml --json": "as above",
}
"""# <line>: reason not to run it"""
ENDLESS = (
    "curl -N 'http://127.0.0.1:8080/api/v1/stream?window=1m'",
    "curl -N 'http://127.0.0.1:8080/api/v1/stream?window=1m&scope=channel&value=app'",
    ".venv/bin/salepulse serve",
    ".venv/bin/salepulse worker",
    ".venv/bin/salepulse alerts",
    "SALEPULSE_ALERTS_RULES=rules.yaml SALEPULSE_ALERTS_RECEIVERS=receivers.yaml salepulse alerts",
)
"""Lines that run until they are stopped."""
FAIL = {
    "salepulse alerts ack 3f0c9a1b2c3d4e5f": "no alert 3f0c9a1b2c3d4e5f fires",
    "salepulse dead-letters show orders/3/91827": "orders/3/91827",
}
"""# <line>: the error, because the name is made up"""
SHORTER = {"--duration 300": "--duration 2", "curl ": "curl --silent --show-error --fail-with-body "}
LINES = [line for line in dict.fromkeys(line for _, line in shell_lines()) if line not in NOT_RUN]
WORKERS = "salepulse:{0}:reports"
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A folder to run commands in, and its stack."""

    folder: Path
    up: Up

    def shell(self, line: str) -> list[str]:
        """The command for a line, with local addresses and short durations."""
        here = {"127.0.0.1:8080": f"127.0.0.1:{self.up.http_port}", "127.0.0.1:9092": f"127.0.0.1:{self.up.kafka_port}"}
        for written, instead in {**here, **SHORTER}.items():
            line = line.replace(written, instead)
        return ["bash", "-c", f"exec env {line}" if line in ENDLESS else line]

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SALEPULSE_")}
        return plain | {
            "PATH": f"{self.folder / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
            "SALEPULSE_BOOTSTRAP": f"127.0.0.1:{self.up.kafka_port}",
            "SALEPULSE_REDIS_URL": f"redis://127.0.0.1:{self.up.redis_port}/0",
            "SALEPULSE_HTTP_PORT": str(free_port()),
            "SALEPULSE_METRICS_PORT": str(free_port()),
        }

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.shell(line),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def write_first_own_topic(folder: Path) -> None:
    """The files of docs/sources.md."""
    text = (REPOSITORY / "docs" / "sources.md").read_text()
    for language, name in (("json", "orders.ndjson"), ("yaml", "sources.yaml"), ("python", "send.py")):
        block = re.search(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
        assert block is not None
        (folder / name).write_text(block[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An installation with the files of the examples, a recording, and a stack that has counted events."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    shutil.copy(REPOSITORY / "Makefile", folder)
    shutil.copytree(REPOSITORY / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets"))
    for name, page in (("sales.yaml", "promotions.md"), ("rules.yaml", "alerts.md")):
        example = _YAML.search((REPOSITORY / "docs" / page).read_text())
        assert example is not None
        (folder / name).write_text(example[1])
    write_first_own_topic(folder)
    (folder / "receivers.yaml").write_text('receivers: [{name: chat, type: slack, url: "https://example.com/hook"}]\n')
    with started(Up("--data-dir", "./data", cwd=folder)) as up:
        assert isinstance(up, Up)
        up.until("ready http")
        made = Place(folder, up)
        recorded = made.run("salepulse simulate --out recordings --duration 20 --rate 50")
        assert recorded.returncode == 0, recorded.stderr
        asyncio.run(
            send_all(f"127.0.0.1:{up.kafka_port}", [OutgoingMessage(Topic.ORDERS, b"k", b'{"type":"page_view"}')])
        )
        now_s = int(time.time())
        sale = made.run(f"salepulse simulate --out sale --rate 50 --duration 30 --earlier 1 --start {now_s - 30}000")
        assert sale.returncode == 0, sale.stderr
        counted = made.run("salepulse replay sale --wait")
        assert counted.returncode == 0, counted.stderr
        eventually(
            lambda: up.get("/api/v1/kpis?window=1m")["as_of"] > now_s * 1000, within_s=30, what="up to the sale's end"
        )
        yield made


@pytest.mark.parametrize("line", [line for line in LINES if line not in ENDLESS])
def test_a_documented_command_succeeds(place: Place, line: str) -> None:
    done = place.run(line)
    if line.endswith("salepulse doctor"):  # the fixture sends one malformed message
        assert (done.returncode, "1 messages were rejected" in done.stdout) == (1, True), done.stdout
    elif line in FAIL:
        assert (done.returncode, FAIL[line] in done.stderr) == (1, True), done.stderr
    else:
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if line in ENDLESS])
def test_a_documented_role_runs_until_it_is_stopped(place: Place, line: str) -> None:
    log, environment = place.folder / "role.log", place.environment
    with log.open("wb") as out, redis.Redis(port=place.up.redis_port) as client:
        before = set(client.hkeys(WORKERS))

        def at_work() -> bool:
            if line.startswith("curl"):
                return "event: kpis" in log.read_text()
            if line.endswith(" serve"):
                port = int(environment["SALEPULSE_HTTP_PORT"])
                return not asyncio.run(http_ready("127.0.0.1", port, "/healthz")())
            return bool(set(client.hkeys(WORKERS)) - before)

        process = subprocess.Popen(
            place.shell(line), cwd=place.folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            eventually(at_work, within_s=30, what=line)
        finally:
            process.terminate()
            code = process.wait(20)
    assert code == (-signal.SIGTERM if line.startswith("curl") else 0), log.read_text()
    assert "Traceback" not in log.read_text()


def test_every_listed_line_is_in_the_docs() -> None:
    written = {line for _, line in shell_lines()}
    assert {*NOT_RUN, *ENDLESS, *FAIL} <= written


def test_the_first_own_topic_is_counted(tmp_path: Path) -> None:
    write_first_own_topic(tmp_path)
    (tmp_path / "salepulse.toml").write_text('sources = "sources.yaml"\n')
    with started(Up("--clock", "event", "--retain", "all", cwd=tmp_path)) as up:
        assert isinstance(up, Up)
        up.until("ready http")
        send = [sys.executable, "send.py", f"127.0.0.1:{up.kafka_port}", "shop.orders.v3", "orders.ndjson"]
        for _ in range(2):
            subprocess.run(send, cwd=tmp_path, check=True, timeout=30)
        eventually(lambda: up.messages_counted() == 4, within_s=30, what="two messages are counted, and their repeats")
        values = up.get("/api/v1/kpis?window=1h")["values"]
        assert (values["orders_paid"], values["gmv"]) == (1, 770)
