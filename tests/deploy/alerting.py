"""Alertmanager and the receiver of `deploy/`, on local ports."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.local.embedded.ports import LOOPBACK, free_port
from tests.deploy.files import DEPLOY
from tests.support.commands import require_program
from tests.support.servers import Server, http_ready, running

RECEIVER = DEPLOY / "receiver" / "receiver.py"


@contextlib.contextmanager
def receiver(folder: Path) -> Iterator[Server]:
    """The receiver, which logs every POST; see `received`."""
    port = free_port()
    argv = [sys.executable, str(RECEIVER), str(port)]
    with running(Server("receiver", argv, port, http_ready(LOOPBACK, port, "/"), folder)) as server:
        yield server


def received(server: Server) -> list[dict[str, Any]]:
    """The messages of a receiver: [{at: ISO 8601, path, body}]."""
    return [json.loads(line) for line in server.log_path.read_text().splitlines()]


@contextlib.contextmanager
def deployed_alertmanager(folder: Path, receiver_port: int) -> Iterator[Server]:
    """Alertmanager with the configuration of `deploy/`, posting to a local receiver."""
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
