"""`/metrics`: KPI gauges, totals, and the status of answers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version

import structlog
from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from starlette.responses import Response

from consumers.contract.events import DROPPABLE_FIELDS, EVENT_TYPES
from consumers.contract.rejection import RejectionReason
from consumers.sources.envelopes import PassedOver
from consumers.topics import EVENT_TOPICS, Feeds, Topic, TopicNames
from streams.model.negative_amounts import negative_amounts
from streams.serve.connections import Connections
from streams.serve.gauges import GaugesQuery, GaugeText
from streams.serve.http_limits import HttpLimit
from streams.serve.live import Live
from streams.serve.promotion_metrics import PromotionCollector
from streams.store.connection import UNREACHABLE
from streams.store.refusal_kinds import RedisRefusal
from streams.view.answer_status import NotLiveReason
from streams.view.comparer import Baselines
from streams.view.forecasts import Forecasts
from streams.view.query import NotAnswerableError, NotReadyError

log = structlog.get_logger()

router = APIRouter(tags=["health"])

_PATIENCE_S = 0.15
"""How long a scrape waits for gauges of the newest as-of, if there are recent ones."""
_PATIENCE_OLD_S = 3.0
"""How long a scrape waits if the gauges are older than `_RECENT_MS`; the as-of is exported with them."""
_PATIENCE_FIRST_S = 3.0
"""How long a scrape waits if there are no gauges yet: less than a scrape timeout. Other metrics are served without."""
_RECENT_MS = 5_000
"""Gauges whose as-of is at most this far behind the newest are recent."""
SERVE_PROCESS = "salepulse_serve"
"""Prefix of the process metrics of this server."""
TOTALS = {
    "events": ("Events counted.", ("topic", "type")),
    "rejected": ("Messages rejected to the topic dead-letters.", ("topic", "reason")),
    "records_lost": (
        "Records that could not be decoded; their batch is a dead letter.",
        ("topic",),
    ),
    "duplicates": ("Duplicate events, counted once.", ("topic",)),
    "labels_dropped": (
        "Optional labels over 128 characters, dropped from their events.",
        ("topic", "field"),
    ),
    "mapped": ("Messages in the shop's own format that made an event.", ("topic",)),
    "passed_over": (
        "Messages in the shop's own format that made no event and were not rejected.",
        ("topic", "reason"),
    ),
}
ZERO_TOTALS = {
    **{f"events,{topic},{name}": 0 for topic in EVENT_TOPICS for name in sorted(EVENT_TYPES[topic])},
    **{f"rejected,{topic},{reason}": 0 for topic in EVENT_TOPICS for reason in RejectionReason},
    **{f"records_lost,{topic}": 0 for topic in EVENT_TOPICS},
    **{f"duplicates,{topic}": 0 for topic in EVENT_TOPICS},
    **{f"labels_dropped,{topic},{name}": 0 for topic in EVENT_TOPICS for name in DROPPABLE_FIELDS[topic]},
}
"""All possible totals, so that each is exported before its first increase."""


class ServerCollector(Collector):
    """Everything but the KPI gauges."""

    def __init__(self, live: Live, connections: Connections, gauges: GaugeText | None = None) -> None:
        self._live = live
        self._connections = connections
        self._gauges = gauges
        """The KPI gauges of the same scrape."""

    def describe(self) -> Iterable[Metric]:
        """Collects nothing at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Collects the last known state, without waiting."""
        yield from self._totals()
        yield from self._partitions()
        as_of_ms = self._gauges.as_of_ms if self._gauges else None
        answer_status, now = self._live.answer_status(as_of_ms), self._live.now_ms()
        as_of_ms = answer_status.as_of_ms if as_of_ms is None else as_of_ms
        if as_of_ms is not None:
            yield _gauge("as_of_seconds", "Event time up to which everything is counted.", as_of_ms / 1000)
            yield _gauge("as_of_age_seconds", "How far the as-of is behind the clock.", max(0, now - as_of_ms) / 1000)
        paused = GaugeMetricFamily(
            "salepulse_topic_stopped",
            "Whether a topic is paused because most of its first messages violate the contract.",
            labels=["topic"],
        )
        for topic in (*self._live.state.feeds, Topic.PROMOTIONS):
            paused.add_metric([topic], any(partition.topic == topic for partition in self._live.state.paused))
        yield paused
        yield _gauge(
            "server_clock_offset_seconds",
            "How far this machine's clock is ahead of Redis's; negative if behind.",
            self._live.clock_ahead_ms / 1000,
        )
        yield _gauge("partitions_stale", "Partitions without a recent heartbeat of a worker.", len(answer_status.stale))
        yield _gauge("redis_up", "Whether Redis answers.", answer_status.redis_up)
        yield _gauge("ready", "Whether answers are live; see /readyz.", answer_status.live)
        not_live = GaugeMetricFamily("salepulse_not_live", "1 for each reason why it is not ready.", labels=["reason"])
        for code in NotLiveReason:
            not_live.add_metric([code], code in answer_status.codes)
        yield not_live
        refused = self._live.redis_metrics.refused
        writes_refused = GaugeMetricFamily(
            "salepulse_redis_refuses_writes", "1 for the reason why Redis refuses writes.", labels=["reason"]
        )
        for refusal in RedisRefusal:
            writes_refused.add_metric([refusal], refused is not None and refused.why is refusal)
        yield writes_refused
        dropped = GaugeMetricFamily(
            "salepulse_series_dropped",
            "KPI series over the setting series_budget; the API has them.",
            labels=["scope"],
        )
        for scope in self._live.model.dimensions:
            dropped.add_metric([scope], self._gauges.dropped.get(scope, 0) if self._gauges else 0)
        yield dropped
        yield _build_info()
        yield from self._connections_of_http()
        yield _topic_info(self._live.settings.topic_names)

    def _connections_of_http(self) -> Iterator[Metric]:
        yield _gauge("http_connections", "Open connections to this server.", len(self._connections))
        limited = CounterMetricFamily(
            "salepulse_http_refused",
            "Connections and requests rejected or closed to protect other clients.",
            labels=["reason"],
        )
        for reason in HttpLimit:
            limited.add_metric([reason], self._connections.limit_counts[reason])
        yield limited

    def _totals(self) -> Iterator[Metric]:
        families = {
            name: CounterMetricFamily(f"salepulse_{name}", about, labels=labels)
            for name, (about, labels) in TOTALS.items()
        }
        zero = {**ZERO_TOTALS, **_zero_totals_of_sources(self._live.state.feeds)}
        for name, count in {**zero, **self._live.redis_metrics.totals}.items():
            kind, *labels = name.split(",")
            if kind in families and len(labels) == len(TOTALS[kind][1]):
                families[kind].add_metric(labels, count)
        yield from families.values()
        yield _negative_amounts(self._live.redis_metrics.totals)

    def _partitions(self) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily("salepulse_partition_lag", "Records waiting to be counted.", labels=labels)
        position = GaugeMetricFamily(
            "salepulse_partition_position",
            "Offset up to which records are in the answers of this server.",
            labels=labels,
        )
        for partition, state in sorted(self._live.state.existing_partitions.items()):
            if state.lag is not None:
                lag.add_metric([partition.topic, str(partition.number)], state.lag)
        for name, offset in sorted(self._live.snapshot.positions.items()):
            position.add_metric(name.split("/"), offset)
        stuck = GaugeMetricFamily(
            "salepulse_partition_stuck_seconds",
            "How long the position of a partition has not advanced while records wait; 0 up to a minute.",
            labels=labels,
        )
        stuck_positions = self._live.stuck()
        for partition in sorted({*self._live.state.existing_partitions, *stuck_positions}):
            for_s = stuck_positions[partition].unmoved_s if partition in stuck_positions else 0
            stuck.add_metric([partition.topic, str(partition.number)], for_s)
        yield lag
        yield position
        yield stuck
        incomplete = GaugeMetricFamily(
            "salepulse_incomplete_since_seconds",
            "Event time from which a partition lost records before they were counted.",
            labels=labels,
        )
        for partition, since_ms in sorted(self._live.state.incomplete.items()):
            incomplete.add_metric([partition.topic, str(partition.number)], since_ms / 1000)
        yield incomplete


class Exposition:
    """The text of a scrape. KPI gauges are precomputed, and computed at most once at a time."""

    def __init__(self, live: Live, forecasts: Forecasts, connections: Connections) -> None:
        self._live = live
        self._connections = connections
        settings = live.settings
        baselines = Baselines(settings.timezone)
        self._ask = GaugesQuery(
            settings.series_budget, settings.money_exponent, settings.stock_soon_min, forecasts, baselines
        )
        self._process = ProcessCollector(SERVE_PROCESS, registry=None)
        self._making: asyncio.Task[None] | None = None
        self._last: GaugeText | None = None
        live.precompute(self._ask)  # so that they are ready at the first scrape

    async def text(self, encode: Callable[[Collector], bytes]) -> bytes:
        """All metrics, in the format of `encode`."""
        gauges = await self._gauges()
        return await asyncio.to_thread(self._text, encode, gauges)

    def _text(self, encode: Callable[[Collector], bytes], gauges: GaugeText | None) -> bytes:
        registry = CollectorRegistry()
        registry.register(ServerCollector(self._live, self._connections, gauges))
        registry.register(self._process)
        if gauges is not None:
            registry.register(
                PromotionCollector(
                    gauges.running_promotions, self._live.settings.money_exponent, self._live.model.units
                )
            )
        return (gauges.text if gauges else b"") + encode(registry)

    async def _gauges(self) -> GaugeText | None:
        """The KPI gauges of the newest as-of; older ones if these take long; None without an as-of."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._renew())
        patience_s = _PATIENCE_S if self._is_recent() else _PATIENCE_OLD_S if self._last else _PATIENCE_FIRST_S
        await asyncio.wait({self._making}, timeout=patience_s)
        return self._last

    async def _renew(self) -> None:
        try:
            self._last = await self._live.get_answer(self._ask)
        except NotReadyError:
            self._last = None
        except (NotAnswerableError, RedisError, *UNREACHABLE):
            pass  # keep the last gauges; other metrics show their age

    def _is_recent(self) -> bool:
        newest_ms = self._live.newest_ms() if self._last else None
        return self._last is not None and newest_ms is not None and newest_ms - self._last.as_of_ms <= _RECENT_MS


