"""`salepulse`: the command line, composed of the sub-commands that each package declares.

All imports happen inside `main`, so that Ctrl-C also ends them quietly.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

GROUP = "salepulse.commands"
INTERRUPTED = 130
ENDLESS = ("up", "worker", "serve", "alerts")
"""Commands that run until stopped: SIGTERM is their normal end, even during startup."""


def create_app() -> typer.Typer:
    """The root command with all sub-commands."""
    from importlib.metadata import entry_points

    import typer

    from streams.commands.root import Commands
    from streams.commands.root import root as what_holds_for_all

    root = typer.Typer(
        name="salepulse",
        cls=Commands,
        callback=what_holds_for_all,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for entry_point in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        declared: typer.Typer = entry_point.load()
        root.registered_commands += declared.registered_commands
        root.registered_groups += declared.registered_groups
    return root


def command_names() -> set[str]:
    """The names of all sub-commands."""
    root = create_app()
    commands = {command.name or getattr(command.callback, "__name__", "") for command in root.registered_commands}
    return commands | {group.name for group in root.registered_groups if group.name}


def main() -> None:
    """Run the command line. Exits with 130 on Ctrl-C, and with 0 when a long-running command is stopped."""
    try:
        if sys.argv[1:2] and sys.argv[1] in ENDLESS:
            signal.signal(signal.SIGTERM, _end)
        create_app()(prog_name="salepulse")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
