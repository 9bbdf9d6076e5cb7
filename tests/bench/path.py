"""Latency of a conversion drop from Kafka to the receiver, and of its end: seconds at every hop, on real servers.

Broker, Redis, one worker, `serve`, `salepulse alerts` with the default rules, and Alertmanager with the configuration
of `deploy/`, which posts to the receiver of `deploy/`. Each hop is sampled every 50 ms from outside; the receiver
records its own times.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.topics import Topic
from streams.clock import now_ms
from streams.local.stack.plan import temporary_data_dir
from tests.alerts.watched_shop import Watched, watched_shop
from tests.bench.ground import BenchError, Ground
from tests.bench.report import Part, Table, say
from tests.deploy.alerting import deployed_alertmanager, received, receiver
from tests.support.alertmanager import COMMANDS
from tests.support.empty_broker import empty_broker
from tests.support.servers import Server

EVERY_S = 0.05
AFTER_S, LASTS_S = 25, 20
"""Seconds of live sale before the drop, and length of the drop."""
INCIDENT = f"conversion_drop@+{AFTER_S}s/{LASTS_S}s:size=0.8,stage=order"
RATE = 500
"""Events per second, about six of them orders."""
GIVEN_UP_AFTER_S = 240
_FIRST_S = 1000


@dataclass(frozen=True, slots=True)
class Hop:
    """One stage of the way, and when it was come to."""

    name: str
    consists_of: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one alert, there and back; epoch ms."""

    began_ms: int
    hops: Sequence[Hop]
    ended_ms: int
    ending: Sequence[Hop]
    page: dict[str, Any]
    """The first notification of the receiver, from Alertmanager."""


def measure(ground: Ground) -> Part:
    """The whole part."""
    if not any(map(shutil.which, COMMANDS)):
        raise BenchError("there is no Alertmanager here: apt-get install prometheus-alertmanager")
    part = Part("The way of an alert")
    empty_broker(ground.broker.bootstrap)
    ground.empty_redis()
    say(f"path: a drop of {LASTS_S} s, from Kafka to a receiver behind Alertmanager")
    with (
        temporary_data_dir() as folder,
        receiver(folder) as webhook,
        deployed_alertmanager(folder, webhook.port) as manager,
    ):
        way = asyncio.run(_way(ground, folder, webhook, manager))
    labels = way.page["alerts"][0]["labels"]
    there = f"{labels['alertname']} ({labels['severity']}): s since its beginning"
    for title, since_ms, hops in ((there, way.began_ms, way.hops), ("s since its end", way.ended_ms, way.ending)):
        part.tables.append(_table(title, since_ms, hops))
        part.runs.append({"way": title, **{hop.name: (hop.at_ms - since_ms) / 1000 for hop in hops}})
    return part


def _table(title: str, since_ms: int, hops: Sequence[Hop]) -> Table:
    table, before_ms = Table(title, ["hop", "s", "of it here", "consists of"]), since_ms
    for hop in hops:
        table.rows.append([hop.name, (hop.at_ms - since_ms) / 1000, (hop.at_ms - before_ms) / 1000, hop.consists_of])
        before_ms = max(before_ms, hop.at_ms)
    return table


async def _way(ground: Ground, folder: Path, webhook: Server, manager: Server) -> Way:
    to = {"name": "alertmanager", "type": "alertmanager", "url": f"http://{manager.address}"}
    options = {"incidents": [INCIDENT], "also": [to], "alerts_rules": ""}
    async with (
        watched_shop(ground.broker, ground.redis, folder, rate=RATE, **options) as watched,
        httpx.AsyncClient(timeout=5) as client,
    ):
        observer = _Observer(watched, client, webhook, manager)
        try:
            async with asyncio.timeout(GIVEN_UP_AFTER_S):
                return await observer.follow()
        except TimeoutError:
            missing = "; ".join(sorted(observer.awaited))
            raise BenchError(f"not within {GIVEN_UP_AFTER_S} s: {missing}\n{watched.log}") from None


