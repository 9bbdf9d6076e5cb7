"""Latency from production to count and to answer: wall clock, one worker, one server."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from consumers.settings import Clock
from consumers.topics import Partition
from streams.clock import now_ms
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.reader import PaneReader
from streams.view.rolling import RollingView
from tests.bench.asking import Asker
from tests.bench.checking import wrong_totals
from tests.bench.feeding import PLACES, Fed, Feed, feeding
from tests.bench.ground import Ground
from tests.bench.recorder import Cores, Recorder
from tests.bench.report import Part, Table, Target, say
from tests.support.servers import Server

ASK_EVERY_S = 0.025
SETTLING_MS = 2_000
"""The first and the last ticks are left out: the worker's first batches, and what no later event pushes on."""
CATCH_UP_S = 120


def measure(ground: Ground, *, rate: int, seconds: float) -> Part:
    """The whole part."""
    part = Part("Freshness")
    ground.empty()
    settings = ground.settings(clock=Clock.WALL)
    say(f"freshness: {rate:,} events/s for {seconds:.0f} s")
    with feeding(ground, rate=rate, seconds=seconds) as feed, ground.workers(1, settings) as workers:
        feed.made()
        with ground.serve(settings) as server, Recorder(ground, workers) as recorder:
            with Asker(server) as asker:
                asker.until_ready()
            feed.go()
            with Cores(
                worker=workers[0].pid, serve=server.pid, redis=ground.redis.pid, broker=ground.broker.pid
            ) as cores:
                polls, answers = _watch(settings, server, feed)
            fed = feed.done()
            recorder.until_counted(fed.total, CATCH_UP_S)
    part.wrong += wrong_totals(ground.totals(settings), fed.types)
    counted, answered, after_second = _delays(fed, polls, answers)
    table = Table(f"{rate:,} events/s, ms from production", ["until", "p50", "p99", "max"])
    for what, delays in (
        ("counted: in a reader that looks every 100 ms", counted),
        ("in an answer of the API (its as_of has passed it)", answered),
        ("the same, from the end of the event's second on", after_second),
    ):
        table.rows.append([what, *_percentiles(delays)])
        part.runs.append({"what": what, **dict(zip(("p50_ms", "p99_ms", "max_ms"), _percentiles(delays), strict=True))})
    part.tables.append(table)
    part.tables.append(Table("Cores kept busy meanwhile", list(cores.busy), [list(cores.busy.values())]))
    part.runs.append({"cores": cores.busy})
    part.targets.append(Target("freshness p99, counted", table.rows[0][2], "ms", 1000))  # type: ignore[arg-type]
    return part


Polls = list[tuple[int, dict[Partition, int]]]
Answers = list[tuple[int, int]]


def _watch(settings: Settings, server: Server, feed: Feed) -> tuple[Polls, Answers]:
    """Follow both ways until the feed is over and a little longer: [(ms, positions)], [(ms, as_of)]."""
    answers: Answers = []
    over = threading.Event()

    def ask() -> None:
        with Asker(server) as asker:
            while not over.is_set():
                began = time.monotonic()
                answer = asker.kpis("window=1m")
                if answer is not None:
                    answers.append((now_ms(), answer["as_of"]))
                over.wait(max(0.0, ASK_EVERY_S - (time.monotonic() - began)))

    thread = threading.Thread(target=ask, name="asker", daemon=True)
    thread.start()
    try:
        polls = asyncio.run(_poll(settings, feed))
    finally:
        over.set()
        thread.join()
    return polls, answers


async def _poll(settings: Settings, feed: Feed) -> Polls:
    rows, polls, end = RowIndex(), [], float("inf")
    async with connect(settings) as redis:
        view = RollingView(PaneReader(redis, Keys(settings.redis_prefix, settings.shards), rows), rows, settings)
        while time.monotonic() < end:
            began = time.monotonic()
            await view.poll(now_ms())
            polls.append((now_ms(), {p: held.position or 0 for p, held in view.state.partitions.items()}))
            if feed.over:
                end = min(end, time.monotonic() + 3)
            await asyncio.sleep(max(0.0, settings.poll_ms / 1000 - (time.monotonic() - began)))
    return polls


Delays = npt.NDArray[np.float64]


def _delays(fed: Fed, polls: Polls, answers: Answers) -> tuple[Delays, Delays, Delays]:
    """Of every event: until counted, until answered, and that from the end of its second on; ms."""
    first_ms, last_ms = fed.at_ms[0] + SETTLING_MS, fed.at_ms[-1] - SETTLING_MS
    positions = [[held.get(Partition(*place), 0) for _, held in polls] for place in PLACES]
    reached = np.maximum.accumulate([as_of for _, as_of in answers])
    counted: list[tuple[float, int]] = []
    answered: list[tuple[float, int]] = []
    after: list[tuple[float, int]] = []
    for tick, ts in enumerate(fed.at_ms):
        if not first_ms <= ts <= last_ms:
            continue
        before, ends = fed.ends[tick], fed.ends[tick + 1]
        for place, (begin, end) in enumerate(zip(before, ends, strict=True)):
            if end > begin:
                poll = bisect_left(positions[place], end)
                counted.append((polls[min(poll, len(polls) - 1)][0] - ts, end - begin))
        answer = min(int(np.searchsorted(reached, ts, side="right")), len(answers) - 1)
        answered.append((answers[answer][0] - ts, sum(ends) - sum(before)))
        after.append((answers[answer][0] - (ts // 1000 + 1) * 1000, sum(ends) - sum(before)))
    return _each(counted), _each(answered), _each(after)


def _each(weighted: Sequence[tuple[float, int]]) -> Delays:
    return np.repeat([delay for delay, _ in weighted], [count for _, count in weighted]).astype(np.float64)


def _percentiles(delays: Delays) -> tuple[float, float, float]:
    p50, p99 = np.percentile(delays, (50, 99))
    return float(p50), float(p99), float(delays.max())
