"""The log files of children: read their end, keep them small."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

TAIL_LINES = 15
TAIL_BYTES = 8192


def tail(path: Path, since: int = 0, lines: int = TAIL_LINES) -> list[str]:
    """The last lines written at or after byte `since`; none when there is no such file."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(since if since <= size else 0, size - TAIL_BYTES))
        return log.read().decode(errors="replace").splitlines()[-lines:]
    return []


def size(path: Path) -> int:
    """Bytes in a file, 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def trim(path: Path, max_bytes: int) -> bool:
    """When the log is larger than `max_bytes`, keep it as NAME.1 (instead of the last such) and empty it.

    The child goes on writing to the same open file, in append mode. Lines it writes in between may be lost.
    """
    if size(path) <= max_bytes:
        return False
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)
    return True
