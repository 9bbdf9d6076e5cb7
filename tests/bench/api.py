"""Response times of the API and `/metrics` at 30,000 events per second."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from consumers.kafka.producer import OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from tests.bench.asking import Asker
from tests.bench.checking import wrong_totals
from tests.bench.feeding import feeding
from tests.bench.ground import BenchError, Ground
from tests.bench.loading import load
from tests.bench.recorder import Cores, Recorder
from tests.bench.report import Part, Table, Target, say
from tests.bench.workload import SKUS
from tests.support.servers import Server

PATHS = {
    "all": "/api/v1/kpis?scope=all",
    "channel": "/api/v1/kpis?scope=channel",
    "category": "/api/v1/kpis?scope=category",
    "sku, top 50": "/api/v1/top?scope=sku&by=gmv&window=5m&n=50",
}
PROBE = "/healthz"
"""Requires no view: its time is the delay of the event loop and the machine."""
PING = "Redis PING"
"""Requires no salepulse: its time is that of the machine and the client."""
ASK_EVERY_S = 0.05
SCRAPE_EVERY_S = 1.0
ON_PROMOTION = 200
SERIES = re.compile(rb"^salepulse_\w+\{[^}]*window=", re.MULTILINE)
_LEFT_OVER_S = 8
CATCH_UP_S = 180


@dataclass
class _Asked:
    """What came back, by what was asked."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    series: int = 0
    scrape_bytes: int = 0
    failed: list[str] = field(default_factory=list)

    def take(self, what: str, status: int, body: bytes, ms: float) -> None:
        if status != 200:
            self.failed.append(f"{what} answers {status}: {body[:200]!r}")
        self.ms[what].append(ms)


def measure(ground: Ground, *, rate: int, requests: int, backfill_s: int, promotions: int) -> Part:
    """The whole part: `requests` requests without scrapes, then as many with a scrape every second beside them.

    `promotions`: how many of the workload's 40 promotions are defined, and so run.
    """
    part = Part("API")
    ground.empty()
    settings = ground.settings(clock=Clock.WALL)
    seconds = 2 * requests * ASK_EVERY_S + _LEFT_OVER_S
    say(f"api: {requests:,} requests twice, over {backfill_s} s of events")
    load(ground.broker.bootstrap, [_promotions(promotions)])
    with (
        feeding(ground, rate=rate, seconds=seconds, backfill_s=backfill_s) as feed,
        ground.workers(1, settings) as workers,
        Recorder(ground, workers) as recorder,
    ):
        recorder.until_counted(feed.made(), CATCH_UP_S)
        with ground.serve(settings) as server:
            with Asker(server) as asker:
                asker.until_ready()
            feed.go()
            time.sleep(_LEFT_OVER_S / 2)
            quiet, scraped = _Asked(), _Asked()
            with Cores(serve=server.pid) as asked_only:
                _ask(ground, server, requests, quiet)
            with Cores(serve=server.pid) as asked_and_scraped, _Scraper(server, scraped):
                _ask(ground, server, requests, scraped)
        fed = feed.done()
        recorder.until_counted(fed.total, CATCH_UP_S)
    part.wrong += wrong_totals(ground.totals(settings), fed.types) + quiet.failed[:3] + scraped.failed[:3]
    _tell(part, quiet, scraped, f"{rate:,} events/s, {promotions} promotions running")
    cores = {"asked": asked_only.busy["serve"], "asked and scraped": asked_and_scraped.busy["serve"]}
    part.tables.append(Table("Cores that serve keeps busy", list(cores), [list(cores.values())]))
    part.runs.append({"serve_cores": cores})
    return part


def _tell(part: Part, quiet: _Asked, scraped: _Asked, load: str) -> None:
    table = Table(f"At {load}: ms", ["request", "requests", "p50", "p99", "max"])
    everything = [ms for name in PATHS for ms in quiet.ms[name]]
    beside = [ms for name, held in scraped.ms.items() if name in PATHS for ms in held]
    rows = [(f"scope {name}", quiet.ms[name]) for name in PATHS]
    rows += [("all of these", everything), ("all, with a scrape every second", beside)]
    rows += [("/metrics", scraped.ms["/metrics"])]
    rows += [(f"{name}, between them", [*quiet.ms[name], *scraped.ms[name]]) for name in (PROBE, PING)]
    for name, held in rows:
        table.rows.append([name, len(held), *_percentiles(held)])
        part.runs.append({"request": name, "ms": [round(ms, 3) for ms in held]})
    part.tables.append(table)
    part.tables.append(Table("A scrape", ["KPI series", "bytes"], [[scraped.series, scraped.scrape_bytes]]))
    scrapes = scraped.ms["/metrics"]
    part.targets += [
        Target("API p99", float(np.percentile(everything, 99)), "ms", 10),
        Target("scrape p50", float(np.percentile(scrapes, 50)), "ms", 200),
        Target("scrape max", max(scrapes), "ms", 200),
    ]


def _ask(ground: Ground, server: Server, requests: int, asked: _Asked) -> None:
    """Requests of all kinds in turn, twenty a second, each on time however long the last took; probes between them."""
    names = list(PATHS)
    began = time.monotonic()
    with Asker(server) as asker, ground.client() as redis:
        for i in range(requests):
            time.sleep(max(0.0, began + i * ASK_EVERY_S - time.monotonic()))
            name = names[i % len(names)]
            asked.take(name, *asker.get(PATHS[name]))
            time.sleep(max(0.0, began + (i + 0.4) * ASK_EVERY_S - time.monotonic()))
            asked.take(PROBE, *asker.get(PROBE))
            time.sleep(max(0.0, began + (i + 0.7) * ASK_EVERY_S - time.monotonic()))
            pinged = time.perf_counter()
            redis.ping()
            asked.ms[PING].append((time.perf_counter() - pinged) * 1000)


class _Scraper:
    """Asks for /metrics every second while the block runs."""

    def __init__(self, server: Server, asked: _Asked) -> None:
        self._server, self._asked = server, asked
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise BenchError(f"scraping failed: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            with Asker(self._server) as asker:
                while not self._stop.is_set():
                    began = time.monotonic()
                    status, body, ms = asker.get("/metrics")
                    self._asked.take("/metrics", status, body, ms)
                    self._asked.series, self._asked.scrape_bytes = len(SERIES.findall(body)), len(body)
                    self._stop.wait(max(0.0, SCRAPE_EVERY_S - (time.monotonic() - began)))
        except Exception as error:
            self._failure = error


def _promotions(count: int) -> list[OutgoingMessage]:
    """Some promotions that the workload names, all running, so that every window has something in it."""
    now_ms, made = int(time.time() * 1000), []
    for i in range(count):
        name = f"promo-{i:03}"
        definition = {
            "promotion_id": name,
            "name": name,
            "starts_at": now_ms - 3_600_000,
            "ends_at": now_ms + 3_600_000,
            "timezone": "UTC",
            "skus": [f"sku-{(i * ON_PROMOTION + at) % SKUS:05}" for at in range(ON_PROMOTION)],
        }
        made.append(OutgoingMessage(Topic.PROMOTIONS, name.encode(), json.dumps(definition).encode()))
    return made


def _percentiles(held: list[float]) -> tuple[float, float, float]:
    return float(np.percentile(held, 50)), float(np.percentile(held, 99)), max(held)
