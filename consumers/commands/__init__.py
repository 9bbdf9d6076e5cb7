"""The ingest commands: `topics` and `dead-letters`."""

from __future__ import annotations

import typer

from consumers.commands.dead_letters import app as dead_letters
from consumers.commands.topics import app as topics

app = typer.Typer(no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(dead_letters, name="dead-letters")
