"""Run a command that must not outlive its parent process. A script that needs only the interpreter.

    python -I -S guard.py MODE PARENT_PID COMMAND [ARGUMENT ...]

MODE `exec` (Linux): asks the kernel for SIGKILL at the parent's end, then execs the command.
MODE `watch` (anywhere): stays, forwards signals, and kills the command's process group at the parent's end.

Exit code: the command's; a signal that ended the command; 127 if the command cannot be run.
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
    """Command line that runs `argv` as a child that ends with the calling process.

    In mode `exec` the child ends with the *thread* that starts it: start it from a thread that lives long enough.
    """
    mode = mode or ("exec" if sys.platform == "linux" else "watch")
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), mode, str(os.getpid()), *argv]


def main() -> None:
    """Run the command of the arguments in their mode."""
    mode, parent, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if mode == "exec":
        die_with_parent()
        if os.getppid() != parent:  # the parent ended before prctl
            sys.exit(1)
        exec_command(command)
    else:
        watch(parent, command)


def die_with_parent() -> None:
    """Request SIGKILL, which also ends a hung child; every child survives it without loss."""
    import ctypes  # a third of this script's start-up time

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def exec_command(command: list[str]) -> None:
    """Replace this process with the command. Exits with 127 if it cannot be run."""
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        os._exit(127)


def watch(parent: int, command: list[str]) -> None:
    """Wait for the end of the command or of the parent. Never returns."""
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    child = 0

    def forward(number: int, _frame: object) -> None:
        if child:
            os.kill(child, number)

    for number in FORWARDED_SIGNALS:
        signal.signal(number, forward)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # interrupts the select below
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        for number in (*FORWARDED_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        exec_command(command)
    while True:
        if select.select([wakeup], [], [], WATCH_EVERY_S)[0]:
            os.read(wakeup, 512)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            exit_as(os.waitstatus_to_exitcode(status))
        if os.getppid() != parent:
            os.killpg(os.getpgrp(), signal.SIGKILL) if os.getpgrp() == os.getpid() else os.kill(child, signal.SIGKILL)
            os._exit(1)


def exit_as(code: int) -> None:
    """End as a process with this return code of `subprocess` ended: by exit code or by signal."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
