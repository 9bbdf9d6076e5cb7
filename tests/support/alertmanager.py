"""A real Alertmanager that posts its notifications to a webhook."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.stack.plan import temporary_data_dir
from tests.support.servers import Server, http_ready, running

COMMANDS = ("prometheus-alertmanager", "alertmanager")
"""Debian's name, and that of its own releases."""

_CONFIG = """
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 300ms
  group_interval: 300ms
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""


class Alertmanager(Server):
    """An Alertmanager with its HTTP API."""

    @property
    def base(self) -> str:
        return f"http://{self.address}"

    def alerts(self) -> list[Any]:
        """The firing alerts."""
        with urllib.request.urlopen(f"{self.base}/api/v2/alerts", timeout=5) as answer:
            held: list[Any] = json.load(answer)
        return held


@contextlib.contextmanager
def alertmanager(webhook_url: str) -> Iterator[Alertmanager]:
    """An Alertmanager that posts to this address. Skips the test if it is not installed."""
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    if command is None:
        pytest.skip("no Alertmanager on this machine: apt-get install prometheus-alertmanager")
    port = free_port()
    with temporary_data_dir() as folder:
        (folder / "alertmanager.yml").write_text(_CONFIG.format(url=webhook_url))
        argv = [
            command,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--cluster.listen-address=",
        ]
        server = Alertmanager("alertmanager", argv, port, http_ready(LOOPBACK, port, "/-/ready"), folder)
        with running(server):
            yield server
