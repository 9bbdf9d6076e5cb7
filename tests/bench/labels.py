"""Effect of a million distinct label values on answer age, scrapes, series and memory.

A faulty producer writes a new id into every label of every click, beside regular traffic.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import psutil

from consumers.kafka.producer import KeyedProducer, OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from streams.clock import now_ms
from tests.bench.api import SERIES
from tests.bench.asking import Asker
from tests.bench.checking import wrong_totals
from tests.bench.feeding import feeding
from tests.bench.ground import Ground
from tests.bench.recorder import Recorder, Sample
from tests.bench.report import Part, Table, Target, say
from tests.support.servers import Server

LABELS = ("channel", "region", "category", "campaign", "live_room", "variant")
RATE = 2_000
"""Events per second of the regular traffic."""
BEFORE_S, FLOOD_S, AFTER_S = 10, 20, 30
LOOK_EVERY_S = 0.5
SCRAPE_EVERY_S = 5.0
CATCH_UP_S = 180
_STEPS = 10
"""Faulty events per second."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the server showed."""

    at_s: float
    age_s: float
    """The age of an answer: the clock less its as-of."""
    serve_mb: float
    scrape_ms: float | None
    series: int | None


def measure(ground: Ground, *, values: int) -> Part:
    """The whole part."""
    part, clicks = Part("Distinct label values"), values // len(LABELS)
    ground.empty()
    settings = ground.settings(clock=Clock.WALL)
    say(f"labels: {values:,} values within {FLOOD_S} s, beside {RATE:,} events/s")
    seconds = BEFORE_S + FLOOD_S + AFTER_S
    with feeding(ground, rate=RATE, seconds=seconds, backfill_s=60) as feed, ground.workers(1, settings) as workers:
        backfilled = feed.made()
        with Recorder(ground, workers) as recorder, ground.serve(settings) as server:
            recorder.until_counted(backfilled, CATCH_UP_S)
            with Asker(server) as asker:
                asker.until_ready()
            feed.go()
            with _Watching(server) as watching:
                time.sleep(BEFORE_S)
                began_s = time.time()
                asyncio.run(_flood(ground.broker.bootstrap, clicks))
                over_s = time.time()
                fed = feed.done()
            recorder.until_counted(fed.total + clicks, CATCH_UP_S)
    types = Counter(fed.types)
    types["events,clicks,page_view"] += clicks
    part.wrong += wrong_totals(ground.totals(settings), types)
    title = f"{values:,} values, in {len(LABELS)} labels of {clicks:,} clicks, within {over_s - began_s:.0f} s"
    stretches = {"before": (0.0, began_s), "meanwhile": (began_s, over_s), "after": (over_s, float("inf"))}
    table = Table(title, ["", *stretches])
    found = [_stretch(watching.looks, recorder.samples, *stretch) for stretch in stretches.values()]
    table.rows += [[name, *(one[name] for one in found)] for name in found[0]]
    part.tables.append(table)
    ages = [(round(look.at_s - began_s, 1), round(look.age_s, 2)) for look in watching.looks]
    part.runs.append({"values": values, "ages": ages})
    part.targets += [
        Target("age of answers, max", max(float(one[_AGE] or 0) for one in found[1:]), "s", 10),
        Target("KPI series", max(float(one[_SERIES] or 0) for one in found), "", settings.series_budget),
    ]
    return part


_AGE, _SERIES = "age of answers, max, s", "KPI series, max"


def _stretch(
    looks: Sequence[Look], samples: Sequence[Sample], since_s: float, until_s: float
) -> dict[str, float | None]:
    """The figures of a stretch of time."""
    looks = [look for look in looks if since_s <= look.at_s < until_s]
    samples = [sample for sample in samples if since_s <= sample.at_s < until_s]
    return {
        "age of answers, p50, s": float(np.median([look.age_s for look in looks])),
        _AGE: max(look.age_s for look in looks),
        "scrape, max, ms": max((look.scrape_ms for look in looks if look.scrape_ms is not None), default=None),
        _SERIES: max((look.series for look in looks if look.series is not None), default=None),
        "worker, MB": max(sample.worker_mb for sample in samples),
        "Redis, MB": max(sample.redis_mb for sample in samples),
        "server, MB": max(look.serve_mb for look in looks),
    }


async def _flood(bootstrap: str, clicks: int) -> None:
    """Clicks with a value of their own in every label, in steps, each when it is due."""
    began, steps = time.monotonic(), FLOOD_S * _STEPS
    async with KeyedProducer(bootstrap) as producer:
        for step in range(steps):
            await asyncio.sleep(max(0.0, began + step / _STEPS - time.monotonic()))
            at_ms = now_ms()
            await producer.put(_click(i, at_ms) for i in range(clicks * step // steps, clicks * (step + 1) // steps))
            await producer.flush()


def _click(number: int, at_ms: int) -> OutgoingMessage:
    name = f"flood-{number:06}"
    event = {"event_id": name, "type": "page_view", "ts": at_ms, "user_id": f"u{number}", "session_id": f"s{number}"}
    return OutgoingMessage(Topic.CLICKS, name.encode(), msgspec.json.encode(event | dict.fromkeys(LABELS, name)))


class _Watching:
    """Asks for KPIs twice a second and for /metrics now and then while the block runs."""

    def __init__(self, server: Server) -> None:
        self.looks: list[Look] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)

    def __enter__(self) -> _Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        process, scraped_s = psutil.Process(self._server.pid), 0.0
        with Asker(self._server) as asker:
            while not self._stop.is_set():
                began_s, scrape_ms, series = time.time(), None, None
                if began_s - scraped_s >= SCRAPE_EVERY_S:
                    _, body, scrape_ms = asker.get("/metrics")
                    scraped_s, series = began_s, len(SERIES.findall(body))
                answer = asker.kpis("window=1m")
                if answer is not None:
                    at_s = time.time()
                    memory_mb = process.memory_info().rss / 2**20
                    self.looks.append(Look(at_s, at_s - answer["as_of"] / 1000, memory_mb, scrape_ms, series))
                self._stop.wait(max(0.0, LOOK_EVERY_S - (time.time() - began_s)))
