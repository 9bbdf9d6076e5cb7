"""The compose file, as Compose itself reads it."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.files import DEPLOY

COMPOSE = DEPLOY / "compose.yaml"
COMMANDS = (("docker", "compose"), ("docker-compose",))
ROLES = ("worker", "serve", "alerts")
OURS = (*ROLES, "topics", "sale", "receiver")
ONCE = ("topics", "sale")
"""Services that run to completion."""


@functools.cache
def compose_command() -> tuple[str, ...]:
    """The Compose command of this machine. Skips the test without one."""
    for command in COMMANDS:
        if shutil.which(command[0]) and _run(*command, "version").returncode == 0:
            return command
    pytest.skip("no Compose on this machine: apt-get install docker-compose")


def config(*profiles: str, **variables: str) -> Any:
    """The resolved file; fails with Compose's error."""
    flags = [word for name in profiles for word in ("--profile", name)]
    done = _run(*compose_command(), "-f", str(COMPOSE), *flags, "config", **variables)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@functools.cache
def written() -> dict[str, Any]:
    """Every service as it is written, with merge keys resolved and variables at their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def health(service: str) -> list[str]:
    """The command of a health check, as it is run in the container."""
    kind, *words = written()[service]["healthcheck"]["test"]
    unescaped = [word.replace("$$", "$") for word in words]
    return ["sh", "-c", *unescaped] if kind == "CMD-SHELL" else unescaped


def _run(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
