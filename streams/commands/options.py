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
Retain = Annotated[str | None, typer.Option(help="all: keep every pane, for replays whose past is queried.")]
HttpHost = Annotated[str | None, typer.Option("--http-host", help="Address to bind to.")]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port to bind to; 0 picks a free one.")]
MetricsHost = Annotated[str | None, typer.Option("--metrics-host", help="Address of /metrics.")]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", min=0, max=65535, help="Port of /metrics; 0: no /metrics.")
]
Partitions = Annotated[int | None, typer.Option(min=1, help="Partitions of each event topic.")]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="TOPIC",
        help="Use this topic although most of its messages break the contract; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def parse_speed(text: str) -> float | None:
    """The speed-up of a recording; None: as fast as possible. See `check_speed` for typer's `callback`.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a speed: use 1 (as recorded), 60, 0.5, any positive number, or max")
    return speed


def check_speed(text: str) -> str:
    """Typer callback: return a valid speed unchanged, else fail with exit code 2."""
    parse_speed(text)
    return text
