"""A process that runs a Faust app, from its start to its end."""

from __future__ import annotations

import signal
from contextlib import suppress

import faust

from streams.process.ending import Ending


class Process(faust.Worker):
    """This process, told to end by SIGINT or SIGTERM."""

    def __init__(self, app: faust.App, ending: Ending) -> None:
        super().__init__(app, loglevel="WARNING", override_logging=False, quiet=True)
        self.spinner = None
        self._ending = ending

    def install_signal_handlers(self) -> None:
        """Unlike Faust's own, ours take effect while the main loop hangs."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._ending.begin(signal.Signals(number).name)
        with suppress(RuntimeError):  # the loop is closed: we are at the end
            self.loop.call_soon_threadsafe(self._on_sigterm)


def run_process(app: faust.App, ending: Ending) -> None:
    """Run an app until SIGINT or SIGTERM; never returns. It ends in order or by force, but soon."""
    ending.start()
    try:
        Process(app, ending).execute_from_commandline()
    except SystemExit as end:
        raise SystemExit(ending.code or end.code) from None
