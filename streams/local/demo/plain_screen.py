"""The demo without a terminal: a plain line every few seconds."""

from __future__ import annotations

import time
from typing import TextIO

from streams.local.demo.frame import NOT_LIVE, DemoFrame, clock, share
from streams.model.formatting import format_kpi

EVERY_S = 3.0


class PlainScreen:
    """Context manager that prints frames as lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown_s = 0.0
        self._incident_shown = False

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, frame: DemoFrame) -> None:
        """Print the frame if the last one is old enough."""
        if frame.incident is not None and frame.incident.begun and not self._incident_shown:
            self._incident_shown = True
            self.print_line(frame.incident.lines()[0])
        if frame.snapshot is not None and time.monotonic() - self._shown_s >= EVERY_S:
            self._shown_s = time.monotonic()
            self.print_line(describe(frame))

    def print_line(self, line: str) -> None:
        """Print a line."""
        print(line, file=self._file, flush=True)


def describe(frame: DemoFrame) -> str:
    """The frame in one line."""
    assert frame.snapshot is not None
    minute = frame.snapshot.windows["1m"]
    parts = [
        f"as of {clock(frame.snapshot.as_of_ms)} ({frame.age_s:.1f} s ago)",
        *(() if frame.snapshot.live else (NOT_LIVE,)),
        f"1m: GMV {format_kpi('gmv', minute['gmv'], currency_exponent=frame.currency_exponent)} {frame.currency}",
        f"{minute['orders_paid']:,} orders paid",
        f"conversion {format_kpi('conversion_rate', minute['conversion_rate'], currency_exponent=0)}",
        f"order rate {share(minute['order_rate'])}",
        f"{frame.counted:,} of {frame.produced:,} events counted ({frame.produced_rate:,.0f}/s)",
    ]
    if frame.incident is not None and frame.incident.begun:
        parts.append(frame.incident.lines()[1])
    return " · ".join(parts)
