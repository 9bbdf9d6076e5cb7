"""`salepulse`: the command line, put together from the sub-commands that each package declares."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

GROUP = "salepulse.commands"


def create_app() -> typer.Typer:
    """The root command with every declared sub-command."""
    root = typer.Typer(
        name="salepulse",
        help="A monitor for the biggest hours of an online shop.",
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
    """The names of all sub-commands there are."""
    root = create_app()
    commands = {command.name or getattr(command.callback, "__name__", "") for command in root.registered_commands}
    return commands | {group.name for group in root.registered_groups if group.name}


def main() -> None:
    """Run the command line."""
    create_app()(prog_name="salepulse")


if __name__ == "__main__":
    main()
