"""Delays and false pages of the default rules over many simulated sales: `python -m tests.bench.alert_study --help`.

Four parts, each a list of sales that differ in seed or hour of the day, with a line of JSON per sale:

- `calm`: days of 24 h with the opening's surge and without incidents: every page is false;
- `all`: calm days on which all rules have their inputs (`tests.bench.calm_days`), not only those on counters;
- `struck`: drops and stops at about 1,000 orders per minute, at lunch, at night, after an opening: delay and number of
  pages;
- `stock`: sold-out SKUs on promotion, counted as in production but in memory.

`table FILE...` prints a table of such lines. `bound` is the least mean delay of any detection, at the rate of the
affected series (`alerts.rehearsal.bounds`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from alerts.findings import Series
from alerts.rehearsal.bounds import poisson_bound_s, poisson_interval
from alerts.rehearsal.play import RehearsalResult, play
from alerts.rehearsal.rehearsal import Rehearsal
from alerts.rehearsal.score import Score, score
from alerts.rehearsal.sources import Arrival, simulated
from alerts.rehearsal.truth import ActualIncident
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules
from alerts.shop import ShopInfo
from alerts.wording.sentences import sentence
from consumers.commands.common import load_settings
from consumers.topics import Topic
from streams.settings import Settings
from streams.simulate import PromotionPlan, SimulatedPhase, SimulationConfig
from streams.simulate.config import StockPlan
from streams.simulate.traffic import Traffic
from tests.alerts.dense_panes import snapshots
from tests.bench import calm_days
from tests.bench.counts_simulator import CountsSimulator, simulated_promotions

MIDNIGHT_MS = 1_762_704_000_000
"""2025-11-10 00:00 in Shanghai."""
HOUR_MS = 3_600_000
WARM_S, SELDOM_S = 4500, 3900
"""Calm before an incident; so much of it is evaluated every 10 s only."""
LASTS_S = 300
STOCK_S, STOCK_RATE, STOCK_SKUS = 120, 500.0, 200
STOCK_LATE_MS = 4000
"""What comes so late has more than its latency behind it."""
STOCK_SPAN_S = 20, 100
"""Range of stock-outs: before it the stock has just changed, and at the end the sale is over."""
START_H = {"lunch": 11.5, "evening": 19.5, "night": 2.0, "opening": 19.0}
ORDERS_PER_MINUTE = 1000.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of incident."""

    name: str
    spec: str
    kept: float
    """What is left of the orders, of those that are struck."""
    target_s: float | None = None
    share: float = 1.0
    """How many events are struck for each order that there is."""


CASES = (
    Case("order stage, 20 % lost", "conversion_drop:size=0.2,stage=order", 0.8, 60),
    Case("checkout stage, 20 % lost", "conversion_drop:size=0.2,stage=checkout", 0.8, 60, share=1.25),
    Case("cart stage, 20 % lost", "conversion_drop:size=0.2,stage=cart", 0.8, 60, share=3.15),
    Case("order stage, 50 % lost", "conversion_drop:size=0.5,stage=order", 0.5, 20),
    Case("order stage, half lost in app", "conversion_drop:size=0.5,stage=order,channel=app", 0.5, share=0.45),
    Case("orders stop", "order_stop", 0.0, 15),
    Case("half of the payments fail", "payment_failures:size=0.5", 0.5),
)
STOCK = Case("stock-out of a SKU on promotion", "", 0.0, 5)


def calm(seed: int, orders_per_minute: float, every_s: int) -> dict[str, Any]:
    """A day, 15:12 to 15:12, with the opening at 20:00."""
    config = SimulationConfig(
        seed=seed, duration_s=86_400, start_ms=MIDNIGHT_MS + round(15.2 * HOUR_MS), compress=False
    )
    found = _score(_played(config, orders_per_minute, every_s), [])
    pages = [f"{page.series} {sentence(page.finding, ShopInfo())}" for page in found.false]
    return {"case": "calm", "seed": seed, "days": round(found.days, 2), "every_s": every_s, "false": pages}


