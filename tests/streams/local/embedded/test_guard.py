"""The guard script between supervisor and child, in both modes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from streams.local.embedded.guard import guarded
from tests.support.processes import alive
from tests.support.wait import eventually

MODES = [pytest.param("exec", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")), "watch"]

pytestmark = pytest.mark.parametrize("mode", MODES)


def run(mode: str, code: str) -> subprocess.CompletedProcess[str]:
    command = guarded([sys.executable, "-c", code], mode=mode)
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_output_and_exit_code_are_the_commands_own(mode: str) -> None:
    done = run(mode, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_death_by_a_signal_is_forwarded(mode: str, number: signal.Signals) -> None:
    assert run(mode, f"import os; os.kill(os.getpid(), {int(number)})").returncode == -number


def test_a_command_that_cannot_be_run_says_so(mode: str) -> None:
    done = subprocess.run(guarded(["/no/such"], mode=mode), capture_output=True, text=True, timeout=20, check=False)
    assert (done.stderr, done.returncode) == ("cannot run /no/such: No such file or directory\n", 127)


def test_sigterm_reaches_the_command(mode: str) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); "
        "print('ready', flush=True); signal.pause()"
    )
    command = guarded([sys.executable, "-c", code], mode=mode)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stdout
        child.stdout.readline()
        child.terminate()
        assert child.wait(10) == 5


def test_the_command_dies_with_the_parent(mode: str) -> None:
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    parent_code = (
        "import subprocess, sys; from streams.local.embedded.guard import guarded; "
        f"subprocess.Popen(guarded([sys.executable, '-c', {inner!r}], mode={mode!r}), start_new_session=True).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    eventually(lambda: not alive(pid), what="the command is gone")
