"""`/metrics`: KPI gauges, monotonic totals, how things stand, and the workers' own metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from starlette.responses import Response

from consumers.events import TYPES
from consumers.rejects import Reason
from consumers.topics import EVENT_TOPICS
from streams.scopes import SCOPES
from streams.serve import gauges
from streams.serve.forecasts import Forecasts
from streams.serve.gauges import Gauges
from streams.serve.live import Live
from streams.serve.promotion_metrics import PromotionCollector
from streams.serve.worker_metrics import worker_families
from streams.store.connection import UNREACHABLE
from streams.store.writer import now_ms
from streams.view.asking import NotAnswerableError, NotReadyError

router = APIRouter(tags=["health"])

_END = b"# EOF\n"
_RENEW_AFTER_MS = 1000
TOTALS = {
    "events": ("Events counted.", ("topic", "type")),
    "rejected": ("Messages refused: they are on the topic dead-letters.", ("topic", "reason")),
    "duplicates": ("Events seen before, and not counted again.", ("topic",)),
}
ZERO_TOTALS = {
    **{f"events,{topic},{name}": 0 for topic in EVENT_TOPICS for name in sorted(TYPES[topic])},
    **{f"rejected,{topic},{reason}": 0 for topic in EVENT_TOPICS for reason in Reason},
    **{f"duplicates,{topic}": 0 for topic in EVENT_TOPICS},
}
"""Every total there can be, so that none appears only with its first increase."""


class StandingCollector(Collector):
    """Everything but the KPI gauges."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.dropped: Gauges | None = None
        """The gauges whose left-out series are told."""

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Never waits: it tells what was last heard."""
        yield from self._totals()
        yield from self._partitions()
        standing = self._live.standing()
        if standing.as_of_ms is not None and standing.age_ms is not None:
            yield _gauge("as_of_seconds", "Event time up to which everything is counted.", standing.as_of_ms / 1000)
            yield _gauge("as_of_age_seconds", "How far that is behind the machine's clock.", standing.age_ms / 1000)
        yield _gauge("partitions_stale", "Partitions without word from their worker.", len(standing.stale))
        yield _gauge("redis_up", "Whether Redis answers.", standing.redis_up)
        yield _gauge("ready", "Whether what is shown is live; see /readyz.", standing.live)
        dropped = GaugeMetricFamily(
            "salepulse_series_dropped", "KPI series that the budget leaves out; the API has them.", labels=["scope"]
        )
        for scope in SCOPES:
            dropped.add_metric([scope], self.dropped.dropped[scope] if self.dropped else 0)
        yield dropped
        yield from worker_families(self._live.workers, now_ms())

    def _totals(self) -> Iterator[Metric]:
        families = {
            name: CounterMetricFamily(f"salepulse_{name}", about, labels=labels)
            for name, (about, labels) in TOTALS.items()
        }
        for name, count in {**ZERO_TOTALS, **self._live.totals}.items():
            kind, *labels = name.split(",")
            if kind in families and len(labels) == len(TOTALS[kind][1]):
                families[kind].add_metric(labels, count)
        yield from families.values()

    def _partitions(self) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily("salepulse_partition_lag", "Records not counted yet.", labels=labels)
        position = GaugeMetricFamily(
            "salepulse_partition_position",
            "Offset up to which records are in the answers of this server.",
            labels=labels,
        )
        for partition, held in sorted(self._live.view.state.partitions.items()):
            if held.lag is not None:
                lag.add_metric([partition.topic, str(partition.number)], held.lag)
            if held.position is not None:
                position.add_metric([partition.topic, str(partition.number)], held.position)
        yield lag
        yield position
        incomplete = GaugeMetricFamily(
            "salepulse_incomplete_since_seconds",
            "Event time from which the history of a partition has a hole: records were lost before they were counted.",
            labels=labels,
        )
        for partition, since_ms in sorted(self._live.incomplete.items()):
            incomplete.add_metric([partition.topic, str(partition.number)], since_ms / 1000)
        yield incomplete


@dataclass(slots=True)
class _Made:
    """Text of the KPI gauges, and what it was made from."""

    as_of_ms: int
    rests_on: tuple[object, ...]
    made_ms: int
    text: bytes = b""


class Exposition:
    """The text of a scrape. The KPI gauges are made at most once for each as-of, whoever scrapes."""

    def __init__(self, live: Live, forecasts: Forecasts) -> None:
        self._live = live
        self._lock = asyncio.Lock()
        self._made: _Made | None = None
        self._collector = StandingCollector(live)
        self._promotions = PromotionCollector(live, forecasts)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        self._registry.register(self._promotions)

    async def text(self, encode: Callable[[Collector], bytes]) -> bytes:
        """Everything, in the format that `encode` writes; others may run between two families."""
        parts = [await self._kpis()]
        for family in self._registry.collect():
            parts.append(encode(_Only(family)).removesuffix(_END))
            await asyncio.sleep(0)
        ends = encode(CollectorRegistry()).endswith(_END)
        return b"".join([*parts, _END if ends else b""])

    async def _kpis(self) -> bytes:
        """The KPI gauges of the newest as-of; none while there is none."""
        async with self._lock:
            try:
                await self._renew()
            except (NotReadyError, NotAnswerableError, RedisError, *UNREACHABLE):
                pass  # what was made last stays, beside metrics that say how old it is
            return self._made.text if self._made else b""

    async def _renew(self) -> None:
        """Make the KPI gauges anew for another as-of, and a second later where only panes before it were corrected."""
        at_ms, state, now = self._live.at_ms, self._live.view.state, now_ms()
        as_of_ms = self._live.view.as_of(at_ms).ms
        if as_of_ms is None:
            self._made = None
            return
        positions = tuple(held.position for held in state.partitions.values())
        made = _Made(as_of_ms, (state.epochs, state.promotions_version, positions), now)
        old = self._made
        if old and old.as_of_ms == as_of_ms and (old.rests_on == made.rests_on or now - old.made_ms < _RENEW_AFTER_MS):
            return
        made.text = await self._make(at_ms, as_of_ms)
        await self._promotions.renew(as_of_ms)
        self._made = made

    async def _make(self, at_ms: int, as_of_ms: int) -> bytes:
        settings, parts = self._live.settings, []
        async with self._live.paused():
            taken = await gauges.take(self._live.view, at_ms, as_of_ms, settings.series_budget, settings.stock_soon_min)
        for family in gauges.text(taken, settings.currency_exponent):
            parts.append(family)
            await asyncio.sleep(0)
        self._collector.dropped = taken
        return "".join(parts).encode()


class _Only(Collector):
    """A registry of one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"salepulse_{name}", about, value=value)


@router.get("/metrics", responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus text, or OpenMetrics for those who accept it."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    exposition: Exposition = request.app.state.exposition
    return Response(await exposition.text(encode), headers={"content-type": content_type})
