"""`salepulse`: the entry point of the command line.

All imports happen inside `main`, so that Ctrl-C also ends them quietly.
"""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130
ENDLESS = ("up", "worker", "serve", "alerts")
"""Commands that run until stopped: SIGTERM is their normal end, even during startup."""


def main() -> None:
    """Run the command line. Exits with 130 on Ctrl-C, and with 0 when a long-running command is stopped."""
    try:
        if sys.argv[1:2] and sys.argv[1] in ENDLESS:
            signal.signal(signal.SIGTERM, _end)
        from streams.commands.root import create_app

        create_app()(prog_name="salepulse")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
