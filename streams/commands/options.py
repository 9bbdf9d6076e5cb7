"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers, host:port, separated by commas.")]
RedisUrl = Annotated[str | None, typer.Option(help="Redis or Valkey, as redis://[user:password@]host:port/db.")]
ClockOption = Annotated[
    str | None, typer.Option("--clock", help="wall: the machine's clock; event: the newest event time (replays).")
]
Retain = Annotated[str | None, typer.Option(help="all: keep every pane, for replays that are asked about their past.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
