"""Alertmanager and the receiver as `deploy/` has them, on this machine's ports."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.local.embedded.ports import LOOPBACK, free_port
from streams.local.embedded.probes import http_ready
from tests.deploy.files import DEPLOY
from tests.support.commands import require_program
from tests.support.servers import Server, running

RECEIVER = DEPLOY / "receiver" / "receiver.py"


@contextlib.contextmanager
def receiver(folder: Path) -> Iterator[Server]:
    """What writes down all that is posted to it; see `received`."""
    port = free_port()
    argv = [sys.executable, str(RECEIVER), str(port)]
    with running(Server("receiver", argv, port, http_ready(LOOPBACK, port, "/"), folder)) as server:
        yield server


def received(server: Server) -> list[dict[str, Any]]:
    """What a receiver was sent: [{at: ISO 8601, path, body}]."""
    return [json.loads(line) for line in server.log_path.read_text().splitlines()]


@contextlib.contextmanager
def deployed_alertmanager(folder: Path, receiver_port: int) -> Iterator[Server]:
    """By the configuration of `deploy/`, which posts to a receiver on this machine."""
    command = require_program("prometheus-alertmanager", "alertmanager", package="prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    config.write_text(text.replace("http://receiver:9099", f"http://{LOOPBACK}:{receiver_port}"))
    port = free_port()
    argv = [
        command,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--cluster.listen-address=",
    ]
    with running(Server("alertmanager", argv, port, http_ready(LOOPBACK, port, "/-/ready"), folder)) as server:
        yield server
