"""A process that is told to end does so, in order or by force; one whose main loop hangs is ended too."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from streams.process.shutdown_watchdog import ShutdownWatchdog
from tests.support.wait import eventually

HANGS = """
import sys, threading
from streams.process.ending import Ending
ending = Ending(end_within_s=0.2)
ending.start()
ending.begin("SIGTERM")
threading.Event().wait()
"""


def test_a_process_that_hangs_is_ended_by_force_and_says_where_it_hung() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    said, _, traces = done.stderr.partition("\n")
    assert said.startswith("salepulse: ended by force, since it has not ended within 0.2 s of SIGTERM.")
    assert "threading.py" in traces


def test_a_process_that_ends_in_time_is_left_alone() -> None:
    code = HANGS.replace("0.2", "30").replace("threading.Event().wait()", "sys.exit(ending.code + 7)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (7, "")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.process.shutdown_watchdog._EVERY_S", 0.02)


@pytest.mark.usefixtures("soon")
def test_a_main_loop_that_falls_silent_is_noticed() -> None:
    ended: list[str] = []
    ending = ShutdownWatchdog(silent_s=0.2, by_force=ended.append)
    ending.start()
    time.sleep(0.5)
    assert ended == []  # it is not there yet
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        ending.alive()
        time.sleep(0.01)
    assert ended == []
    assert "main loop has not turned" in eventually(lambda: ended, within_s=5)[0]


@pytest.mark.usefixtures("soon")
def test_without_a_limit_a_silent_loop_is_left_alone() -> None:
    ended: list[str] = []
    ending = ShutdownWatchdog(by_force=ended.append)
    ending.start()
    ending.alive()
    time.sleep(0.3)
    assert ended == []


def test_what_is_said_first_counts() -> None:
    ending = ShutdownWatchdog()
    ending.begin("being stuck", code=1)
    ending.begin("SIGTERM")
    assert ending.code == 1
