"""Run one command that must not outlive the process that asked for it. A script of its own: needs only the interpreter.

    python -I -S guard.py MODE PARENT_PID COMMAND [ARGUMENT ...]

MODE `exec` (Linux): asks the kernel to send SIGKILL when the parent ends, then becomes the command. Costs no memory.
MODE `watch` (anywhere): stays, passes signals on, and kills the command's process group once the parent is gone.

Exit code: the command's own; death by a signal is passed on as that signal; 127 when the command cannot be run.
"""

from __future__ import annotations

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
WATCH_EVERY_S = 0.25
FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def guarded(argv: list[str], *, mode: str | None = None) -> list[str]:
    """The command line that runs `argv` as a child that dies with the calling process.

    In mode `exec` the kernel means the *thread* that starts the child: start it from one that lives as long as it may.
    """
    mode = mode or ("exec" if sys.platform == "linux" else "watch")
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), mode, str(os.getpid()), *argv]


def main() -> None:
    mode, parent, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if mode == "exec":
        die_with_parent()
        if os.getppid() != parent:  # it ended before the kernel was asked
            sys.exit(1)
        exec_command(command)
    else:
        watch(parent, command)


def die_with_parent() -> None:
    """SIGKILL and not SIGTERM: what hangs must go too, and every child survives a kill -9 without loss."""
    import ctypes  # only here: it costs a third of this script's start-up

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def exec_command(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        os._exit(127)


def watch(parent: int, command: list[str]) -> None:
    """Wait for the command or for the parent's end, whichever is first. Never returns."""
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    child = 0

    def pass_on(number: int, _frame: object) -> None:
        if child:
            os.kill(child, number)

    for number in FORWARDED_SIGNALS:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that it wakes the select below
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        for number in (*FORWARDED_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        exec_command(command)
    while True:
        if select.select([wake], [], [], WATCH_EVERY_S)[0]:
            os.read(wake, 512)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            exit_as(os.waitstatus_to_exitcode(status))
        if os.getppid() != parent:
            os.killpg(os.getpgrp(), signal.SIGKILL) if os.getpgrp() == os.getpid() else os.kill(child, signal.SIGKILL)
            os._exit(1)


def exit_as(code: int) -> None:
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
