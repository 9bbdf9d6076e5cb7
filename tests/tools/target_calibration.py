"""Calibration of the target forecast (80 % intervals): `python -m tests.tools.target_calibration`.

Simulated shops, each of a kind of its own: when its promotion begins, how long its phases are, how strong its surges,
how much it sells. Each has some earlier sales and a present one, which differ in demand, surges and levels, and by
chance. The targets are set before the present sale begins, from the last one's result and a planner's error. Then the
forecast is asked at several moments, with 0, 1, 2, ... earlier sales to go by.

Every number follows from the seed. The figures in `docs/targets.md` are of the defaults.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streams.model.target_forecast import Curve, EarlierPromotion, day_curve, forecast
from streams.simulate import PromotionPlan, SimulatedPhase, Simulation, SimulationConfig

EARLIER = 2
MOMENTS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
"""Elapsed fractions of the promotion at the forecast."""
TIERS = (0.8, 1.0, 1.25)
PLANNER_ERROR = 0.25
"""Standard deviation of the log of what the planner expects over the last sale's result."""
DURATION_S = 600.0
MINUTES_A_STEP = 86_400 / DURATION_S / 60
"""A run is a day squeezed: a second of it is so many minutes of the day."""
DAY_BEGINS_AT = 15.2
"""Local hour at which a compressed run begins."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the sales of one shop have in common."""

    catalog_seed: int
    demand: float
    """Events a second."""
    edges: tuple[float, ...]
    """Of the phases, as shares of the run; the first and the last are the promotion's."""
    surges: tuple[float, ...]
    levels: tuple[float, ...]

    @classmethod
    def some(cls, rng: np.random.Generator) -> Kind:
        """At random: with or without presale and encore, beginning at any time of the first third of the run."""
        begins = float(rng.uniform(0.04, 0.35))
        presale = float(rng.choice([0.0, rng.uniform(0.05, 0.15)]))
        opening = float(rng.uniform(0.05, 0.15))
        ends = float(rng.uniform(0.8, 0.97))
        encore = float(rng.choice([0.0, rng.uniform(0.05, 0.12)]))
        parts = [
            (begins, 1.0, 1.0),
            (begins + presale, float(rng.lognormal(math.log(3.5), 0.5)), 1.2),
            (begins + presale + opening, 1.0, float(rng.uniform(0.9, 1.5))),
            (ends - encore, float(rng.lognormal(math.log(1.8), 0.3)), float(rng.uniform(1.0, 1.6))),
        ]
        kept = [part for part, length in zip(parts, (presale, opening, 1.0, encore), strict=True) if length]
        demand = float(rng.lognormal(math.log(180), 0.6))
        edges, surges, levels = zip(*kept, strict=True)
        return cls(int(rng.integers(1 << 40)), demand, (*edges, ends), surges, levels)

    def sale(self, rng: np.random.Generator) -> SimulationConfig:
        """One sale of this kind, with its own demand, surges, levels and perhaps a fault."""
        phases = tuple(
            SimulatedPhase(f"phase-{i}", begins, ends, level * float(rng.lognormal(0, 0.12)), _surge(surge, rng))
            for i, (begins, ends, level, surge) in enumerate(
                zip(self.edges[:-1], self.edges[1:], self.levels, self.surges, strict=True)
            )
        )
        fault = f"traffic_drop@+{rng.uniform(5, 90):.1f}%/{rng.uniform(1, 5):.1f}%:size=0.7"
        return SimulationConfig.sized(
            rate=self.demand * float(rng.lognormal(0, 0.25)),
            duration_s=DURATION_S,
            seed=int(rng.integers(1 << 40)),
            catalog_seed=self.catalog_seed,
            promotion=PromotionPlan(phases=phases, surge_decay_s=15.0),
            incidents=(fault,) if rng.random() < 0.2 else (),
        )


@dataclass(frozen=True, slots=True)
class Shop:
    """Its sales as curves over minutes of the day; the present one is the last."""

    curves: tuple[Curve, ...]
    begins_at: float
    """Local hour at which the promotion begins."""
    targets: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One question and what came of it."""

    shop: int
    earlier: int
    """How many earlier sales it had to go by."""
    moment: float
    called: tuple[float, ...]
    """# [tier]: probability"""
    reached: tuple[bool, ...]
    within: bool
    """Whether the final net GMV lay in the interval that was called 80 %."""
    off: float
    """Of the expected final net GMV, relative to the real one."""


