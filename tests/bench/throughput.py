"""Events per second and CPU per event of reading alone, plain Faust, one worker and two, on the same events."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import redis

from streams.local.embedded.child import always_ready
from streams.model.windows import Window
from tests.bench import plain_faust
from tests.bench.checking import wrong_totals
from tests.bench.facts import Facts, differences
from tests.bench.ground import REPOSITORY, BenchError, Ground
from tests.bench.loading import load
from tests.bench.recorder import Recorder, Run, run_of
from tests.bench.report import Part, Table, Target, say
from tests.bench.workload import events
from tests.support.servers import Server, running

SLOWEST = 5_000
"""Events per second below which a worker's run is aborted."""
SLOWEST_PLAIN = 500
START_S = 60
FASTEST_TARGET = 150_000
COLUMNS = (
    "what",
    "events",
    "events/s",
    "CPU-s per million",
    "largest worker MB",
    "Redis CPU-s per million",
    "Redis peak MB",
    "broker CPU-s per million",
    "exact",
)


@dataclass
class Throughput:
    """The part, as far as it has got."""

    ground: Ground
    part: Part
    facts: Facts
    loaded: int = 0
    rows: dict[str, list[Run | dict[str, float]]] = field(default_factory=dict)

    def load(self, count: int) -> None:
        """Have so many events on the broker; event i is the same whatever the count, so only the missing are made."""
        if count <= self.loaded:
            return
        say(f"throughput: writing events {self.loaded:,} to {count:,}")
        load(self.ground.broker.bootstrap, events(count - self.loaded, start=self.loaded), self.facts)
        self.facts.done()
        self.loaded = count

    def keep(self, what: str, figures: Run | dict[str, float], **more: Any) -> None:
        plain = figures.plain() if isinstance(figures, Run) else figures
        self.rows.setdefault(what, []).append(figures)
        self.part.runs.append({"what": what, "of": self.loaded, **plain, **more})

    def middle(self, what: str, name: str) -> float:
        return statistics.median(getattr(run, name) if isinstance(run, Run) else run[name] for run in self.rows[what])

    # Runs ------------------------------------------------------------------------------------------------------------

    def consume_only(self) -> None:
        say(f"throughput: consume only, {self.loaded:,} events")
        settings = self.ground.settings()
        argv = [sys.executable, "-m", "tests.bench.consume_only", settings.bootstrap, settings.group, str(self.loaded)]
        try:
            done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=600)
        except subprocess.CalledProcessError as error:
            raise BenchError(f"consuming alone failed:\n{error.stderr[-2000:]}") from error
        self.keep("consume only", json.loads(done.stdout))

    def plain_faust(self) -> None:
        say(f"throughput: plain Faust, {self.loaded:,} events")
        self.ground.empty_redis()
        settings = self.ground.settings()
        argv = [sys.executable, "-m", "tests.bench.plain_faust"]
        argv += [settings.bootstrap, self.ground.redis.url, settings.group]
        here = {"PYTHONPATH": str(REPOSITORY)}
        server = Server("plain-faust", argv, 0, always_ready, self.ground.folder, env=here)
        with running(server), Recorder(self.ground, [server], _plain_counted) as recorder:
            recorder.until_counted(self.loaded, START_S + self.loaded / SLOWEST_PLAIN)
        self._check("plain Faust", wrong_totals(self._plain_types(), self.facts.types))
        self.keep("plain Faust", run_of(recorder.samples, whole=False))

    def salepulse(self, workers: int) -> Run:
        what = f"salepulse, {workers} worker{'s' * (workers > 1)}"
        say(f"throughput: {what}, {self.loaded:,} events")
        self.ground.empty_redis()
        settings = self.ground.settings()
        with self.ground.workers(workers, settings) as processes:
            with Recorder(self.ground, processes) as recorder:
                recorder.until_counted(self.loaded, START_S + self.loaded / SLOWEST)
            run = run_of(recorder.samples, workers=workers)
            totals = self.ground.totals(settings)
            self._check(what, wrong_totals(totals, self.facts.types))
            self._check(what, differences(settings, self.facts, (Window.M1, Window.H1), self.facts.newest_ms))
        self.keep(what, run)
        return run

    def _check(self, what: str, wrong: list[str]) -> None:
        self.part.wrong += [f"{what}, {self.loaded:,} events: {line}" for line in wrong]

    def _plain_types(self) -> dict[str, int]:
        """Totals by type, summed over its panes."""
        names = {counter: kind for kind, counter in plain_faust.COUNTERS.items()}
        found: Counter[str] = Counter()
        with self.ground.client() as client:
            for key in client.scan_iter("plain:*", count=1000, _type="hash"):
                for name, amount in client.hgetall(key).items():
                    scope, _, counter = name.decode().split("|")
                    if scope == "all" and counter in names:
                        kind = names[counter]
                        topic = "clicks" if kind in plain_faust.CLICK_COUNTERS else "orders"
                        found[f"events,{topic},{kind}"] += int(amount)
        return dict(found)


