"""Calibration of the stock-out forecast: `python -m tests.tools.stockout_calibration`.

Simulated sale days, in real time: daily curve, opening surge, Zipf products of which some have too little stock. Every
ten minutes each product with stock is asked when it will run out, by what was known then; afterwards it is known when
it did. Every number follows from the seeds. The figures in `docs/stock.md` are of the defaults.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.panes.arrays import Ints
from streams.simulate import Funnel, Simulation, SimulationConfig, StockPlan
from streams.stock.forecast import COVERAGE, LOOK_BACK_MINUTES, RATE_MINUTES, interval, minutes_to_stockout

MINUTE_MS = 60_000
EVERY_MS = 10 * MINUTE_MS
DAY_S = 86_400.0
OPENS_AT_20_MS = 1_762_758_720_000
"""15:12 in Shanghai: the promotion opens at a fifth of the day."""
HORIZONS = ((0, 30), (30, 120), (120, 480))
"""Cases by predicted minutes."""
SOLD = ((1, 3), (4, 9), (10, 10_000))
"""Cases by units sold in the 15 minutes before."""


@dataclass(frozen=True, slots=True)
class Product:
    """What became of one product."""

    moved_ms: Ints
    """When its stock changed, ascending."""
    stock: Ints
    """What there was from then on."""
    paid_ms: Ints
    """When units were paid, ascending."""
    paid: Ints
    """How many units by then, from 0."""

    def stock_at(self, at_ms: int) -> int:
        """Stock before a moment."""
        return int(self.stock[np.searchsorted(self.moved_ms, at_ms) - 1])

    def runs_out_ms(self, after_ms: int) -> int | None:
        """The next moment at which there is nothing left."""
        later = np.flatnonzero((self.moved_ms >= after_ms) & (self.stock <= 0))
        return int(self.moved_ms[later[0]]) if len(later) else None

    def by_minute(self, at_ms: int) -> list[int]:
        """Units paid in each of the 60 minutes before a moment."""
        edges = at_ms - MINUTE_MS * np.arange(LOOK_BACK_MINUTES, -1, -1)
        units: list[int] = np.diff(self.paid[np.searchsorted(self.paid_ms, edges)]).tolist()
        return units


@dataclass(frozen=True, slots=True)
class Case:
    """One forecast and what came of it."""

    predicted_min: float
    units: int
    """Sold in the 15 minutes before."""
    took_min: float | None
    """None: longer than the run."""
    low: float
    high: float

    @property
    def held(self) -> bool:
        """Whether the interval held the true moment; beyond the end of the run it is only known that it is later."""
        return self.low <= self.took_min <= self.high if self.took_min is not None else False


def products(seed: int, rate: float) -> tuple[dict[str, Product], int, int]:
    """Every product of a sale day, the day's start and end."""
    config = SimulationConfig(
        seed=seed,
        rate=rate,
        duration_s=DAY_S,
        start_ms=OPENS_AT_20_MS,
        users=200_000,
        funnel=Funnel(steps=3.0, cart=0.5, checkout=0.9, order=0.95),
        skus=400,
        stock=StockPlan(short=150, receipts=0.0, recounts=0.0),
    )
    moves: dict[str, list[tuple[int, int]]] = defaultdict(list)
    paid: dict[str, list[tuple[int, int]]] = defaultdict(list)
    levels: dict[str, int] = defaultdict(int)
    for event in _events(config):
        kind, ts = event["type"], event["ts"]
        if kind == "stock_level" and ts <= config.start_ms + MINUTE_MS:
            levels[event["sku"]] += event["on_hand"]
        if kind == "stock_adjusted":
            moves[event["sku"]].append((ts, event["delta"]))
        sign = {"order_created": -1, "order_cancelled": 1}.get(kind, 0)
        for item in event.get("items", ()):
            if sign:
                moves[item["sku"]].append((ts, sign * item["qty"]))
            if kind == "order_paid":
                paid[item["sku"]].append((ts, item["qty"]))
    found = {}
    for sku, opening in levels.items():
        moved_ms, amounts = _sorted([(config.start_ms - 1, opening), *moves[sku]])
        paid_ms, units = _sorted(paid[sku])
        found[sku] = Product(moved_ms, np.cumsum(amounts), paid_ms, np.concatenate(([0], np.cumsum(units))))
    return found, config.start_ms, config.end_ms


def cases(seed: int, rate: float) -> Iterator[Case]:
    """Every forecast of a sale day that the day is long enough to judge: of less than half of what is left of it."""
    held, start_ms, end_ms = products(seed, rate)
    for product in held.values():
        for at_ms in range(start_ms + 6 * EVERY_MS, end_ms, EVERY_MS):
            stock, units = product.stock_at(at_ms), product.by_minute(at_ms)
            recent = sum(units[-RATE_MINUTES:])
            predicted = minutes_to_stockout(stock, recent)
            left_min = (end_ms - at_ms) / MINUTE_MS
            if stock <= 0 or predicted is None or predicted > min(left_min / 2, HORIZONS[-1][1]):
                continue
            span = interval(stock, units)
            assert span is not None
            out_ms = product.runs_out_ms(at_ms)
            took = None if out_ms is None else (out_ms - at_ms) / MINUTE_MS
            high = float("inf") if span.high is None else span.high
            if took is None and high >= left_min:
                continue  # unknown
            yield Case(predicted, recent, took, span.low, high)


def _events(config: SimulationConfig) -> Iterator[dict[str, Any]]:
    seen = set()
    for batch in Simulation(config).batches(60_000):
        for topic, _, _, value in batch.messages:
            if topic != "clicks":
                event = json.loads(value)
                if "event_id" in event and event["event_id"] not in seen:
                    seen.add(event["event_id"])
                    yield event


def _sorted(found: Sequence[tuple[int, int]]) -> tuple[Ints, Ints]:
    times, amounts = np.array(sorted(found), np.int64).reshape(-1, 2).T
    return times, amounts


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--rate", type=float, default=12.0, help="events a second, two fifths of them about orders")
    options = parser.parse_args()
    found = [case for seed in options.seeds for case in cases(seed, options.rate)]
    groups = {
        f"{low} to {high} min ahead": [c for c in found if low <= c.predicted_min < high] for low, high in HORIZONS
    }
    groups |= {f"{low} to {high} units sold": [c for c in found if low <= c.units <= high] for low, high in SOLD}
    say = print
    say(
        f"| forecasts | how many | median error | of the prediction | held by the {COVERAGE:.0%} interval | too early |"
    )
    say("| --- | --- | --- | --- | --- | --- |")
    for name, mine in {**groups, "all": found}.items():
        errors = [(abs(case.took_min - case.predicted_min), case.predicted_min) for case in mine if case.took_min]
        error, relative = np.median([error for error, _ in errors]), np.median([error / of for error, of in errors])
        held = np.mean([case.held for case in mine])
        early = np.mean([case.took_min is None or case.took_min > case.high for case in mine])
        say(f"| {name} | {len(mine)} | {error:.0f} min | {relative:.0%} | {held:.0%} | {early:.0%} |")


if __name__ == "__main__":
    main()
