"""A simulated live sale, counted by a worker and evaluated by `salepulse alerts`, with its notifications."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx

from alerts.rules.loader import default_text
from consumers.kafka.producer import KeyedProducer
from consumers.settings import Clock
from consumers.topics import Topic
from streams.local.embedded.child import always_ready
from streams.local.embedded.ports import free_port
from streams.local.stack.plan import environment
from streams.local.stack.secrets import secrets_for_children, write_secrets
from streams.simulate import Season, SimulationConfig
from streams.simulate.config import StockPlan
from streams.simulate.sending import SendingPace, send_batches
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.servers import Server
from tests.support.stack import REPOSITORY, Shop, stack

SECRET = "whsec_" + "c2FsZXB1bHNl" * 4
PAST_S = 660
"""The rules need ten minutes to learn."""
_MADE_S = 60
_LEAD = 8 * PAST_S / _MADE_S
"""Writing and counting the past takes less than eight times as long as generating it."""


@dataclass
class Watched:
    """The running processes."""

    shop: Shop
    chat: HttpReceiver
    alerts: Server
    began_ms: int
    """Start of the live part of the sale, epoch ms."""
    seen: set[int] = field(default_factory=set)

    @property
    def received(self) -> list[dict[str, Any]]:
        """Each notice as received: `type`, `data`."""
        return [got.json for got in self.chat.requests if got.path == "/hook"]

    @property
    def signs_of_life(self) -> int:
        """Number of evaluations."""
        return sum(got.path == "/alive" for got in self.chat.requests)

    def pages(self, owner: str) -> list[str]:
        """Notices of a category in order: `conversion-drop firing`."""
        return [
            f"{one['data']['rule']} {one['type'].removeprefix('alert.')}"
            for one in self.received
            if one["data"]["category"] == owner
        ]

    def all_over(self, owner: str) -> bool:
        """Whether every page of a category was resolved."""
        last = {one["data"]["page"]: one["type"] for one in self.received if one["data"]["category"] == owner}
        return bool(last) and set(last.values()) == {"alert.resolved"}

    @property
    def summaries(self) -> list[str]:
        """All notices as text."""
        return [f"{one['type']}: {one['data']['summary']}" for one in self.received]

    async def until(self, what: str, condition: Callable[[], object], within_s: float) -> float:
        """Wait for a condition; return the duration."""
        began = time.monotonic()
        while not condition():
            assert self.alerts.running, self.log
            assert time.monotonic() - began < within_s, f"{what}: received {self.summaries} {self.log}"
            await anyio.sleep(0.1)
        return time.monotonic() - began

    @property
    def log(self) -> str:
        return self.alerts.log_path.read_text()[-4000:]

    async def until_leading(self, within_s: float = 60) -> None:
        """Wait for an evaluation of the live part."""

        def is_current() -> bool:
            try:
                lines = httpx.get(f"http://{self.alerts.address}/metrics").text.splitlines()
            except httpx.TransportError:  # it has not started yet
                return False
            (as_of,) = [line for line in lines if line.startswith("salepulse_alerts_as_of_seconds ")]
            return time.time() - float(as_of.rpartition(" ")[2]) < 5

        await self.until("no evaluation is of the present", is_current, within_s)


@contextlib.asynccontextmanager
async def watched_shop(
    broker: Server,
    store: Server,
    folder: Path,
    *,
    incidents: Sequence[str] = (),
    rate: float = 250,
    also: Sequence[Mapping[str, str]] = (),
    **changes: Any,
) -> AsyncIterator[Watched]:
    """`incidents`: as for the simulator, with times since the live part, `+10s`. `also`: more receivers."""
    async with http_receiver() as chat:
        settings = {
            "clock": Clock.WALL,
            "retain": "",
            "partitions": 2,
            "idle_after_s": 5.0,
            "alerts_rules": str(_rules(folder)),
            "alerts_receivers": str(_receivers(folder, chat.url, also)),
            "alerts_heartbeat_url": f"{chat.url}/alive",
            "alerts_heartbeat_s": 1,
            **changes,
        }
        with contextlib.ExitStack() as ending:
            shop = await anyio.to_thread.run_sync(
                lambda: ending.enter_context(stack(broker, store, **settings))  # type: ignore[arg-type]
            )
            # Incidents must not start before the first evaluation.
            lead_s = min(90, await anyio.to_thread.run_sync(lambda: _making_s(rate) * _LEAD)) if incidents else 0
            sale = _sale(rate, incidents, lead_s)
            began_ms = sale.config.start_ms + PAST_S * 1000
            stop = asyncio.Event()
            selling = asyncio.create_task(_sell(shop.settings.bootstrap, sale, stop))
            argv = [sys.executable, "-m", "streams.cli", "alerts"]
            port = free_port()
            alerts = Server("alerts", argv, port, always_ready, folder, env=_environment(shop, folder, port))
            await _until_counted(shop)  # else an alert reports, rightly, that the pipeline is behind
            await anyio.to_thread.run_sync(alerts.start)
            try:
                yield Watched(shop, chat, alerts, began_ms)
            finally:
                stop.set()
                await asyncio.gather(selling, return_exceptions=True)
                await anyio.to_thread.run_sync(alerts.stop)
                await anyio.to_thread.run_sync(ending.close)


def _environment(shop: Shop, folder: Path, metrics_port: int) -> dict[str, str]:
    """With all secrets, as `up` passes them on."""
    secrets = write_secrets(folder, secrets_for_children(shop.settings, {}))
    variables = environment(shop.settings, secrets)
    return {"PYTHONPATH": str(REPOSITORY), **variables, "SALEPULSE_METRICS_PORT": str(metrics_port)}


async def _until_counted(shop: Shop, within_s: float = 150) -> None:
    """Wait until the past is counted."""
    began = time.monotonic()
    while True:
        state = await anyio.to_thread.run_sync(shop.state)
        newest = [held.newest_ms or 0 for name, held in state.partitions.items() if name.topic is not Topic.LOGISTICS]
        if newest and time.time() * 1000 - min(newest) < 3_000:
            return
        assert time.monotonic() - began < within_s, f"counted up to {newest}, at {time.time():.0f}: {shop.log()}"
        await anyio.sleep(0.1)


def _making_s(rate: float) -> float:
    """Duration of generating a part of a sale."""
    began = time.monotonic()
    for batch in _sale(rate, ()).batches(200):
        if batch.arrival_ms > (time.time() - PAST_S + _MADE_S) * 1000:
            break
    return time.monotonic() - began


def _sale(rate: float, incidents: Sequence[str], lead_s: float = 0) -> Season:
    """`lead_s`: time until the live part of the sale, to which times of incidents are relative."""
    start_ms = int((time.time() + lead_s - PAST_S) * 1000)
    specs = []
    for spec in incidents:
        kind, _, rest = spec.partition("@+")
        seconds, _, others = rest.partition("s/")
        specs.append(f"{kind}@+{PAST_S + float(seconds):g}s/{others}")
    config = SimulationConfig.sized(
        seed=5,
        rate=rate,
        duration_s=PAST_S + 240,
        start_ms=start_ms,
        compress=False,
        promotion=None,
        stock=StockPlan(cover=1000, short=0),  # no product is sold out or oversold
        incidents=tuple(specs),
    )
    return Season(config)


async def _sell(bootstrap: str, sale: Season, stop: asyncio.Event) -> None:
    async with KeyedProducer(bootstrap) as producer:
        pace = SendingPace.real_time(sale.config.start_ms)
        await send_batches(producer, sale.batches(200), pace, stop=stop, on_sent=lambda _: None)


def _rules(folder: Path) -> Path:
    """The default rules, with alerts that resolve sooner."""
    path, text = folder / "rules.yaml", default_text().replace("least_effect: 10%", "least_effect: 40%")
    path.write_text(text.replace("    runbook: ", "    keep_firing_for: 3s\n    runbook: "))
    return path


def _receivers(folder: Path, url: str, also: Sequence[Mapping[str, str]]) -> Path:
    path = folder / "receivers.yaml"
    receivers = [{"name": "chat", "type": "webhook", "url": f"{url}/hook", "secret": SECRET}, *also]
    path.write_text(json.dumps({"receivers": receivers, "allow_networks": ["127.0.0.1"]}))
    return path
