"""A temporary folder that is gone at the end, and swept by the next start when its owner was killed."""

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
    """A new folder below `parent` (default: the system's), removed on leaving; folders of dead owners go too."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    # Under another name until the lock is held, so that nobody's sweep takes it for an orphan.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    folder = parent / made.name[1:]
    try:
        with (made / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made.rename(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove what killed owners left below `parent`: folders of ours whose lock nobody holds. Says which."""
    swept = []
    for lock_path in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            # The kernel lets a lock go with its holder, however that one ended.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_uid == os.getuid():
                shutil.rmtree(lock_path.parent, ignore_errors=True)
                swept.append(lock_path.parent)
    return swept
