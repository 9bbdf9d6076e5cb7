"""Kill processes repeatedly under load: is any event lost or counted twice?"""

from __future__ import annotations

import contextlib
import time
from random import Random

from streams.model.windows import Window
from tests.bench.checking import wrong_totals
from tests.bench.facts import Facts, differences
from tests.bench.ground import Ground, require_running
from tests.bench.loading import load
from tests.bench.recorder import Recorder
from tests.bench.report import Part, Table, say
from tests.bench.workload import events

WORKERS = 2
EVENTS_A_KILL = 20_000
PAUSE_S = (0.1, 6.0)
"""Random time between kills, so that they hit starts, rebalances, batches and compactions."""
REDIS_EVERY = 10
"""One in this many kills, at random, is of Redis instead of a worker."""
SESSION_S = 6
CATCH_UP_S = 300


def measure(ground: Ground, *, kills: int, seed: int = 1) -> Part:
    """The whole part: `kills` times kill -9 of one of two workers, or of Redis on its append-only file."""
    part, chance = Part("Kills"), Random(seed)
    ground.empty()
    settings = ground.settings(session_timeout_s=SESSION_S)
    say(f"kills: {kills}, seed {seed}")
    facts, killed, total = Facts(ground.folder), {"a worker": 0, "Redis": 0}, kills * EVENTS_A_KILL
    began = time.monotonic()
    with contextlib.ExitStack() as stack, contextlib.closing(facts):
        workers = [stack.enter_context(ground.worker(settings)) for _ in range(WORKERS)]
        for number in range(kills):
            load(ground.broker.bootstrap, events(EVENTS_A_KILL, start=number * EVENTS_A_KILL), facts)
            time.sleep(chance.uniform(*PAUSE_S))
            require_running(workers)
            if chance.randrange(REDIS_EVERY) == 0:
                ground.redis.kill()
                time.sleep(chance.uniform(0, 1))
                ground.redis.restart()
                killed["Redis"] += 1
            else:
                workers.pop(chance.randrange(WORKERS)).kill()
                workers.append(stack.enter_context(ground.worker(settings)))
                killed["a worker"] += 1
        with Recorder(ground, workers) as recorder:
            recorder.until_counted(total, CATCH_UP_S)
        facts.done()
        part.wrong += wrong_totals(ground.totals(settings), facts.types)
        part.wrong += differences(settings, facts, (Window.M1, Window.H1), facts.newest_ms)
    table = Table("kill -9 at random moments, two workers, events coming in", ["figure", "value"])
    table.rows += [[f"kills of {what}", times] for what, times in killed.items()]
    table.rows += [
        ["events", total],
        ["seconds", time.monotonic() - began],
        ["lost or counted twice", "SOME" if part.wrong else "none"],
    ]
    part.tables.append(table)
    part.runs.append({str(name): value for name, value in table.rows})
    return part
