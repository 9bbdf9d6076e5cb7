"""Samples counts and resource use of each process twenty times per second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import psutil
import redis

from streams.store.keys import Keys
from streams.store.state import parse_state
from tests.bench.ground import BenchError, Ground, require_running
from tests.support.servers import Server

EVERY_S = 0.05
_LOOK_AGAIN_S = 2.0
Counted = Callable[[redis.Redis], int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. CPU is user and system seconds since each process began; memory is MiB."""

    at_s: float
    counted: int
    workers_cpu_s: float
    redis_cpu_s: float
    broker_cpu_s: float
    worker_mb: float
    """The largest worker's resident memory."""
    redis_mb: float
    """What Redis says it uses."""
    workers: int
    """Number of workers with a heartbeat."""


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run, from the first event counted to the last: starting up is not in them."""

    events: int
    events_per_s: float
    cpu_s_per_million: float
    redis_cpu_s_per_million: float
    broker_cpu_s_per_million: float
    worker_peak_mb: float
    redis_peak_mb: float
    redis_final_mb: float
    tenths: tuple[float, ...]
    """Events a second of each tenth of the events."""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Processes:
    """CPU and memory of processes and all that they started; the dead keep their last reading."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._trees: list[list[psutil.Process]] = []
        self._cpu: dict[int, float] = {}
        self._looked = 0.0

    def sample(self) -> tuple[float, float]:
        """(CPU seconds of all, MiB of the largest tree)."""
        if time.monotonic() - self._looked > _LOOK_AGAIN_S:
            self._trees, self._looked = [_tree(root) for root in self._roots], time.monotonic()
        largest = 0
        for tree in self._trees:
            held = 0
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    held += process.memory_info().rss
            largest = max(largest, held)
        return sum(self._cpu.values()), largest / 2**20


class Cores:
    """How many cores some processes keep busy while the block runs, each on average: {name: cores}."""

    def __init__(self, **pids: int) -> None:
        self._processes = {name: Processes([pid]) for name, pid in pids.items()}
        self.busy: dict[str, float] = {}

    def __enter__(self) -> Cores:
        self._began = time.monotonic()
        self._before = self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        elapsed = time.monotonic() - self._began
        self.busy = {name: (cpu - self._before[name]) / elapsed for name, cpu in self._cpu().items()}

    def _cpu(self) -> dict[str, float]:
        return {name: processes.sample()[0] for name, processes in self._processes.items()}


class Recorder:
    """Takes samples in a thread while the block runs; a Redis that is away is waited for."""

    def __init__(self, ground: Ground, workers: list[Server], counted: Counted | None = None) -> None:
        self.samples: list[Sample] = []
        self._ground = ground
        self._workers = workers
        self._counted = counted or positions
        self._used = {
            "workers": Processes([worker.pid for worker in workers]),
            "redis": Processes([ground.redis.pid]),
            "broker": Processes([ground.broker.pid]),
        }
        self._client = ground.client()
        self._failure: Exception | None = None
        self._last = (0, 0.0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def until_counted(self, total: int, within_s: float) -> None:
        """Wait until so many events are counted. Raises BenchError when a worker ends, or it takes too long."""
        deadline = time.monotonic() + within_s
        while not self.samples or self.samples[-1].counted < total:
            if self._failure is not None:
                raise self._failure
            require_running(self._workers)
            if time.monotonic() > deadline:
                raise BenchError(f"after {within_s:.0f} s only {self._last[0]:,} of {total:,} events are counted")
            time.sleep(EVERY_S / 2)

    def redis_restarted(self) -> None:
        """The Redis is another process now."""
        self._used["redis"] = Processes([self._ground.redis.pid])

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                self.samples.append(self._sample())
                self._stop.wait(max(0.0, EVERY_S - (time.monotonic() - began)))
        except Exception as error:
            self._failure = error

    def _sample(self) -> Sample:
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            memory: dict[str, Any] = self._client.info("memory")
            at_work: Any = self._client.hlen(Keys("salepulse", 1).reports)
            self._last = (self._counted(self._client), memory["used_memory"] / 2**20, at_work)
        at_s = time.time()
        workers_cpu, worker_mb = self._used["workers"].sample()
        redis_cpu, broker_cpu = self._used["redis"].sample()[0], self._used["broker"].sample()[0]
        return Sample(at_s, self._last[0], workers_cpu, redis_cpu, broker_cpu, worker_mb, *self._last[1:])


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def positions(client: redis.Redis) -> int:
    """Records that salepulse has counted, in topics that begin at 0."""
    fields: Any = client.hgetall(Keys("salepulse", 1).state(0))
    return sum(held.position or 0 for held in parse_state([fields]).partitions.values())


def run_of(samples: Sequence[Sample], *, workers: int = 1, whole: bool = True) -> Run:
    """The figures, from when all of several workers are at work, so that starting none of them is counted in.

    `whole=False`: without the last step, for what counts in steps of a second.
    """
    final = max(sample.counted for sample in samples)
    first = next(sample for sample in samples if sample.counted and (workers == 1 or sample.workers >= workers))
    end = next(sample for sample in samples if sample.counted == final)
    if not whole:
        before = max((sample.counted for sample in samples if sample.counted < final), default=0)
        end = next((sample for sample in samples if sample.counted == before > first.counted), end)
    events, elapsed = end.counted - first.counted, end.at_s - first.at_s
    if events <= 0 or elapsed <= 0:
        raise BenchError(f"all {final:,} events were counted at once: too few to measure anything")
    per_million = 1e6 / events
    return Run(
        events=final,
        events_per_s=events / elapsed,
        cpu_s_per_million=(end.workers_cpu_s - first.workers_cpu_s) * per_million,
        redis_cpu_s_per_million=(end.redis_cpu_s - first.redis_cpu_s) * per_million,
        broker_cpu_s_per_million=(end.broker_cpu_s - first.broker_cpu_s) * per_million,
        worker_peak_mb=max(sample.worker_mb for sample in samples),
        redis_peak_mb=max(sample.redis_mb for sample in samples),
        redis_final_mb=samples[-1].redis_mb,
        tenths=tenths(samples, final),
    )


def tenths(samples: Sequence[Sample], total: int) -> tuple[float, ...]:
    """Events a second of each tenth: (from the first counted on) the moments between two samples are interpolated."""
    first = next(sample for sample in samples if sample.counted)
    marks = [first.counted + (total - first.counted) * tenth / 10 for tenth in range(11)]
    times, at = [], 0
    for mark in marks:
        while samples[at].counted < mark:
            at += 1
        late, early = samples[at], samples[at - 1] if at else samples[at]
        gained = late.counted - early.counted
        share = (mark - early.counted) / gained if gained and mark > first.counted else 1.0
        times.append(early.at_s + share * (late.at_s - early.at_s))
    step = (total - first.counted) / 10
    return tuple(step / max(end - begin, 1e-9) for begin, end in pairwise(times))
