"""How a process ends: in order within some seconds, else by force. It never hangs between life and death.

A thread of its own sees to it, for the main one may be what hangs. Ending by force loses nothing: what was not counted
is read again by the next owner of the partition, some seconds later.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable

END_WITHIN_S = 8.0
"""From SIGTERM or SIGINT on. Supervisors should wait for longer before they kill."""
_EVERY_S = 1.0


class ShutdownWatchdog:
    """Watches over the process's end, and over its main loop, once it is told that there is one."""

    def __init__(
        self, *, end_within_s: float = END_WITHIN_S, silent_s: float = 0, by_force: Callable[[str], None] | None = None
    ) -> None:
        """`silent_s`: how long the main loop may say nothing; 0: for ever."""
        self.code = 0
        """Exit code of an end in order."""
        self._end_within_s = end_within_s
        self._silent_s = silent_s
        self._by_force = by_force or end_by_force
        self._why = ""
        self._begun = threading.Event()
        self._loop_reported: bool | None = None
        """Whether the main loop has spoken since we looked; None: it never did."""
        self._thread = threading.Thread(target=self._watch, name="ending", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def begin(self, why: str, code: int = 0) -> None:
        """The process is to end: it has so many seconds. Callable again, also from a signal handler."""
        if not self._begun.is_set():
            self._why, self.code = why, code
            self._begun.set()

    def alive(self) -> None:
        """The main loop turns; to be said every second."""
        self._loop_reported = True

    def _watch(self) -> None:
        silent_s = 0.0
        while not self._begun.wait(_EVERY_S):
            # Seconds in which this thread ran too: a process that was stopped for a while has not hung.
            silent_s = silent_s + _EVERY_S if self._loop_reported is False else 0.0
            if self._loop_reported:
                self._loop_reported = False
            if self._silent_s and silent_s > self._silent_s:
                self._by_force(f"its main loop has not turned for {silent_s:.0f} s")
                return
        # Waiting on nothing: whoever reaches the end of the process takes this thread with it.
        threading.Event().wait(self._end_within_s)
        self._by_force(f"it has not ended within {self._end_within_s:g} s of {self._why}")


def end_by_force(why: str) -> None:
    """Say why, and where each thread hangs, and be gone."""
    said = f"salepulse: ended by force, since {why}. Nothing is lost: what was not counted is read again.\n"
    os.write(2, said.encode())
    faulthandler.dump_traceback(all_threads=True)
    os._exit(1)
