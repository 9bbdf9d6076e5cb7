"""The picture of the demo in the README: `python -m tests.tools.picture [SECONDS]`, seconds after the start.

By default it is taken when on-call has received the resolution: page, resolution and KPIs are all visible.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sys
from pathlib import Path

from rich.console import Console

from consumers.settings import Clock
from streams.commands.demo import compressed_settings
from streams.local.demo.frame import DemoFrame
from streams.local.demo.run import DemoOptions, play
from streams.local.demo.sale import CHANNEL
from streams.local.demo.screen import WIDTH, render
from streams.local.stack.plan import data_folder, make_plan
from streams.settings import Settings

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "demo.svg"
OPTIONS = DemoOptions(duration_s=150, rate=1000, seed=1, extra_roles=("alerts",))


class Camera:
    """Looks on until the moment has come."""

    def __init__(self, at_s: float | None) -> None:
        self._at_s = at_s
        self._lines: list[str] = []
        self._taken = False

    def show(self, frame: DemoFrame) -> None:
        if self._taken or frame.snapshot is None or not self._is_due(frame):
            return
        self._taken = True
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        for line in self._lines:
            console.print(line, highlight=False, markup=False, no_wrap=True, overflow="ellipsis")
        console.print(render(frame))
        drawn = console.export_svg(title="salepulse demo")
        PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))  # fonts of somebody's server
        os.kill(os.getpid(), signal.SIGINT)

    def _is_due(self, frame: DemoFrame) -> bool:
        if self._at_s is not None:
            return frame.elapsed_s >= self._at_s
        return any("[RESOLVED]" in line and line.endswith(f"channel {CHANNEL}") for line in self._lines)

    def print_line(self, line: str) -> None:
        self._lines.append(line)
        sys.stderr.write(line + "\n")


def main() -> None:
    at_s = float(sys.argv[1]) if len(sys.argv) > 1 else None
    settings = Settings(http_port=0, clock=Clock.WALL)
    settings = settings.model_copy(update=compressed_settings(settings, OPTIONS.duration_s))
    with data_folder(None) as folder:
        plan = make_plan(settings, folder, kafka_port=0, redis_port=0, workers=1, http_port_may_differ=True)
        asyncio.run(play(plan, OPTIONS, Camera(at_s)))


if __name__ == "__main__":
    main()
