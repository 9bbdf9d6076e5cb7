"""Run a Faust app as a process."""

from __future__ import annotations

import signal
from contextlib import suppress

import faust

from streams.process.shutdown_watchdog import ShutdownWatchdog


class FaustProcess(faust.Worker):
    """Faust's worker with our signal handlers."""

    def __init__(self, app: faust.App, shutdown_watchdog: ShutdownWatchdog) -> None:
        super().__init__(app, loglevel="WARNING", override_logging=False, quiet=True)
        self.spinner = None
        self._shutdown_watchdog = shutdown_watchdog

    def install_signal_handlers(self) -> None:
        """Install handlers that work while the event loop hangs, unlike Faust's."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._shutdown_watchdog.begin(signal.Signals(number).name)
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._on_sigterm)


def run_process(app: faust.App, shutdown_watchdog: ShutdownWatchdog) -> None:
    """Run an app until SIGINT or SIGTERM; never returns."""
    shutdown_watchdog.start()
    try:
        FaustProcess(app, shutdown_watchdog).execute_from_commandline()
    except SystemExit as end:
        raise SystemExit(shutdown_watchdog.code or end.code) from None
