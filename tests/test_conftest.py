"""How the test configuration treats skips, tested with inner pytest runs."""

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


def test_a_skipped_test_is_skipped_by_default(tmp_path: Path) -> None:
    assert "1 passed, 2 skipped, 1 xfailed" in run(tmp_path, SUITE, "0")


def test_a_skipped_test_fails_if_all_tests_are_required(tmp_path: Path) -> None:
    output = run(tmp_path, SUITE, "1")
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output  # a marked test fails in its set-up
    assert "no such server here" in output
    assert f"This test was skipped, and {REQUIRE_ALL}=1 allows no skips." in output


@pytest.mark.parametrize(("require_all", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_a_skipped_file_fails_if_all_tests_are_required(tmp_path: Path, require_all: str, outcome: str) -> None:
    assert outcome in run(tmp_path, MODULE_SKIP, require_all)
