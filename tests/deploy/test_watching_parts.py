"""Prometheus, Alertmanager and the receiver of the compose file, started without containers by their commands there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streams.local.embedded.ports import LOOPBACK, free_port
from tests.deploy.composed import health, written
from tests.deploy.files import DEPLOY
from tests.support.commands import require_program
from tests.support.servers import Server, http_ready, running
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

PROGRAMS = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}


def _mounted(service: str, folder: Path) -> dict[str, str]:
    """{path in the container: local path} of mounts. Volumes are new folders."""
    places = {}
    for volume in written()[service]["volumes"]:
        source, there, *_ = volume.split(":")
        here = DEPLOY / source if source.startswith(".") else folder / source
        places[there] = str(here)
    return places


@pytest.mark.parametrize("service", PROGRAMS)
def test_a_service_starts_by_its_command_with_its_mounted_files(service: str, tmp_path: Path) -> None:
    program, port = require_program(*PROGRAMS[service], package=f"{service} (or prometheus-{service})"), free_port()
    flags = []
    for flag in written()[service]["command"]:
        name, sign, value = flag.partition("=")
        flags.append(f"{name}{sign}{_mounted(service, tmp_path).get(value, value)}")
    assert all((DEPLOY / service).as_posix() in flag for flag in flags if "config.file" in flag), flags
    argv = [program, *flags, f"--web.listen-address={LOOPBACK}:{port}"]
    with running(Server(service, argv, port, http_ready(LOOPBACK, port, "/-/ready"), tmp_path)) as server:
        assert server.running
        output = server.log_path.read_text()
    assert "level=error" not in output, output


def test_the_receiver_is_healthy_when_it_accepts_messages(tmp_path: Path) -> None:
    port, what = free_port(), written()["receiver"]
    (script,) = _mounted("receiver", tmp_path).values()
    argv = [sys.executable, script, *(word.replace("9099", str(port)) for word in what["command"])]
    check = [sys.executable, *(word.replace("9099", str(port)) for word in health("receiver")[1:])]
    assert what["entrypoint"][0] == health("receiver")[0] == "python"
    with running(Server("receiver", argv, port, http_ready(LOOPBACK, port, "/"), tmp_path)):
        eventually(lambda: subprocess.run(check, check=False).returncode == 0, what="healthy")
    assert subprocess.run(check, check=False, capture_output=True).returncode != 0
