"""Log files of children: read the end, limit the size."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

TAIL_LINES = 15
TAIL_BYTES = 8192


def tail(path: Path, since: int = 0, lines: int = TAIL_LINES) -> list[str]:
    """The last lines at or after byte `since`; none if the file does not exist."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(since if since <= size else 0, size - TAIL_BYTES))
        return log.read().decode(errors="replace").splitlines()[-lines:]
    return []


def size(path: Path) -> int:
    """Size of a file; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def trim(path: Path, max_bytes: int) -> bool:
    """Rotate a log larger than `max_bytes` to NAME.1; returns whether it did.

    The child keeps its file open in append mode; lines written during the copy may be lost.
    """
    if size(path) <= max_bytes:
        return False
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)
    return True
