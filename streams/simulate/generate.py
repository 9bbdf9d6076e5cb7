"""Runs: slices of sessions, their messages in batches by arrival, and earlier sales of the same shop as baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np

from consumers.topics import Topic
from streams.simulate.columns import EventColumns, Ints, concat
from streams.simulate.config import DAY_MS, PromotionPlan, SimulationConfig, SimulationError
from streams.simulate.context import RunContext
from streams.simulate.disorder import send
from streams.simulate.encode import Encoder, Message
from streams.simulate.incidents import sku_name
from streams.simulate.shop import Shop, session_averages
from streams.simulate.stock import SimulatedStock, expected_stock_events
from streams.simulate.traffic import Traffic
from streams.simulate.truth import SimulatedSales, Truth

TARGETS = (0.8, 1.0, 1.2)
"""base, sprint and challenge as factors of the expected GMV."""


def announcement(world: RunContext, expected_gmv: float) -> list[Message]:
    """The message of the promotion, if any. `expected_gmv`: net, minor units, for the default targets."""
    config, plan = world.config, world.config.promotion
    if plan is None:
        return []
    value = msgspec.json.encode(_definition(world, config, plan, expected_gmv))
    return [(str(Topic.PROMOTIONS), plan.promotion_id.encode(), config.start_ms, value)]


def _definition(
    world: RunContext, config: SimulationConfig, plan: PromotionPlan, expected_gmv: float
) -> dict[str, Any]:
    base, sprint, challenge = plan.targets or [max(1, round(expected_gmv * factor)) for factor in TARGETS]
    definition = {
        "promotion_id": plan.promotion_id,
        "name": plan.name,
        "starts_at": config.at(plan.phases[0].begins),
        "ends_at": config.at(plan.phases[-1].ends),
        "timezone": config.timezone,
        "phases": [
            {"name": phase.name, "starts_at": config.at(phase.begins), "ends_at": config.at(phase.ends)}
            for phase in plan.phases
        ],
        "targets": {"base": base, "sprint": sprint, "challenge": challenge},
        "skus": [sku_name(i) for i in np.flatnonzero(world.catalog.promoted).tolist()],
    }
    return {**definition, "baseline": plan.baseline} if plan.baseline else definition


class PendingEvents:
    """Rows that have not arrived, in one bucket per slice of arrival time."""

    def __init__(self, ends: Ints) -> None:
        """`ends`: end of each slice, epoch ms, ascending."""
        self._ends = ends
        self._buckets: defaultdict[int, list[EventColumns]] = defaultdict(list)

    def add(self, rows: EventColumns) -> None:
        """Add rows that arrive before the last end."""
        bucket = np.searchsorted(self._ends, rows.arrival, side="right")
        order = np.argsort(bucket, kind="stable")
        rows, bucket = rows.take(order), bucket[order]
        cuts = np.flatnonzero(np.diff(bucket)) + 1
        begins, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(rows)]
        if len(rows):
            for begin, end, index in zip(begins, ends, bucket[begins].tolist(), strict=True):
                self._buckets[index].append(rows.take(slice(begin, end)))

    def pop(self, index: int) -> EventColumns:
        """Remove and return the rows of a slice in order of arrival, rows of one ms in order of addition."""
        rows = concat(self._buckets.pop(index, []))
        return rows.take(np.argsort(rows.arrival, kind="stable"))

    def __len__(self) -> int:
        return sum(len(rows) for bucket in self._buckets.values() for rows in bucket)


class Batch(NamedTuple):
    """Messages of one step of arrival time; empty steps have no batch."""

    arrival_ms: int
    """End of the step, epoch ms: all messages arrived within the step."""
    messages: list[Message]
    """In order of arrival."""


class Simulation:
    """One run. `truth` counts the messages that `batches` has yielded, exactly at its end."""

    def __init__(self, config: SimulationConfig) -> None:
        """Raises SimulationError for an invalid configuration or incident."""
        self.config = config
        self.world = RunContext.of(config)
        self.truth = Truth()
        self._traffic = Traffic(config)
        self._expected = session_averages(self.world, self._traffic)
        wanted = config.rate * config.duration_s - expected_stock_events(config)
        self.sessions = max(1.0, wanted / self._expected.events)
        """Expected sessions without incidents."""
        self._slices = self._traffic.slices(self.sessions, self.world.effects)
        self._encoder = Encoder(self.world.run)

    def batches(self, step_ms: int = 500) -> Iterator[Batch]:
        """Messages in steps of arrival time; the step does not change them."""
        if step_ms < 1:
            raise SimulationError(f"step_ms is {step_ms}: at least 1 is needed")
        start_ms, end_ms = self.config.start_ms, self.config.end_ms
        waiting, waiting_step = self._announcement(), 0
        for rows in self._arrivals():
            messages = self._encoder.messages(rows)
            steps = (rows.arrival - start_ms) // step_ms
            cuts = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(messages)]
            for begin, end in pairwise(cuts):
                step = int(steps[begin])
                if step != waiting_step and waiting:
                    yield Batch(min(start_ms + (waiting_step + 1) * step_ms, end_ms), waiting)
                    waiting = []
                waiting_step = step
                waiting += messages[begin:end]
        if waiting:
            yield Batch(min(start_ms + (waiting_step + 1) * step_ms, end_ms), waiting)

    def _announcement(self) -> list[Message]:
        config = self.config
        stock = SimulatedStock(self.world, self.sessions * self._expected.units)
        buyers = (
            self.sessions * self._traffic.promotion_share() * (1 - stock.short_share * (1 - config.funnel.substitute))
        )
        messages = announcement(self.world, buyers * self._expected.promotion_gmv)
        self.truth = Truth(promotions=len(messages), sold=SimulatedSales.of(config))
        return messages

    def _arrivals(self) -> Iterator[EventColumns]:
        """Sent rows in order of arrival, by slice, without empty slices."""
        stock = SimulatedStock(self.world, self.sessions * self._expected.units)
        shop = Shop(self.world, stock)
        pending = PendingEvents(np.array([part.end_ms for part in self._slices], dtype=np.int64))
        levels = stock.opening_rows()
        clicked, numbered = 0, len(levels)
        pending.add(replace(levels, number=np.arange(numbered, dtype=np.int64)))
        for part in self._slices:
            stocked = stock.events(part)
            clicks, others = shop.open(part.session_starts, part.index)
            others = concat([stocked, others])
            # Separate streams: an incident of orders does not change ids and arrival of clicks.
            pending.add(send(self.world, clicks, clicked, 2 * part.index))
            pending.add(send(self.world, others, numbered, 2 * part.index + 1))
            clicked += len(clicks)
            numbered += len(others)
            if len(arrived := pending.pop(part.index)):
                self.truth.count(arrived)
                yield arrived


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
        self.runs = [Simulation(run) for run in configs]
        """Oldest first; the last is the present run."""

    @property
    def present(self) -> Simulation:
        """The last run."""
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
