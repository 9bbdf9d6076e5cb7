"""Benchmarks on one machine: `python -m tests.bench`, `make bench`. docs/bench.md explains the figures."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from consumers.errors import SalepulseError
from tests.bench import api, freshness, kills, labels, outage, path, peers, rules, sale, sources, throughput
from tests.bench.ground import BenchError, Ground, ground
from tests.bench.report import Part, document, machine, say, say_result, show

PARTS = ("throughput", "freshness", "api", "sale", "rules", "outage", "kills")
APART = ("path", "labels", "sources", "peers")
"""Benchmarks that run only if named, all but the last also with `--full`."""
RATE = 30_000
OUTAGE_RATE = 20_000
DEFAULT_SIZES, FULL_SIZES = "1m,2m", "1m,5m,20m"


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


def counts_of(text: str) -> list[int]:
    """Several of them."""
    return [count_of(part) for part in text.split(",") if part]


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--only", choices=(*PARTS, *APART), action="append", help="this part alone; may be repeated")
    add("--full", action="store_true", help=f"everything at full length: sizes {FULL_SIZES}, 20 M events of sale, ...")
    add("--events", type=count_of, default=1_000_000, help="events of the comparison (default: 1m)")
    add("--sizes", type=counts_of, help=f"sizes that one worker is tried on (default: {DEFAULT_SIZES})")
    add("--plain-events", type=count_of, default=50_000, help="events of plain Faust; 0: leave it out (default: 50k)")
    add("--sale-events", type=count_of, help="events of the 24 h sale (default: 2m)")
    add("--away", type=float, help="seconds without Redis (default: 20)")
    add("--kills", type=int, help="how often something is killed (default: 5)")
    add("--seconds", type=float, help="seconds that freshness is measured (default: 30)")
    add("--requests", type=int, help="requests to the API, twice (default: 500)")
    add("--values", type=count_of, default=1_000_000, help="distinct label values (default: 1m)")
    add("--promotions", type=int, default=5, help="promotions running while the API is asked, 1 to 40 (default: 5)")
    add("--repeats", type=int, default=1, help="of each run of the comparison; the median counts (default: 1)")
    add("--broker", choices=("embedded", "apache"), default="embedded", help="default: embedded")
    add("--peers", metavar="PYTHON", help="also run the comparison beside the repository, with this interpreter")
    add("--peer", action="append", metavar="NAME", help="which of its peers (default: aiokafka and faust-raw)")
    add("--json", type=Path, metavar="FILE", help="write everything there")
    chosen = parser.parse_args(argv)
    full = chosen.full
    chosen.sizes = counts_of(FULL_SIZES if full else DEFAULT_SIZES) if chosen.sizes is None else chosen.sizes
    chosen.sale_events = chosen.sale_events or (20_000_000 if full else 2_000_000)
    chosen.away = chosen.away or (120.0 if full else 20.0)
    chosen.kills = chosen.kills or (100 if full else 5)
    chosen.seconds = chosen.seconds or (120.0 if full else 30.0)
    chosen.requests = chosen.requests or (2_000 if full else 500)
    return chosen


def parts_of(chosen: argparse.Namespace) -> dict[str, Callable[[Ground], Part]]:
    """What is to be measured, in order."""
    every: dict[str, Callable[[Ground], Part]] = {
        "throughput": lambda g: throughput.measure(
            g, count=chosen.events, plain_count=chosen.plain_events, sizes=chosen.sizes, repeats=chosen.repeats
        ),
        "freshness": lambda g: freshness.measure(g, rate=RATE, seconds=chosen.seconds),
        "api": lambda g: api.measure(
            g,
            rate=RATE,
            requests=chosen.requests,
            backfill_s=300 if chosen.full else 30,
            promotions=chosen.promotions,
        ),
        "sale": lambda g: sale.measure(g, count=chosen.sale_events),
        "rules": lambda _: rules.measure(),
        "outage": lambda g: outage.measure(g, rate=OUTAGE_RATE, away_s=chosen.away),
        "kills": lambda g: kills.measure(g, kills=chosen.kills),
    }
    if chosen.full or chosen.only:
        every["path"] = path.measure
        every["labels"] = lambda g: labels.measure(g, values=chosen.values)
        every["sources"] = lambda g: sources.measure(g, count=chosen.events, repeats=chosen.repeats)
    if chosen.peers:
        names = chosen.peer or ["aiokafka", "faust-raw"]
        every["peers"] = lambda g: peers.measure(g, python=chosen.peers, names=names)
    return {name: part for name, part in every.items() if not chosen.only or name in chosen.only}


def main(argv: Sequence[str] | None = None) -> int:
    """0: all was exact; 1: something was counted wrong, or could not be measured; 130: interrupted."""
    chosen = options_of(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    facts, parts, failed = machine(chosen.broker), [], []
    say_result(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_at_start'][0]}; Python {facts['python']}; "
               f"{facts['redis']}; broker: {chosen.broker}\n")  # fmt: skip
    try:
        with ground(chosen.broker) as on:
            for name, measure in parts_of(chosen).items():
                began = time.monotonic()
                try:
                    part = measure(on)
                except (BenchError, SalepulseError, RuntimeError) as error:
                    failed.append(f"{name}: {error}")
                    say(failed[-1])
                    continue
                part.seconds = time.monotonic() - began
                parts.append(part)
                show(part)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if chosen.json:
            options = {name: str(value) if isinstance(value, Path) else value for name, value in vars(chosen).items()}
            report = document(facts, {**options, "failed": failed}, parts)
            chosen.json.write_text(json.dumps(report, indent=1, default=str) + "\n")
    wrong = any(part.wrong for part in parts)
    if wrong:
        say("what was counted is WRONG: see above")
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
