"""Programs of the operating system."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def require_program(*names: str, package: str) -> str:
    """The path of the first installed program. Skips the test if there is none."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no {names[0]} on this machine: apt-get install {package}")
    return found


def run_program(*argv: str | Path, cwd: Path | None = None) -> str:
    """The output of a program on both channels; fails with it if the program fails."""
    done = subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
