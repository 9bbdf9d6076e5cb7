"""The rules that every test run is under, tried on test runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, REQUIRE_ALL

SUITE = """
import pytest

def test_skips():
    pytest.skip("no such server here")

@pytest.mark.skipif(True, reason="never today")
def test_is_marked():
    pass

@pytest.mark.xfail
def test_is_known_to_fail():
    assert False

def test_passes():
    pass
"""
MODULE_SKIP = "import pytest; pytest.skip('not this file', allow_module_level=True)"


def run(folder: Path, suite: str, require_all: str) -> str:
    (folder / "test_inner.py").write_text(suite)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        folder,
        folder,
    ]
    env = {**os.environ, REQUIRE_ALL: require_all, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


def test_a_skip_is_a_skip_by_default(tmp_path: Path) -> None:
    assert "1 passed, 2 skipped, 1 xfailed" in run(tmp_path, SUITE, "0")


def test_a_skip_is_a_failure_where_everything_must_be_tried(tmp_path: Path) -> None:
    said = run(tmp_path, SUITE, "1")
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in said  # a marked test never gets past its set-up
    assert "no such server here" in said
    assert f"This test was skipped, and {REQUIRE_ALL}=1 allows no skips." in said


@pytest.mark.parametrize(("require_all", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_so_is_a_skipped_file(tmp_path: Path, require_all: str, outcome: str) -> None:
    assert outcome in run(tmp_path, MODULE_SKIP, require_all)
