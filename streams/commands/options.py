"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers, host:port, separated by commas.")]
RedisUrl = Annotated[str | None, typer.Option(help="Redis or Valkey, as redis://[user:password@]host:port/db.")]
ClockOption = Annotated[
    str | None,
    typer.Option("--clock", help="wall: Redis's clock, for all processes; event: the newest event time (replays)."),
]
Retain = Annotated[str | None, typer.Option(help="all: keep every pane, for replays that are asked about their past.")]
HttpHost = Annotated[str | None, typer.Option("--http-host", help="Address to bind to.")]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port to bind to; 0 picks a free one.")]
Partitions = Annotated[int | None, typer.Option(min=1, help="Partitions of each event topic.")]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="TOPIC",
        help="Use this topic although most of what it holds breaks the contract, or is of others; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def speed_of(text: str) -> float | None:
    """How many times faster than recorded; None for as fast as possible. For typer's `callback`, see `checked_speed`.

    >>> speed_of("60"), speed_of("max")
    (60.0, None)
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text!r} is no speed: write 1 for the recorded pace, 60, 0.5 or any number, or max")
    return speed


def checked_speed(text: str) -> str:
    """The text itself if it is a speed; else typer ends the command with 2."""
    speed_of(text)
    return text
