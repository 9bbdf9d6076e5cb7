"""Delays and false pages of the default rules over many simulated sales: `python -m tests.bench.alert_study --help`.

Three parts, each a list of sales that differ in seed alone or in the hour of the day:

- calm days of 24 h with the opening's surge, nothing wrong: every page is false;
- drops and stops at about 1,000 orders a minute, at lunch, at night, after an opening: how long until people are told;
- the least delay that any test with as few false alarms could have, for comparison: log(mean time between false alarms)
  over the Kullback-Leibler information a second (Lorden, Annals of Mathematical Statistics 42, 1971).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from alerts.detectors.evidence import information
from alerts.rehearsal.play import play, snapshots
from alerts.rehearsal.quick_sale import QuickSale, promotions_of
from alerts.rehearsal.score import Happened, Score, score
from alerts.rules.loader import default_text, load
from streams.simulate import Phase, PromotionPlan, SimulationConfig

MIDNIGHT_MS = 1_762_704_000_000
"""2025-11-10 00:00 in Shanghai."""
HOUR_MS = 3_600_000
WARM_S = 4500
LASTS_S = 300


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of incident."""

    name: str
    spec: str
    kept: float
    """What is left of the orders."""


CASES = (
    Case("order stage, 20 % lost", "conversion_drop:size=0.2,stage=order", 0.8),
    Case("checkout stage, 20 % lost", "conversion_drop:size=0.2,stage=checkout", 0.8),
    Case("cart stage, 20 % lost", "conversion_drop:size=0.2,stage=cart", 0.8),
    Case("order stage, 50 % lost", "conversion_drop:size=0.5,stage=order", 0.5),
    Case("order stage, 50 % lost in app", "conversion_drop:size=0.5,stage=order,channel=app", 0.75),
    Case("orders stop", "order_stop", 0.0),
    Case("half of the payments fail", "payment_failures:size=0.5", 0.5),
)
SHAPES = ("lunch", "evening", "night", "opening")


def calm(seed: int, orders_per_minute: float, every_s: int) -> Score:
    """A day, 15:12 to 15:12, with the opening at 20:00."""
    config = SimulationConfig(
        seed=seed, duration_s=86_400, start_ms=MIDNIGHT_MS + round(15.2 * HOUR_MS), compress=False
    )
    return _played(config, orders_per_minute, every_s, [])


def struck(seed: int, case: Case, shape: str, every_s: int) -> Score:
    """An hour and a quarter of calm, then the incident for five minutes."""
    start_h = {"lunch": 11.5, "evening": 19.5, "night": 2.0, "opening": 19.0}[shape]
    kind, _, options = case.spec.partition(":")
    spec = f"{kind}@+{WARM_S}s/{LASTS_S}s" + (f":{options}" if options else "")
    duration_s = WARM_S + LASTS_S + 120
    plan = None
    if shape == "opening":  # ten minutes after it
        plan = PromotionPlan(phases=(Phase("opening", (WARM_S - 600) / duration_s, 1.0, 1.2, 6.0),))
    config = SimulationConfig(
        seed=seed,
        duration_s=duration_s,
        start_ms=MIDNIGHT_MS + round(start_h * HOUR_MS),
        compress=False,
        promotion=plan,
        incidents=(spec,),
    )
    start_ms = config.start_ms + WARM_S * 1000
    happened = Happened(kind, start_ms, start_ms + LASTS_S * 1000)
    return _played(config, 1000.0, every_s, [happened], at_s=WARM_S)


def _played(
    config: SimulationConfig, orders_per_minute: float, every_s: int, happened: list[Happened], at_s: int | None = None
) -> Score:
    """`at_s`: the moment at which there are so many orders a minute; else on average."""
    if at_s is not None:
        weights = Weights.of(config)
        orders_per_minute /= weights[at_s] / (sum(weights) / len(weights))
    panes = QuickSale(config, orders_per_minute).panes()
    rules = load(default_text(), "default").rules
    found = Score()
    score(found, play(rules, snapshots(panes, every_s=every_s, promotions=promotions_of(config))), happened)
    return found


class Weights:
    """The traffic that is to be expected in each second."""

    @staticmethod
    def of(config: SimulationConfig) -> list[float]:
        from streams.simulate.traffic import Traffic

        traffic = Traffic(config)
        warm = config.warm_up_ms // traffic.cell_ms
        return [float(weight) for weight in traffic.weights[warm:]]


def bound_s(kept: float, rate: float, false_per_day: float) -> float:
    """The least mean delay: log(seconds between false alarms) / information a second. `rate`: orders a second."""
    return math.log(86_400 / false_per_day) / (rate * information(kept))


def _quantile(numbers: list[float], q: float) -> float:
    ranked = sorted(numbers)
    return ranked[min(len(ranked) - 1, math.ceil(q * len(ranked)) - 1)] if ranked else math.nan


def report_struck(case: Case, shape: str, scores: list[Score]) -> dict[str, object]:
    told = [one for found in scores for one in found.told]
    delays = [one.delay_s for one in told if one.delay_s is not None]
    return {
        "case": case.name,
        "shape": shape,
        "sales": len(told),
        "told": len(delays),
        "pages_each": round(statistics.mean(one.pages for one in told), 2),
        "median_s": round(_quantile(delays, 0.5), 1),
        "p95_s": round(_quantile(delays, 0.95), 1),
        "bound_s": round(bound_s(case.kept, 1000 / 60, 0.05), 1),
        "false_before": sum(len(found.false) for found in scores),
        "first": sorted({str(one.first.series) for one in told if one.first})[:4],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("calm", "struck"))
    parser.add_argument("--sales", type=int, default=20, help="calm: days; struck: sales a case and hour")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200.0, help="calm: orders a minute, on average")
    parser.add_argument("--every", type=int, default=2, help="seconds between evaluations")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cases", default="", help="struck: only those whose name has this")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.sales)
    with ProcessPoolExecutor(given.jobs) as pool:
        lines = _calm(pool, given, seeds) if given.part == "calm" else _struck(pool, given, seeds)
        for line in lines:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            sys.stdout.flush()


def _calm(pool: ProcessPoolExecutor, given: argparse.Namespace, seeds: range) -> Iterator[dict[str, object]]:
    whole = Score()
    for seed, found in zip(
        seeds, pool.map(partial(calm, orders_per_minute=given.rate, every_s=given.every), seeds), strict=True
    ):
        whole.days += found.days
        whole.false += found.false
        pages = [f"{page.series} {page.finding.summary}" for page in found.false]
        yield {"seed": seed, "days": round(found.days, 2), "false": pages}
    yield {"days": round(whole.days, 1), "false": len(whole.false), "false_per_day": whole.false_per_day}


def _struck(pool: ProcessPoolExecutor, given: argparse.Namespace, seeds: range) -> Iterator[dict[str, object]]:
    for case in CASES:
        if given.cases in case.name:
            for shape in SHAPES:
                run = partial(struck, case=case, shape=shape, every_s=given.every)
                yield report_struck(case, shape, list(pool.map(run, seeds)))


if __name__ == "__main__":
    main()