def _plain_counted(client: redis.Redis) -> int:
    return int(client.get(plain_faust.COUNTED) or 0)


def measure(ground: Ground, *, count: int, plain_count: int, sizes: Iterable[int], repeats: int) -> Part:
    """The whole part. `sizes` are for one worker, to see whether the rate holds."""
    part = Part("Throughput")
    ground.empty()
    bench = Throughput(ground, part, Facts(ground.folder))
    try:
        if plain_count:
            bench.load(plain_count)
            bench.plain_faust()
        bench.load(count)
        for _ in range(repeats):
            bench.consume_only()
            bench.salepulse(1)
            bench.salepulse(2)
        part.tables.append(_table(bench))
        part.targets += _targets(bench)
        _flatness(bench, sorted({count, *(size for size in sizes if size > count)}))
    finally:
        bench.facts.close()
    return part


def _flatness(bench: Throughput, sizes: list[int]) -> None:
    """One worker over ever more events, and each tenth of the most."""
    table = Table("One worker, by size", ["events", "events/s", "CPU-s per million", "worker MB", "Redis peak MB"])
    run: Run | None = None
    for size in sizes:
        if size == bench.loaded:
            run = next(run for run in bench.rows["salepulse, 1 worker"] if isinstance(run, Run))
        else:
            bench.load(size)
            run = bench.salepulse(1)
        table.rows.append([size, run.events_per_s, run.cpu_s_per_million, run.worker_peak_mb, run.redis_peak_mb])
    if run is None:
        return
    bench.part.tables.append(table)
    tenths = Table(f"Events/s of each tenth of {sizes[-1]:,}", [f"{tenth}." for tenth in range(1, 11)])
    tenths.rows.append(list(run.tenths))
    bench.part.tables.append(tenths)
    bench.part.targets.append(Target(f"worker memory, {sizes[-1]:,} events", run.worker_peak_mb, "MB", 500))


def _table(bench: Throughput) -> Table:
    table = Table("Medians of all repeats, start-up excluded", COLUMNS)
    wrong = " ".join(bench.part.wrong)
    for what, runs in bench.rows.items():
        take = partial(bench.middle, what)
        rate, cpu = take("events_per_s"), take("cpu_s_per_million")
        if not isinstance(runs[0], Run):
            table.rows.append([what, bench.loaded, rate, cpu, take("peak_mb"), None, None, None, None])
            continue
        used = (take("worker_peak_mb"), take("redis_cpu_s_per_million"), take("redis_peak_mb"))
        broker = take("broker_cpu_s_per_million")
        table.rows.append([what, runs[0].events, rate, cpu, *used, broker, "NO" if f"{what}," in wrong else "yes"])
    return table


def _targets(bench: Throughput) -> list[Target]:
    one, two = "salepulse, 1 worker", "salepulse, 2 workers"
    half = bench.middle("consume only", "events_per_s") / 2
    cpu = bench.middle(one, "cpu_s_per_million")
    more = 100 * (bench.middle(two, "cpu_s_per_million") / cpu - 1)
    return [
        Target("one worker", bench.middle(one, "events_per_s"), "events/s", min(FASTEST_TARGET, half), at_most=False),
        Target("one worker", cpu, "CPU-s per million", 9),
        Target("two workers, CPU an event above one", more, "%", 15),
        Target("largest worker's memory", max(bench.middle(name, "worker_peak_mb") for name in (one, two)), "MB", 500),
    ]
