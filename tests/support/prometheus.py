"""A real Prometheus and its queries."""

from __future__ import annotations

import contextlib
import json
import math
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.stack.plan import temporary_data_dir
from tests.support.commands import require_program
from tests.support.servers import Server, http_ready, running


class Prometheus(Server):
    """A Prometheus with its HTTP API."""

    def get(self, path: str, **parameters: str) -> Any:
        """The data of a response; fails with the message of an error."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}{query}: {error.read().decode()}") from None

    def ask(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The current values of an expression by sorted labels, without NaN."""
        found = self.get("/api/v1/query", query=expression)
        if found["resultType"] == "scalar":
            return {(): float(found["result"][1])}
        values = {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found["result"]}
        return {labels: value for labels, value in values.items() if not math.isnan(value)}

    def one(self, expression: str) -> float | None:
        """The single value of an expression; None if there is none."""
        found = self.ask(expression)
        assert len(found) < 2, found
        return next(iter(found.values()), None)


@contextlib.contextmanager
def prometheus(config: Path, port: int | None = None) -> Iterator[Prometheus]:
    """A Prometheus with this configuration. Skips the test if it is not installed."""
    command, port = require_program("prometheus", package="prometheus"), port or free_port()
    with temporary_data_dir() as folder:
        argv = [
            command,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            # Alertmanager is not discovered yet when the first alert is sent.
            "--rules.alert.resend-delay=2s",
            "--log.level=warn",
        ]
        server = Prometheus("prometheus", argv, port, http_ready(LOOPBACK, port, "/-/ready"), folder)
        with running(server):
            yield server
