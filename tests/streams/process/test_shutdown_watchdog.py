"""The shutdown watchdog ends a process that hangs, during shutdown or before."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from streams.process.shutdown_watchdog import ShutdownWatchdog
from tests.support.wait import eventually

HANGS = """
import sys, threading
from streams.process.shutdown_watchdog import ShutdownWatchdog
watchdog = ShutdownWatchdog(end_within_s=0.2)
watchdog.start()
watchdog.begin("SIGTERM")
threading.Event().wait()
"""


def test_a_process_that_hangs_in_shutdown_is_ended_with_its_stack_traces() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    message, _, traces = done.stderr.partition("\n")
    assert message.startswith("salepulse: forced exit: shutdown took more than 0.2 s after SIGTERM; nothing is lost")
    assert "threading.py" in traces


def test_a_superseded_process_that_hangs_in_shutdown_keeps_its_exit_code() -> None:
    code = HANGS.replace('"SIGTERM"', '"another model", code=3')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3


def test_a_process_that_ends_in_time_keeps_its_exit_code() -> None:
    code = HANGS.replace("0.2", "30").replace("threading.Event().wait()", "sys.exit(watchdog.code + 7)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (7, "")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.process.shutdown_watchdog._EVERY_S", 0.02)


@pytest.mark.usefixtures("soon")
def test_an_event_loop_whose_heartbeats_stop_ends_the_process() -> None:
    ended: list[str] = []
    watchdog = ShutdownWatchdog(silent_s=1, by_force=ended.append)
    watchdog.start()
    time.sleep(1.2)
    assert ended == []  # no heartbeat yet
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        watchdog.alive()
        time.sleep(0.01)
    assert ended == []
    assert "the event loop has hung" in eventually(lambda: ended, within_s=20)[0]


@pytest.mark.usefixtures("soon")
def test_without_a_limit_an_event_loop_may_hang() -> None:
    ended: list[str] = []
    watchdog = ShutdownWatchdog(by_force=ended.append)
    watchdog.start()
    watchdog.alive()
    time.sleep(0.3)
    assert ended == []


def test_the_first_reason_and_exit_code_are_kept() -> None:
    watchdog = ShutdownWatchdog()
    watchdog.begin("being stuck", code=1)
    watchdog.begin("SIGTERM")
    assert watchdog.code == 1
