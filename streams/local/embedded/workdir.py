"""Temporary data folders: deleted at the end, or by the next start after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "salepulse-"
LOCK = ".owner.lock"


@contextlib.contextmanager
def temporary_data_dir(parent: Path | None = None) -> Iterator[Path]:
    """Create a folder in `parent` (default: the system's) and delete it on exit; also delete folders of dead owners."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    # Under another name until it is locked, so that no sweep deletes it as an orphan.
    created = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    folder = parent / created.name[1:]
    try:
        with (created / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            created.rename(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Delete unlocked folders of ours in `parent`; returns them."""
    swept = []
    for lock_path in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            # The kernel releases a lock with its holder.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_uid == os.getuid():
                shutil.rmtree(lock_path.parent, ignore_errors=True)
                swept.append(lock_path.parent)
    return swept
