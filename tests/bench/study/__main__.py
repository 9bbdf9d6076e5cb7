"""Days and incidents over all default rules: `python -m tests.bench.study --help`.

- `calm`: days of each shape; a line of JSON a day;
- `struck`: sales with one or two incidents each;
- `table FILE...`: the tables of such lines, in Markdown.

With `--lines FILE`, the first two write their lines there, and print the tables.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

from alerts.rehearsal.play import Page, play
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules
from alerts.shop import ShopInfo
from alerts.wording.sentences import sentence
from tests.alerts.dense_panes import DensePanes
from tests.bench.study.cases import GROUPS, RATES, Sale, cases
from tests.bench.study.incidents import calm_truth, inject, sold_out
from tests.bench.study.inputs import START_S, counters, inputs
from tests.bench.study.journeys import day
from tests.bench.study.judging import fired_s, incident_line, judge, orders_against_before
from tests.bench.study.shapes import SHAPES
from tests.bench.study.shop import PRE_S, WARM_S
from tests.bench.study.table_inputs import STEP_S, StudyTables
from tests.bench.study.tables import study_table
from tests.bench.study.truth import SOON_S

LEARN_S = WARM_S - 600
"""The first evaluation reads all until then, as after a start."""
CALM_EVERY_S, STRUCK_EVERY_S = 10, 10
QUICK_BEFORE_S, QUICK_S, QUICK_EVERY_S = 120, 150, 2
"""Around the beginning of an incident there is an evaluation every two seconds, as live."""
LEARNED_S = 600
"""Pages of sales with incidents are judged from then on."""


@cache
def default_rules() -> Rules:
    """The default rules."""
    return load(default_text(), "default").rules


def calm_line(
    shape: str, rate: float, seed: int, hours: float, every_table: bool = False, rules: Rules | None = None
) -> dict[str, Any]:
    """Play a day of a shape; its pages are false, except warnings of what is late, and SKUs that are sold out, or
    will be within `SOON_S`."""
    is_tight = shape == "tight_stock"
    one = day(shape, rate, seed, hours + (SOON_S / 3600 if is_tight else 0))
    counted = counters(one, one.journeys)
    until_s = WARM_S + round(3600 * hours)
    times = range(LEARN_S, until_s + 1, CALM_EVERY_S)
    seen = inputs(one, one.journeys, counted, times, every_table=every_table)
    played = play(rules or default_rules(), seen, from_ms=1000 * (START_S + WARM_S))
    stock = StudyTables(one, one.journeys, every_table=False).stock
    incidents = sold_out(one, stock, STEP_S) if is_tight else calm_truth(one)
    found = judge(played.pages, incidents)
    pairs = zip(incidents, found.detected, strict=True)
    return {
        "part": "calm",
        "shape": shape,
        "rate": rate,
        "seed": seed,
        "days": played.days,
        "pages": len(found.judged),
        "false": [page_line(page, counted.panes) for page in found.false],
        "incidents": [incident_line(*pair) for pair in pairs if pair[1].pages or pair[0].start_s < PRE_S + until_s],
    }


def struck_line(
    group: str, number: int, rate: float, seed: int, sale: Sale, rules: Rules | None = None
) -> dict[str, Any]:
    """Play a sale with incidents, after an hour of calm that is learned from."""
    case = inject(day(sale.shape, rate, seed, sale.hours), sale.specs)
    counted = counters(case.day, case.journeys, case.faults)
    starts = [round(WARM_S + spec.start_s) for spec in sale.specs]
    end = len(counted.panes.table) + 1
    times = {*range(LEARN_S, end, STRUCK_EVERY_S)}
    for start in starts:
        times.update(range(start - QUICK_BEFORE_S, min(start + QUICK_S, end), QUICK_EVERY_S))
    played = play(
        rules or default_rules(),
        inputs(case.day, case.journeys, counted, sorted(times), faults=case.faults),
        from_ms=1000 * (START_S + WARM_S + LEARNED_S),
    )
    found = judge(played.pages, case.incidents)
    return {
        "part": "struck",
        "group": group,
        "number": number,
        "shape": sale.shape,
        "rate": rate,
        "seed": seed,
        "inhibited": {f"{rule}: {reason}": many for (rule, reason), many in sorted(played.inhibited.items())},
        "pages": len(found.judged),
        "false": [page_line(page, counted.panes) for page in found.false],
        "incidents": [*map(incident_line, case.incidents, found.detected)],
    }


def page_line(page: Page, panes: DensePanes) -> dict[str, Any]:
    """A page as JSON; `at_min` is of the sale."""
    return {
        "at_min": round((fired_s(page) - PRE_S - WARM_S) / 60, 1),
        "lasts_min": None if page.resolved_ms is None else round((page.resolved_ms - page.fired_ms) / 60_000, 1),
        "severity": page.finding.severity.value,
        "series": str(page.series),
        "orders": orders_against_before(page, panes),
        "summary": sentence(page.finding, ShopInfo()),
    }


def _played(work: list[Callable[[], dict[str, Any]]], jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1:
        yield from (one() for one in work)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=4) as pool:
        yield from pool.imap_unordered(_call, work)


def _call(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return work()


def _lines(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def main() -> None:
    """Play what is asked for, or print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.study", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("calm", "struck", "table"))
    parser.add_argument("files", nargs="*", type=Path, help="table: lines of the other parts")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="calm: separated by commas")
    parser.add_argument("--group", default="all", help=f"struck: all, or of {', '.join(GROUPS)}")
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES), help="orders a minute")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="days of each shape and rate; rounds of incidents",
    )
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=6.0, help="calm: length of a day's sale")
    parser.add_argument("--every-table", action="store_true", help="calm: tables of ads, shipping and targets, too")
    parser.add_argument("--lines", type=Path, help="file for the lines; then the tables are printed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    if given.part == "table":
        sys.stdout.writelines(f"{line}\n" for line in study_table(_lines(given.files)))
        return
    seeds, rates = range(given.first_seed, given.first_seed + given.seeds), [*map(float, given.rates.split(","))]
    work: list[Callable[[], dict[str, Any]]] = []
    if given.part == "calm":
        for seed, rate, shape in itertools.product(seeds, rates, given.shapes.split(",")):
            work.append(partial(calm_line, shape, rate, seed, given.hours, given.every_table))
    else:
        for group, number, sale in cases(given.group):
            asked = [rate for rate in sale.rates if rate in rates or len(sale.rates) == 1]
            for seed, again, rate in itertools.product(seeds, range(sale.many), asked):
                own_seed = seed * 10_000 + again * 1000 + number
                work.append(partial(struck_line, group, number, rate, own_seed, sale))
    played: list[dict[str, Any]] = []
    with nullcontext(sys.stdout) if given.lines is None else given.lines.open("w") as out:
        for line in _played(work, given.jobs):
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            out.flush()
            played.append(line)
    if given.lines is not None:
        sys.stdout.writelines(f"{line}\n" for line in study_table(played))


if __name__ == "__main__":
    main()
