"""How the test configuration treats skips, tested with inner pytest runs, and which tests it runs in which order."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, REQUIRE_ALL, slow_first
from tests.support.combinations import on_alternate_brokers

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

@pytest.mark.full
def test_is_one_more_combination():
    pass
"""
MODULE_SKIP = "import pytest; pytest.skip('not this file', allow_module_level=True)"


def run(folder: Path, suite: str, require_all: str, *options: str) -> str:
    (folder / "test_inner.py").write_text(suite)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        *options,
        "--rootdir",
        folder,
        folder,
    ]
    env = {**os.environ, REQUIRE_ALL: require_all, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


def test_a_skipped_test_is_skipped_by_default(tmp_path: Path) -> None:
    assert "1 passed, 2 skipped, 1 deselected, 1 xfailed" in run(tmp_path, SUITE, "0")


def test_a_skipped_test_fails_if_all_tests_are_required(tmp_path: Path) -> None:
    output = run(tmp_path, SUITE, "1", "--full")
    assert "1 failed, 2 passed, 1 xfailed" in output
    assert "1 error" in output, "a marked test fails in its set-up"
    assert "no such server here" in output
    assert f"This test was skipped, and {REQUIRE_ALL}=1 allows no skips." in output


@pytest.mark.parametrize(("require_all", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_a_skipped_file_fails_if_all_tests_are_required(tmp_path: Path, require_all: str, outcome: str) -> None:
    assert outcome in run(tmp_path, MODULE_SKIP, require_all)


def test_each_case_runs_on_one_broker_and_with_full_on_both() -> None:
    found = [
        (*one.values, {mark.name for mark in one.marks}) for one in on_alternate_brokers(("a", 1), ("b", 2), ("c", 3))
    ]
    assert found == [
        ("embedded", "a", 1, set()),
        ("apache", "a", 1, {"kafka", "full"}),
        ("apache", "b", 2, {"kafka"}),
        ("embedded", "b", 2, {"full"}),
        ("embedded", "c", 3, set()),
        ("apache", "c", 3, {"kafka", "full"}),
    ]


@dataclass
class Item:
    path: Path
    slow: bool

    def get_closest_marker(self, name: str) -> bool:
        return self.slow and name == "slow"


def test_files_with_slow_tests_run_first() -> None:
    tests = {"few": [0], "many": [0, 0, 0], "slow": [1, 0], "slower": [1, 0, 1]}
    ordered = slow_first([Item(Path(name), bool(slow)) for name, found in tests.items() for slow in found])
    names = [item.path.name for item in ordered]
    assert list(dict.fromkeys(names)) == ["slower", "slow", "many", "few"]
    assert [item.slow for item in ordered if item.path.name == "slower"] == [True, False, True], (
        "a file keeps its order"
    )