def shops(count: int, seed: int) -> Iterator[Shop]:
    """Simulated shops; those whose present promotion has fewer than 100 paid orders are left out."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind = Kind.some(rng)
        played = [_play(kind.sale(rng)) for _ in range(EARLIER + 1)]
        error = rng.lognormal(0, PLANNER_ERROR, 1)
        curves = tuple(curve for curve, _ in played)
        if played[-1][1] >= 100 and curves[-2].last > 0:
            targets = tuple(curves[-2].last * tier * float(error[0]) for tier in TIERS)
            yield Shop(curves, (DAY_BEGINS_AT + 24 * kind.edges[0]) % 24, targets)


def cases(shop: Shop, number: int) -> Iterator[Case]:
    """Every question about a shop that has an answer."""
    *past, present = shop.curves
    for moment in MOMENTS:
        now = _until(present, moment)
        for earlier in range(len(past) + 1):
            wholes = [EarlierPromotion(str(i), curve) for i, curve in enumerate(past[len(past) - earlier :])]
            day = day_curve(present.length, lambda minute: shop.begins_at + minute / 60)
            outlook = forecast(now, wholes, day)
            if outlook is not None:
                yield Case(
                    number,
                    earlier,
                    moment,
                    tuple(map(outlook.probability, shop.targets)),
                    tuple(present.last >= target for target in shop.targets),
                    outlook.low <= present.last <= outlook.high,
                    outlook.expected / present.last - 1,
                )


def reliability(found: Sequence[Case]) -> list[tuple[float, float, int, int]]:
    """By tenths of what was called: (mean called, share reached, cases, shops)."""
    rows = []
    for tenth in range(10):
        chosen = [
            (case.shop, called, reached)
            for case in found
            for called, reached in zip(case.called, case.reached, strict=True)
            if min(9, int(called * 10)) == tenth
        ]
        if chosen:
            numbers, called, reached = zip(*chosen, strict=True)
            rows.append((float(np.mean(called)), float(np.mean(reached)), len(chosen), len(set(numbers))))
    return rows


def brier(found: Sequence[Case]) -> tuple[float, float]:
    """Brier score (Brier 1950: mean squared difference of called and reached), and that of always calling the mean."""
    called = np.array([one for case in found for one in case.called])
    reached = np.array([one for case in found for one in case.reached], dtype=np.float64)
    return float(((called - reached) ** 2).mean()), float(reached.mean() * (1 - reached.mean()))


def report(found: Sequence[Case]) -> Iterator[str]:
    """The tables of `docs/targets.md`."""
    for earlier in sorted({case.earlier for case in found}):
        mine = [case for case in found if case.earlier == earlier]
        score, blind = brier(mine)
        basis = f"{earlier} earlier sale{'s' if earlier != 1 else ''}" if earlier else "own shape and the usual day"
        yield f"\n{basis}: Brier score {score:.3f} (always calling the mean: {blind:.3f})\n"
        yield "| called | mean called | reached | cases | shops |"
        yield "| --- | --: | --: | --: | --: |"
        for called, reached, count, of in reliability(mine):
            tenth = min(9, int(called * 10))
            yield f"| {10 * tenth} to {10 * tenth + 10} % | {called:.0%} | {reached:.0%} | {count:,} | {of} |"
        yield "\n| over | Brier score | in the 80 % interval | median error | answers |"
        yield "| --: | --: | --: | --: | --: |"
        for moment in MOMENTS:
            if now := [case for case in mine if case.moment == moment]:
                inside, off = np.mean([case.within for case in now]), np.median([abs(case.off) for case in now])
                yield f"| {moment:.0%} | {brier(now)[0]:.3f} | {inside:.0%} | {off:.1%} | {len(now)} |"


def _surge(mean: float, rng: np.random.Generator) -> float:
    return max(1.0, mean * float(rng.lognormal(0, 0.3))) if mean > 1 else 1.0


def _play(config: SimulationConfig) -> tuple[Curve, int]:
    """What a sale sold, and its paid orders."""
    simulation = Simulation(config)
    for _ in simulation.batches(60_000):
        pass
    sold = simulation.truth.sold
    assert sold is not None
    offset = (sold.starts_ms - config.at(config.promotion.phases[0].begins)) / 1000 if config.promotion else 0.0
    begun = max(0, int(-offset))  # the window begins with the minute, up to 144 minutes of the day before the sale
    steps = np.cumsum(np.array(sold.net_gmv[begun:], dtype=np.float64))
    points = zip((np.arange(1, len(steps) + 1) * MINUTES_A_STEP).tolist(), steps.tolist(), strict=True)
    return Curve.of(points, len(steps) * MINUTES_A_STEP), simulation.truth.events["order_paid"]


def _until(whole: Curve, share: float) -> Curve:
    """The curve as it was known when a share was over."""
    known = whole.minutes <= share * whole.length
    points: Iterable[tuple[float, float]] = zip(whole.minutes[known].tolist(), whole.until[known].tolist(), strict=True)
    return Curve.of(points, whole.length)


def main() -> None:
    """Simulate, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shops", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = [case for number, shop in enumerate(shops(arguments.shops, arguments.seed)) for case in cases(shop, number)]
    print(f"{len({case.shop for case in found})} shops, {len(found):,} forecasts")  # noqa: T201
    for line in report(found):
        print(line)  # noqa: T201


if __name__ == "__main__":
    main()
