"""Replay a simulated sale of 24 hours at full speed: rate and memory."""

from __future__ import annotations

from collections.abc import Iterator

from consumers.contract.events import EVENT_TYPES
from consumers.kafka.producer import OutgoingMessage
from consumers.topics import EVENT_TOPICS, Topic
from streams.model.windows import Window
from streams.simulate import Simulation, SimulationConfig
from tests.bench.checking import wrong_totals
from tests.bench.facts import Facts, differences
from tests.bench.ground import Ground
from tests.bench.loading import load
from tests.bench.recorder import Recorder, run_of
from tests.bench.report import Part, Table, Target, say

DAY_S = 86_400
SKUS, USERS = 100_000, 1_000_000
SLOWEST = 3_000
"""Events per second below which the run is aborted."""


def measure(ground: Ground, *, count: int) -> Part:
    """The whole part, with about `count` events."""
    part = Part("24 h sale")
    ground.empty()
    config = SimulationConfig(rate=count / DAY_S, duration_s=DAY_S, skus=SKUS, users=USERS)
    simulation, facts = Simulation(config), Facts(ground.folder, [Topic.ORDERS])
    newest = _Newest()
    say(f"sale: simulating and writing about {count:,} events")
    try:
        ends = load(ground.broker.bootstrap, newest.of(simulation), facts)
        facts.done()
        total = sum(end for (topic, _), end in ends.items() if Topic(topic) in EVENT_TOPICS)
        settings = ground.settings()
        say(f"sale: counting {total:,} events")
        with ground.workers(1, settings) as workers:
            with Recorder(ground, workers) as recorder:
                recorder.until_counted(total, 120 + total / SLOWEST)
            run = run_of(recorder.samples)
            part.wrong += wrong_totals(ground.totals(settings), _expected(simulation))
            part.wrong += differences(settings, facts, [Window.H24], newest.ms)
    finally:
        facts.close()
    part.runs.append(run.plain())
    table = Table(f"{total:,} events of 24 h, {SKUS:,} SKUs, {USERS:,} users; one worker", ["figure", "value"])
    table.rows += [
        ["events/s", run.events_per_s],
        ["CPU-s per million", run.cpu_s_per_million],
        ["worker peak MB", run.worker_peak_mb],
        ["Redis peak MB", run.redis_peak_mb],
        ["Redis at the end MB", run.redis_final_mb],
        ["Redis CPU-s per million", run.redis_cpu_s_per_million],
        ["exact", "NO" if part.wrong else "yes"],
    ]
    tenths = Table("Events/s of each tenth", [f"{tenth}." for tenth in range(1, 11)], [list(run.tenths)])
    part.tables += [table, tenths]
    part.targets += [
        Target("worker memory, sale", run.worker_peak_mb, "MB", 500),
        Target("Redis memory, sale", run.redis_peak_mb, "MB", 1024),
    ]
    return part


class _Newest:
    """Passes messages on, and remembers the newest event time: that is where as-of ends up."""

    def __init__(self) -> None:
        self.ms = 0

    def of(self, simulation: Simulation) -> Iterator[list[OutgoingMessage]]:
        for batch in simulation.batches(60_000):
            counted = (ts for topic, _, ts, _ in batch.messages if topic != Topic.PROMOTIONS)
            self.ms = max(self.ms, max(counted, default=0))
            yield [OutgoingMessage(Topic(topic), key, value) for topic, key, _, value in batch.messages]


def _expected(simulation: Simulation) -> dict[str, int]:
    """The simulator's own count, by the names of the totals."""
    truth, expected = simulation.truth, {}
    for topic, types in EVENT_TYPES.items():
        for name in types:
            if truth.events.get(name):
                expected[f"events,{topic},{name}"] = truth.events[name]
        if truth.repeats.get(topic):
            expected[f"duplicates,{topic}"] = truth.repeats[topic]
    return expected
