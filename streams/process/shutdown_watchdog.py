"""A thread that ends the process if shutdown or the event loop hangs.

This loses nothing: the next owner of a partition reads uncounted records again.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable

END_WITHIN_S = 8.0
"""Time from SIGTERM or SIGINT to the forced exit. Supervisors should wait longer before SIGKILL."""
SUPERSEDED_CODE = 3
"""Exit code of a worker that ended because another one started with another model or other sources."""
_EVERY_S = 1.0


class ShutdownWatchdog:
    """Ends the process by force if shutdown takes too long or the event loop stops sending heartbeats."""

    def __init__(
        self, *, end_within_s: float = END_WITHIN_S, silent_s: float = 0, by_force: Callable[[str], None] | None = None
    ) -> None:
        """`silent_s`: longest time without a heartbeat of the event loop; 0: unlimited."""
        self.code = 0
        """Exit code of the shutdown."""
        self._end_within_s = end_within_s
        self._silent_s = silent_s
        self._by_force = by_force or self._end_by_force
        self._why = ""
        self._begun = threading.Event()
        self._loop_reported: bool | None = None
        """Whether the event loop sent a heartbeat since the last check; None: never."""
        self._thread = threading.Thread(target=self._watch, name="ending", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self, why: str, code: int = 0) -> None:
        """Start the shutdown time-out. Idempotent and safe in signal handlers."""
        if not self._begun.is_set():
            self._why, self.code = why, code
            self._begun.set()

    def alive(self) -> None:
        """Heartbeat of the event loop, every second."""
        self._loop_reported = True

    def _watch(self) -> None:
        silent_s = 0.0
        while not self._begun.wait(_EVERY_S):
            # Count only seconds in which this thread ran: a stopped process has not hung.
            silent_s = silent_s + _EVERY_S if self._loop_reported is False else 0.0
            if self._loop_reported:
                self._loop_reported = False
            if self._silent_s and silent_s > self._silent_s:
                self._by_force(f"the event loop has hung for {silent_s:.0f} s")
                return
        # A daemon thread: it ends with the process.
        threading.Event().wait(self._end_within_s)
        self._by_force(f"shutdown took more than {self._end_within_s:g} s after {self._why}")

    def _end_by_force(self, why: str) -> None:
        end_by_force(why, self.code or 1)


def end_by_force(why: str, code: int) -> None:
    """Write the reason and the stack of each thread to stderr, and exit."""
    message = f"salepulse: forced exit: {why}; nothing is lost, uncounted records are read again\n"
    os.write(2, message.encode())
    faulthandler.dump_traceback(all_threads=True)
    os._exit(code)