def struck(seed: int, case: Case, shape: str, every_s: int) -> dict[str, Any]:
    """An hour and a quarter of calm, then the incident for five minutes."""
    kind, _, options = case.spec.partition(":")
    spec = f"{kind}@+{WARM_S}s/{LASTS_S}s" + (f":{options}" if options else "")
    duration_s = WARM_S + LASTS_S + 120
    plan = None
    if shape == "opening":  # ten minutes after it
        plan = PromotionPlan(phases=(SimulatedPhase("opening", (WARM_S - 600) / duration_s, 1.0, 1.2, 6.0),))
    config = SimulationConfig(
        seed=seed,
        duration_s=duration_s,
        start_ms=MIDNIGHT_MS + round(START_H[shape] * HOUR_MS),
        compress=False,
        promotion=plan,
        incidents=(spec,),
    )
    channel = options.partition("channel=")[2]
    start_ms = config.start_ms + WARM_S * 1000
    facts = frozenset({("channel", channel)} if channel else ())
    happened = ActualIncident(kind, start_ms, start_ms + LASTS_S * 1000, facts)
    # So that there are so many orders a minute as the incident begins.
    traffic = Traffic(config)
    weights = traffic.weights[config.warm_up_ms // traffic.cell_ms :]
    mean = ORDERS_PER_MINUTE * float(weights.mean() / weights[WARM_S * 1000 // traffic.cell_ms])
    played = _played(config, mean, every_s, seldom_until_s=SELDOM_S)
    return _line(case, shape, seed, played, happened)


def stock(seed: int, shape: str) -> Iterator[dict[str, Any]]:
    """Two minutes of a sale in which some best-sellers on promotion are sold out by orders; a line for each."""
    config = SimulationConfig.sized(
        seed=seed,
        rate=STOCK_RATE,
        duration_s=STOCK_S,
        start_ms=MIDNIGHT_MS + round(START_H[shape] * HOUR_MS),
        compress=False,
        skus=STOCK_SKUS,
        stock=StockPlan(receipts=0.0),
        promotion=PromotionPlan(phases=(SimulatedPhase("sale", 0.0, 1.0, 1.2, 6.0),), skus=STOCK_SKUS),
    )
    rules, ledger = _without_notes(load(default_text(), "default").rules), Ledger()
    rehearsal = Rehearsal(load_settings(Settings), rules, every_s=1)
    played = play(rules, rehearsal.snapshots(ledger.watching(simulated(config).messages)))
    for sku, gone_ms in sorted(ledger.gone_ms.items()):
        if STOCK_SPAN_S[0] <= (gone_ms - config.start_ms) / 1000 < STOCK_SPAN_S[1]:
            pages = [page for page in played.pages if page.series == Series("stock-out", (("sku", sku),))]
            delay_s = (pages[0].fired_ms - gone_ms) / 1000 if pages else None
            yield {
                "case": STOCK.name,
                "shape": shape,
                "seed": seed,
                "sku": sku,
                "delay_s": delay_s,
                "pages": [sku] * len(pages),
            }


def _without_notes(rules: Rules) -> Rules:
    """The rules, with pages about losses of any size."""
    return rules.model_copy(
        update={"rules": tuple(rule.model_copy(update={"warning_from": None}) for rule in rules.rules)}
    )


class Ledger:
    """What there is of each SKU, by the events: the levels of its warehouses, less what is ordered."""

    def __init__(self) -> None:
        self.gone_ms: dict[str, int] = {}
        """# sku: event time of the order that took the last; where that came late, when it came"""
        self._seen: set[str] = set()
        self._left: Counter[str] = Counter()
        self._counted: set[str] = set()

    def watching(self, messages: Iterable[Arrival]) -> Iterator[Arrival]:
        """The same messages."""
        for message in messages:
            if message.topic in (Topic.ORDERS, Topic.LOGISTICS):
                event = msgspec.json.decode(message.value)
                if event["event_id"] not in self._seen:
                    self._seen.add(event["event_id"])
                    self._take(event, message.at_ms)
            yield message

    def _take(self, event: dict[str, Any], at_ms: int) -> None:
        match event["type"]:
            case "stock_level":
                self._left[event["sku"]] += event["on_hand"]
                self._counted.add(event["sku"])
            case "stock_adjusted":
                self._left[event["sku"]] += event["delta"]
            case "order_created" | "order_cancelled" as kind:
                is_late = at_ms - event["ts"] > STOCK_LATE_MS
                for item in event["items"]:
                    self._left[item["sku"]] += item["qty"] if kind == "order_cancelled" else -item["qty"]
                    if item["sku"] in self._counted and self._left[item["sku"]] <= 0:
                        self.gone_ms.setdefault(item["sku"], at_ms if is_late else event["ts"])


def _played(
    config: SimulationConfig, orders_per_minute: float, every_s: int, seldom_until_s: int = 0
) -> RehearsalResult:
    panes = CountsSimulator(config, orders_per_minute).panes()
    rules = load(default_text(), "default").rules
    seen = snapshots(panes, every_s=every_s, seldom_until_s=seldom_until_s, promotions=simulated_promotions(config))
    return play(rules, seen)


def _score(played: RehearsalResult, happened: list[ActualIncident]) -> Score:
    found = Score()
    score(found, played, happened)
    return found


def _line(case: Case, shape: str, seed: int, played: RehearsalResult, happened: ActualIncident) -> dict[str, Any]:
    found = _score(played, [happened])
    (detected,) = found.detected
    return {
        "case": case.name,
        "shape": shape,
        "seed": seed,
        "delay_s": detected.delay_s,
        "pages": [str(page.series) for page in played.pages if page.fired_ms >= happened.start_ms],
        "before": [
            f"{page.series} {sentence(page.finding, ShopInfo())}"
            for page in played.pages
            if page.fired_ms < happened.start_ms
        ],
        "days": round(found.days, 3),
    }


# Of many lines, one table ---------------------------------------------------------------------------------------------


def bound_s(case: Case) -> float:
    """The least mean delay of any detection: see `alerts.rehearsal.bounds`."""
    return poisson_bound_s(ORDERS_PER_MINUTE / 60 * case.share, case.kept)


def quantile(numbers: list[float], q: float) -> float:
    """The quantile of delays; undetected incidents are infinite."""
    ranked = sorted(numbers)
    return ranked[max(0, math.ceil(q * len(ranked)) - 1)] if ranked else math.nan


def table(lines: Iterable[dict[str, Any]]) -> Iterator[str]:
    """In Markdown."""
    held: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        held[line["case"]].append(line)
    yield "| incident | sales | detected | median | p95 | worst | bound | target | pages each |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --: | --: |"
    for case in (*CASES, STOCK):
        if some := held.get(case.name):
            yield _row(case, some)
    calm_of_all = ("calm days, all rules", held[calm_days.CASE])
    for name, days_of in (("calm days", held["calm"]), calm_of_all, ("hours before an incident", _before(held))):
        false, days = sum(len(line["false"]) for line in days_of), sum(line["days"] for line in days_of)
        if days:
            bound = f"at most {poisson_interval(false, days, 0.9)[1]:.2g} with 95 % confidence"
            yield f"\n{name}: {days:.1f} days, {false} false pages, {false / days:.2g} a day ({bound})"
    if whole := held.get(calm_days.CASE):
        yield from calm_days.table(whole)


def _row(case: Case, lines: list[dict[str, Any]]) -> str:
    delays = [math.inf if line["delay_s"] is None else float(line["delay_s"]) for line in lines]
    delay_texts = [f"{quantile(delays, q):.0f} s" for q in (0.5, 0.95, 1.0)]
    bound = "" if case is STOCK else f"{bound_s(case):.1f} s"
    target = "" if case.target_s is None else f"{case.target_s:g} s"
    detected = sum(math.isfinite(delay) for delay in delays)
    pages = sum(len(line["pages"]) for line in lines) / len(lines)
    return f"| {' | '.join([case.name, str(len(lines)), str(detected), *delay_texts, bound, target, f'{pages:.2f}'])} |"


def _before(held: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What was calm of the sales with an incident: the first ten minutes are for learning, and left out."""
    known = {case.name for case in CASES}
    days = (WARM_S - 600) / 86_400
    return [{"false": line["before"], "days": days} for name, some in held.items() if name in known for line in some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("calm", "all", "struck", "stock", "table"))
    parser.add_argument("files", nargs="*", type=Path, help="table: lines of the other parts")
    parser.add_argument("--sales", type=int, default=20, help="calm, all: days; struck: sales a case and hour")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200.0, help="calm: orders a minute, on average")
    parser.add_argument("--every", type=int, default=2, help="seconds between evaluations")
    parser.add_argument("--cases", default="", help="struck: only those whose name has this")
    given = parser.parse_args()
    if given.part == "table":
        lines = (json.loads(line) for path in given.files for line in path.read_text().splitlines())
        sys.stdout.writelines(f"{line}\n" for line in table(lines))
        return
    for line in _sales(given):
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _sales(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seed in range(given.first_seed, given.first_seed + given.sales):
        if given.part == "calm":
            yield calm(seed, given.rate, given.every)
        if given.part == "all":
            yield calm_days.calm_day(seed, MIDNIGHT_MS)
        for shape in START_H if given.part == "stock" else ():
            yield from stock(seed, shape)
        for case in CASES if given.part == "struck" else ():
            if given.cases in case.name:
                yield from (struck(seed, case, shape, given.every) for shape in START_H)


if __name__ == "__main__":
    main()