def _zero_totals_of_sources(feeds: Feeds) -> dict[str, int]:
    """All possible totals of topics in the shop's own format."""
    names: list[str] = []
    for topic in feeds:
        if not isinstance(topic, Topic):
            names += [
                f"mapped,{topic}",
                f"records_lost,{topic}",
                *(f"rejected,{topic},{why}" for why in RejectionReason),
            ]
            names += [f"passed_over,{topic},{why}" for why in PassedOver]
    return dict.fromkeys(names, 0)


def _negative_amounts(totals: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "salepulse_negative_amounts",
        "Orders rejected for a negative amount, a pricing error of the shop, by channel and coupon. The pairs with the "
        "most; all others have rest=true.",
        labels=["channel", "coupon", "rest"],
    )
    amounts = negative_amounts(totals)
    for pricing_labels, count in amounts.by.items():
        family.add_metric([pricing_labels.channel, pricing_labels.coupon, ""], count)
    family.add_metric(["", "", "true"], amounts.rest)
    return family


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"salepulse_{name}", about, value=value)


@functools.cache
def _build_info() -> Metric:
    info = GaugeMetricFamily("salepulse_build_info", "Always 1; the version.", labels=["version"])
    info.add_metric([version("salepulse")], 1)
    return info


def _topic_info(names: TopicNames) -> Metric:
    """Maps logical topic names, used in labels, to names on the broker."""
    info = GaugeMetricFamily(
        "salepulse_topic_info",
        "Always 1; the name of each topic on the broker. Elsewhere, `topic` is the logical name.",
        labels=["topic", "broker_topic"],
    )
    for topic in Topic:
        info.add_metric([topic, names.on_broker(topic)], 1)
    return info


@router.get("/metrics", responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus text, or OpenMetrics if the client accepts it."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    exposition: Exposition = request.app.state.exposition
    return Response(await exposition.text(encode), headers={"content-type": content_type})
