"""Kill Redis under load and restart it later: loss, backlog and catch-up time."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from consumers.settings import Clock
from tests.bench.checking import wrong_totals
from tests.bench.feeding import Fed, feeding
from tests.bench.ground import Ground
from tests.bench.recorder import Recorder, Sample
from tests.bench.report import Part, Table, Target, say

BEFORE_S = 8
AFTER_S = 6
WITHIN_S = 1.0
"""Caught up: the backlog is less than the events of this time."""
CATCH_UP_S = 300


def measure(ground: Ground, *, rate: int, away_s: float) -> Part:
    """The whole part. Redis is killed (kill -9) and started again on its append-only file."""
    part = Part("Outage of Redis")
    ground.empty()
    settings = ground.settings(clock=Clock.WALL)
    seconds = BEFORE_S + away_s + AFTER_S
    say(f"outage: {rate:,} events/s, Redis away for {away_s:.0f} s")
    with (
        feeding(ground, rate=rate, seconds=seconds) as feed,
        ground.workers(1, settings) as workers,
        Recorder(ground, workers) as recorder,
    ):
        feed.made()
        feed.go()
        recorder.until_counted(rate * BEFORE_S // 2, CATCH_UP_S)
        killed_s = time.time()
        ground.redis.kill()
        time.sleep(away_s)
        ground.redis.restart()
        back_s = time.time()
        recorder.redis_restarted()
        fed = feed.done()
        recorder.until_counted(fed.total, CATCH_UP_S)
    part.wrong += wrong_totals(ground.totals(settings), fed.types)
    caught_up_s = _caught_up(recorder.samples, fed, back_s, rate) - back_s
    before = [sample.worker_mb for sample in recorder.samples if sample.at_s < killed_s]
    table = Table(f"{rate:,} events/s, one worker, Redis killed and started again", ["figure", "value"])
    table.rows += [
        ["Redis away, s", back_s - killed_s],
        ["events", fed.total],
        ["lost or counted twice", "SOME" if part.wrong else "none"],
        ["caught up after, s", caught_up_s],
        ["worker MB before", max(before, default=0.0)],
        ["worker peak MB", max(sample.worker_mb for sample in recorder.samples)],
    ]
    part.tables.append(table)
    part.runs.append({str(name): value for name, value in table.rows})
    part.targets.append(Target("worker memory, outage", float(table.rows[-1][1]), "MB", 500))  # type: ignore[arg-type]
    return part


def _caught_up(samples: Sequence[Sample], fed: Fed, since_s: float, rate: int) -> float:
    """When, after `since_s`, everything was counted but for what came in just before."""
    ticks_s, counts = np.array(fed.at_ms) / 1000, np.array(fed.counts())
    for sample in samples:
        produced = counts[max(0, int(np.searchsorted(ticks_s, sample.at_s, side="right")) - 1)]
        if sample.at_s > since_s and sample.counted >= produced - rate * WITHIN_S:
            return sample.at_s
    return float("nan")
