"""Run the real command as a process, and inspect its children."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from streams.local.embedded.ports import free_port
from tests.support.processes import alive
from tests.support.wait import eventually

COMMAND = (sys.executable, "-m", "streams.cli")


def environment(**variables: str) -> dict[str, str]:
    """This environment without settings of salepulse, plus others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SALEPULSE_")}
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **variables}


def _without_metrics(arguments: Sequence[str | Path]) -> dict[str, str]:
    """Roles serve no /metrics on their fixed ports: other tests run beside them."""
    return {"SALEPULSE_METRICS_PORT": "0"} if arguments[:1] in (("worker",), ("alerts",)) else {}


def salepulse(
    *arguments: str | Path, cwd: Path, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and wait for its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(**{**_without_metrics(arguments), **(env or {})}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def failure(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and error, the last line on stderr; asserts empty stdout and no traceback."""
    done = salepulse(*arguments, cwd=cwd, env=env)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    faults = [line for line in done.stderr.splitlines() if line.startswith("salepulse: ")]
    assert len(faults) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == faults[0]
    return done.returncode, faults[0].removeprefix("salepulse: ")


class Running:
    """A command that runs until it is stopped."""

    def __init__(self, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.stdout_path, self.stderr_path = cwd / "stdout", cwd / "stderr"
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, arguments)],
                cwd=cwd,
                env=environment(**{**_without_metrics(arguments), **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    def child(self, part: str) -> psutil.Process | None:
        """The child with a command-line argument that ends with this."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(word.strip().endswith(part) for word in child.cmdline()):
                    return child
        return None

    def family(self) -> list[int]:
        """Process ids of its descendants."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def until(self, condition: str, within_s: float = 60) -> None:
        """Wait for text on stdout or stderr; fails if the command ends first."""

        def there() -> bool:
            output = self.stdout + self.stderr
            assert condition in output or self.process.poll() is None, f"ended without {condition!r}:\n{output}"
            return condition in output

        eventually(there, within_s=within_s, what=f"{condition!r} in: {self.stderr}")

    def stop(self, number: signal.Signals = signal.SIGINT, within_s: float = 30) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


class Up(Running):
    """`salepulse up` on free ports."""

    def __init__(self, *arguments: str | Path, cwd: Path) -> None:
        self.http_port, self.kafka_port, self.redis_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        ports = ("--http-port", self.http_port, "--kafka-port", self.kafka_port, "--redis-port", self.redis_port)
        super().__init__("up", *map(str, ports), *arguments, cwd=cwd)

    @property
    def metrics_urls(self) -> dict[str, str]:
        """The printed URL of /metrics of each process."""
        return {name: url for url, name in re.findall(r"(http\S+/metrics) \((\S+)\)", self.stderr)}

    @property
    def servers(self) -> tuple[str, ...]:
        """Flags of its broker and Redis."""
        return ("--bootstrap", f"127.0.0.1:{self.kafka_port}", *self.redis)

    @property
    def redis(self) -> tuple[str, ...]:
        return ("--redis-url", f"redis://127.0.0.1:{self.redis_port}/0")

    def get(self, path: str) -> Any:
        """JSON of an answer of the API."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def messages_counted(self) -> int:
        """How many messages are in all answers from now on. Before the first the API answers 503: there is no as-of."""
        return sum(self._readiness()["positions"].values())

    def until_read(self) -> None:
        """Wait until answers include all counts now in Redis."""
        now_ms = time.time() * 1000
        eventually(lambda: self._read_ms() > now_ms, what="the server has looked into Redis")

    def _readiness(self) -> Any:
        try:
            return self.get("/readyz")
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def _read_ms(self) -> int:
        readiness = self._readiness()
        return readiness["read_at"] or 0


@contextlib.contextmanager
def started(running: Running) -> Iterator[Running]:
    """Run a command, stop it at the end, and assert that no process is left."""
    family: list[int] = []
    try:
        yield running
        family = running.family() if running.process.poll() is None else []
    finally:
        running.stop(signal.SIGTERM)
    gone(family)


def gone(pids: list[int]) -> None:
    """Assert that all of these processes end."""
    eventually(lambda: not any(map(alive, pids)), within_s=5, what="all children have ended")