class _Observer:
    """Looks at every hop until what it waits for is there."""

    def __init__(self, watched: Watched, client: httpx.AsyncClient, webhook: Server, manager: Server) -> None:
        self._watched, self._client, self._webhook, self._manager = watched, client, webhook, manager
        self.awaited: set[str] = set()
        """What was not found yet."""
        self._began_ms = watched.began_ms + AFTER_S * 1000
        self._ended_ms = self._began_ms + LASTS_S * 1000

    async def follow(self) -> Way:
        """From the beginning of the drop until the receiver knows that it is over."""
        if now_ms() > self._began_ms:
            raise BenchError("the past of the sale took too long to be counted: the drop has begun")
        second_ms = self._began_ms + _FIRST_S
        asked = (
            self._on_the_broker(second_ms),
            self._when("counted", lambda: self._counted(second_ms)),
            self._when("answered", lambda: self._answered(second_ms)),
            self._when("firing in the API", self._firing),
            self._when("firing in Alertmanager", self._held),
            self._when("firing notified", lambda: self._notification("firing")),
        )
        (broker_ms, _), (counted_ms, _), (answered_ms, _), (api_ms, _), (held_ms, _), (_, page) = await asyncio.gather(
            *asked
        )
        mine = page["body"]["alerts"][0]["annotations"]["fingerprint"]
        alert = await self._alert(mine)
        (api_over_ms, _), (gone_ms, _), (_, end) = await asyncio.gather(
            self._when("over in the API", lambda: self._firing(mine, there=False)),
            self._when("over in Alertmanager", lambda: self._held(mine, there=False)),
            self._when("end notified", lambda: self._notification("resolved", mine)),
        )
        resolved = await self._alert(mine)
        return Way(
            self._began_ms,
            [
                Hop("its first second is on the broker", "that second itself, producing", broker_ms),
                Hop("counted", "gathering of a batch (0.2 s), counting, Redis", counted_ms),
                Hop("in an answer of the API", "the slowest of the other partitions; a look every 0.1 s", answered_ms),
                Hop("decided", "2 s until a second is complete, evidence enough", int(alert["fired_at"])),
                Hop("fires in the API", "one write to Redis", api_ms),
                Hop("taken by Alertmanager", "the outbox, one POST", held_ms),
                Hop("notified", "`group_wait` of 10 s", _ms(page["at"])),
            ],
            self._ended_ms,
            [
                Hop(
                    "decided that it is over",
                    "evidence enough, `keep_firing_for`, 1 min",
                    int(resolved["resolved_at"]),
                ),
                Hop("over in the API", "one write to Redis", api_over_ms),
                Hop("taken by Alertmanager", "the outbox, one POST", gone_ms),
                Hop("notified", "rest of `group_interval`, 1 min", _ms(end["at"])),
            ],
            page["body"],
        )

    async def _when(self, what: str, found: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
        """When something was first found, and what."""
        self.awaited.add(what)
        while True:
            with contextlib.suppress(httpx.TransportError):
                if result := await found():
                    self.awaited.discard(what)
                    say(f"path: {what}")
                    return now_ms(), result
            await asyncio.sleep(EVERY_S)

    async def _on_the_broker(self, ts_ms: int) -> tuple[int, None]:
        """When clicks of this time on can be read."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._watched.shop.settings.bootstrap, fetch_max_wait_ms=20)
        await consumer.start()
        try:
            numbers = range(self._watched.shop.settings.partitions)
            consumer.assign(places := [TopicPartition(Topic.CLICKS, number) for number in numbers])
            await consumer.seek_to_end(*places)
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    if any(msgspec.json.decode(record.value)["ts"] >= ts_ms for record in records):
                        return now_ms(), None
        finally:
            await consumer.stop()

    async def _counted(self, ts_ms: int) -> bool:
        state = await asyncio.to_thread(self._watched.shop.state)
        newest = [held.newest_ms or 0 for name, held in state.partitions.items() if name.topic is Topic.CLICKS]
        return min(newest, default=0) >= ts_ms

    async def _answered(self, ts_ms: int) -> bool:
        answer = (await self._client.get(f"{self._watched.shop.api.url}/api/v1/kpis?window=1m")).json()
        return int(answer.get("as_of") or 0) >= ts_ms

    async def _alert(self, fingerprint: str) -> dict[str, Any]:
        found = await self._client.get(f"{self._watched.shop.api.url}/api/v1/alerts")
        return next(one for one in found.json()["alerts"] if one["fingerprint"] == fingerprint)

    async def _firing(self, fingerprint: str = "", *, there: bool = True) -> bool:
        """Whether an alert, or any of the shop's, is (or is not) among those that fire, by the API."""
        found = await self._client.get(f"{self._watched.shop.api.url}/api/v1/alerts?state=firing")
        named = [one for one in found.json()["alerts"] if fingerprint in ("", one["fingerprint"])]
        return bool([one for one in named if one["category"] == "business"]) is there

    async def _held(self, fingerprint: str = "", *, there: bool = True) -> bool:
        """The same by Alertmanager."""
        found = (await self._client.get(f"http://{self._manager.address}/api/v2/alerts")).json()
        return bool([one for one in found if fingerprint in ("", one["annotations"]["fingerprint"])]) is there

    async def _notification(self, status: str, fingerprint: str = "") -> dict[str, Any] | None:
        """The first message to the receiver of this."""
        for message in received(self._webhook):
            for alert in message["body"]["alerts"]:
                if alert["status"] == status and fingerprint in ("", alert["annotations"]["fingerprint"]):
                    return message
        return None


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
