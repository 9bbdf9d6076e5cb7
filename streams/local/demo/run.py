"""Run the demo: start the servers, send the sale, show it, and prove at the end that each event counted once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from consumers.errors import SalepulseError
from consumers.kafka.producer import EndOffsets
from streams.local.api_client import ApiClient
from streams.local.demo.frame import SELLING, DemoFrame, DemoSnapshot, History, fetch_snapshot
from streams.local.demo.on_call import on_call
from streams.local.demo.proof import Proof
from streams.local.demo.sale import Sale
from streams.local.embedded.child import ChildEvent, ChildEventKind
from streams.local.embedded.supervisor import Supervisor
from streams.local.stack.plan import StackPlan
from streams.local.stack.stack import Stack, describe_child_event
from streams.model.windows import LENGTH_S, Window
from streams.store.connection import Access, connect
from streams.store.keys import Keys
from streams.store.progress import read_totals, wait_until_counted

REFRESH_S = 1.0
PATIENCE_S = 30.0
COVERING = (Window.M5, Window.M15, Window.H1, Window.H24)
SLACK_S = 90
"""Margin of the window that covers the sale, over the sale's duration."""


class DemoView(Protocol):
    """Display of the demo."""

    def show(self, frame: DemoFrame) -> None:
        """Show a frame, about once a second."""

    def print_line(self, line: str) -> None:
        """Print a line that stays."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of the demo."""

    duration_s: float
    rate: float
    seed: int
    extra_roles: tuple[str, ...] = ()
    """Roles besides workers and the API."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Outcome of the demo."""

    last: Mapping[str, Any]
    """The API's last answer, for a window that covers the whole sale."""
    proof: Proof


class Demo:
    """One run of the demo."""

    def __init__(self, plan: StackPlan, options: DemoOptions, view: DemoView) -> None:
        self._plan = plan
        self._options = options
        self._view = view
        self._api = ApiClient(plan.url)
        self._redis = connect(plan.settings, Access.READ)
        self._keys = Keys(plan.settings.redis_prefix, plan.settings.shards)
        self._history = History()
        self._began = time.monotonic()

    async def play(self, supervisor: Supervisor) -> DemoResult:
        """Play until the sale ends or is stopped and all events are counted."""
        stack = Stack(self._plan, supervisor, lambda _line: None, extra_roles=self._options.extra_roles)
        self._show("starting broker and Redis")
        await stack.start_servers()
        options, stop = self._options, asyncio.Event()
        sale = await asyncio.to_thread(
            Sale.beginning_now, seed=options.seed, rate=options.rate, duration_s=options.duration_s
        )
        selling = asyncio.create_task(sale.play(self._plan.settings.kafka, stop))
        over = asyncio.create_task(supervisor.wait())
        over.add_done_callback(lambda _: stop.set())
        try:
            await stack.start_roles()
            ends = await self._watch(sale, selling, over)
            finishing = asyncio.create_task(self._finish(sale, ends, over))
            for number in (signal.SIGINT, signal.SIGTERM):  # a second signal stops at once
                asyncio.get_running_loop().add_signal_handler(number, finishing.cancel)
            return await finishing
        finally:
            for task in (selling, over):
                task.cancel()
            await self._redis.aclose()

    async def _watch(self, sale: Sale, selling: asyncio.Task[EndOffsets], over: asyncio.Task[None]) -> EndOffsets:
        """Show the sale until it ends; return the end offsets of its messages."""
        while not selling.done():
            if over.done():
                over.result()  # raises if a child failed permanently
            await self._look(sale, "waiting for the first KPIs" if self._no_kpis_yet() else SELLING)
            await asyncio.wait({selling}, timeout=REFRESH_S)
        return selling.result()

    async def _finish(self, sale: Sale, ends: EndOffsets, over: asyncio.Task[None]) -> DemoResult:
        """Wait until all events are counted, and fetch the last answer."""
        waiting = asyncio.create_task(wait_until_counted(self._plan.settings, ends, patience_s=PATIENCE_S))
        try:
            while not waiting.done():
                if over.done():
                    over.result()
                await self._look(sale, "sale ended, counting the rest")
                await asyncio.wait({waiting}, timeout=REFRESH_S / 2)
            waiting.result()
        finally:
            waiting.cancel()
        window = _covering(time.time() - sale.season.start_ms / 1000)
        last = await self._last(sale, window)
        await self._look(sale, "done")
        totals = await read_totals(self._redis, self._keys)
        return DemoResult(last, Proof.of(sale.counts, totals, last["values"]["gmv"]))

    async def _last(self, sale: Sale, window: Window) -> Mapping[str, Any]:
        """The API's answer once its as-of has passed the last event, when all partitions are idle."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            status, answer = await self._api.get("/api/v1/kpis", window=window.value)
            if status == 200 and answer["as_of"] > sale.counts.newest_ms:
                return dict(answer)
            await self._look(sale, "sale ended, waiting for the last answer")
            await asyncio.sleep(REFRESH_S / 4)
        raise SalepulseError(f"the API at {self._plan.url} did not reach the end of the sale within {PATIENCE_S:g} s")

    def _no_kpis_yet(self) -> bool:
        return not self._history.trends["gmv"]

    async def _look(self, sale: Sale, phase: str) -> None:
        """Fetch a snapshot and show it."""
        snapshot = await fetch_snapshot(self._api, sale.promotion_id)
        if snapshot is not None:
            self._history.see(snapshot, sale.incident_ms[0])
        counted = await read_totals(self._redis, self._keys)
        self._show(phase, sale=sale, snapshot=snapshot, counted=sum(counted.events.values()))

    def _show(
        self, phase: str, *, sale: Sale | None = None, snapshot: DemoSnapshot | None = None, counted: int = 0
    ) -> None:
        settings, now_ms = self._plan.settings, int(time.time() * 1000)
        produced = sale.counts.distinct if sale else 0
        produced_rate, counted_rate = self._history.count(time.monotonic(), produced, counted)
        self._view.show(
            DemoFrame(
                phase=phase,
                url=self._plan.url,
                elapsed_s=0 if sale is None else (now_ms - sale.config.start_ms) / 1000,
                duration_s=self._options.duration_s,
                now_ms=now_ms,
                snapshot=snapshot,
                history=self._history,
                incident=self._history.incident(sale, snapshot, now_ms) if sale else None,
                produced=produced,
                counted=counted,
                produced_rate=produced_rate,
                counted_rate=counted_rate,
                currency=settings.currency,
                currency_exponent=settings.money_exponent,
            )
        )


async def play(plan: StackPlan, options: DemoOptions, view: DemoView) -> DemoResult | None:
    """Run the demo. None if it was stopped before the proof."""

    def on_event(event: ChildEvent) -> None:
        line = describe_child_event(event)
        if line and event.kind is not ChildEventKind.READY:
            view.print_line(line)

    result = None
    async with on_call(plan, view.print_line) as plan_with_on_call, Supervisor(on_event=on_event) as supervisor:
        try:
            result = await Demo(plan_with_on_call, options, view).play(supervisor)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
    return result


def _covering(seconds: float) -> Window:
    """The shortest window from 5m on that covers the sale."""
    return next((window for window in COVERING if LENGTH_S[window] >= seconds + SLACK_S), COVERING[-1])
