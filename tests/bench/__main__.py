"""How much one machine carries: `python -m tests.bench`, `make bench`. What the figures mean: docs/bench.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import throughput
from tests.bench.ground import BenchError, Ground, ground
from tests.bench.report import Part, document, machine, say, say_result, show

FULL_SIZES = (1_000_000, 5_000_000, 20_000_000)
PARTS = ("throughput",)


def count_of(text: str) -> int:
    """A number, with k or m for thousands or millions.

    >>> count_of("1m"), count_of("500k"), count_of("1_000")
    (1000000, 500000, 1000)
    """
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        return int(float(text.rstrip("kKmM").replace("_", "").replace(",", "")) * factor)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write 1000000, 1m or 500k") from None


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    with ground(options.broker) as g:
        print(throughput.measure(g, count=options.events, plain_count=10000, sizes=[300000], repeats=1))
    return 0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser()
    p.add_argument("--events", type=count_of, default=200_000)
    p.add_argument("--broker", default="embedded")
    return p


if __name__ == "__main__":
    sys.exit(main())
