"""A sale with earlier sales of the same shop as baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from streams.simulate.config import DAY_MS, SimulationConfig
from streams.simulate.generate import Batch, Simulation
from streams.simulate.plan import SimulationError

GAP_MS = 30 * 60_000
"""Gap between compressed runs: windows up to 15 min never cover two."""
GROWTH = 1.25
"""Growth of the rate from run to run."""
EARLIER_MAX = 20


class Season:
    """Earlier runs and the present run. Each run's `truth` is exact after `batches`."""

    def __init__(self, config: SimulationConfig, earlier: int = 0) -> None:
        """`earlier`: number of earlier sales; each promotion has the previous one as its baseline."""
        if not 0 <= earlier <= EARLIER_MAX:
            raise SimulationError(f"earlier is {earlier}: from 0 to {EARLIER_MAX} earlier sales are possible")
        configs = [_run(config, back, earlier) for back in range(earlier, -1, -1)]
        if configs[0].start_ms < 0:
            raise SimulationError(f"{earlier} earlier sales would begin before 1970: choose a later start")
        self.runs = [Simulation(one) for one in configs]
        """Oldest first; the last is the present run."""

    @property
    def present(self) -> Simulation:
        return self.runs[-1]

    @property
    def earlier(self) -> list[Simulation]:
        """Oldest first."""
        return self.runs[:-1]

    @property
    def config(self) -> SimulationConfig:
        """Configuration of the present run."""
        return self.present.config

    @property
    def start_ms(self) -> int:
        """Start of the oldest run."""
        return self.runs[0].config.start_ms

    @property
    def messages(self) -> int:
        """Messages of all runs so far."""
        return sum(run.truth.total for run in self.runs)

    def batches(self, step_ms: int = 500) -> Iterator[Batch]:
        """Messages of all runs, in order of the runs."""
        return chain.from_iterable(run.batches(step_ms) for run in self.runs)


def spacing_ms(config: SimulationConfig) -> int:
    """Time between starts of successive runs: whole days, or duration and gap if compressed."""
    if config.compressed:
        return config.duration_ms + GAP_MS
    return -(-config.duration_ms // DAY_MS) * DAY_MS


def _run(config: SimulationConfig, back: int, earlier: int) -> SimulationConfig:
    """The run `back` sales ago: same shop and local time, other seed."""
    plan = config.promotion
    if plan is not None and back < earlier:
        plan = replace(plan, baseline=_promotion_id(plan.promotion_id, back + 1))
    if back == 0:
        return replace(config, promotion=plan)
    if plan is not None:
        name = f"{plan.name}, {back} before" if back > 1 else f"{plan.name}, the last one"
        plan = replace(plan, promotion_id=_promotion_id(plan.promotion_id, back), name=name, targets=None)
    return replace(
        config,
        seed=config.seed + 1_000_003 * back,
        catalog_seed=config.seed if config.catalog_seed is None else config.catalog_seed,
        rate=config.rate / GROWTH**back,
        start_ms=config.start_ms - back * spacing_ms(config),
        promotion=plan,
        incidents=(),
    )


def _promotion_id(promotion_id: str, back: int) -> str:
    return f"{promotion_id}-last-{back}"
