"""Reports as tables and as JSON."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streams.local.embedded.redis import find_redis

PACKAGES = ("aiokafka", "faust-streaming", "msgspec", "numpy", "redis", "uvloop")


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that has something to reach."""

    figure: str
    value: float
    unit: str
    limit: float
    at_most: bool = True

    @property
    def met(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(slots=True)
class Table:
    """Rows under a heading; numbers are written with as many digits as they deserve."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """What one part of the bench found."""

    name: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Numbers that are not what they must be: they fail the bench, however fast it was."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Every run, for the JSON."""
    seconds: float = 0.0


def number(value: object) -> str:
    """For people: thousands apart, three digits or so.

    >>> number(123456.7), number(12.345), number(0.01234), number("x"), number(None)
    ('123,457', '12.3', '0.012', 'x', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(table: Table) -> str:
    """As a Markdown table."""
    cells = [list(table.columns), *([number(value) for value in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    lines = []
    for row in cells:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        padded[0] = row[0].ljust(widths[0])
        lines.append(f"| {' | '.join(padded)} |")
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([f"{table.title}\n", lines[0], rule, *lines[1:], ""])


def targets_table(targets: Sequence[Target]) -> Table:
    table = Table("Targets", ["figure", "measured", "target", "met"])
    for target in targets:
        sign = "≤" if target.at_most else "≥"
        table.rows.append(
            [
                target.figure,
                f"{number(target.value)} {target.unit}",
                f"{sign} {number(target.limit)} {target.unit}",
                "yes" if target.met else "no",
            ]
        )
    return table


def show(part: Part) -> None:
    """Print what a part found."""
    lines = [f"## {part.name} ({part.seconds:.0f} s)\n", *map(markdown, part.tables)]
    if part.targets:
        lines.append(markdown(targets_table(part.targets)))
    lines += [f"WRONG: {line}" for line in part.wrong]
    say_result("\n".join(lines))


def say_result(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def machine(broker: str) -> dict[str, Any]:
    """What the figures were taken on, and what else it was doing."""
    redis = subprocess.run([find_redis(), "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "redis": redis.split(" sha=")[0].strip(),
        "broker": broker,
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def document(facts: dict[str, Any], options: dict[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """Everything, for `--json`."""
    return {
        "machine": facts,
        "options": options,
        "rows": [
            {"part": part.name, "table": table.title, **dict(zip(table.columns, row, strict=True))}
            for part in parts
            for table in part.tables
            for row in table.rows
        ],
        "targets": [
            {"part": part.name, **asdict(target), "met": target.met} for part in parts for target in part.targets
        ],
        "wrong": [f"{part.name}: {line}" for part in parts for line in part.wrong],
        "runs": [{"part": part.name, **run} for part in parts for run in part.runs],
    }
