"""Precomputed answers are of one as-of, never go back, and do not delay other queries."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import ClassVar

import anyio
import httpx
import pytest

from streams.model.windows import Window
from streams.serve.live import Live
from streams.settings import Settings
from streams.view.cached_queries import ALWAYS_HOT, EachValueQuery, OneValueQuery
from streams.view.precomputed import STAYS_HOT_S, AnswerSnapshot, HotQueries
from streams.view.query import KpiQuery
from streams.view.rolling import RollingView
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, at, click, client, paid, shop

pytestmark = pytest.mark.anyio

QUERIES = (
    {"window": "1m"},
    {"window": "24h"},
    {"scope": "channel"},
    {"window": "15m", "scope": "channel", "value": "web"},
)


async def test_an_answer_is_of_a_single_as_of(settings: Settings) -> None:
    """During ingestion, every answer equals the final answer at its as-of."""
    async with shop(settings) as made, client(settings) as api:
        await made.send(CLICKS, click(0))
        await made.send(ORDERS, paid(0, 1))
        await made.attend(1, CLICKS, ORDERS)
        await made.attend(0, LOGISTICS)
        answers: dict[tuple[int, int], dict[str, object]] = {}

        async def ask() -> None:
            while True:
                for i, query in enumerate(QUERIES):
                    answer = (await api.get("/api/v1/kpis", params=query)).json()
                    if "as_of" in answer:
                        answers[answer["as_of"], i] = answer
                await anyio.sleep(0.005)

        async with anyio.create_task_group() as asking:
            asking.start_soon(ask)
            for second in range(1, 60):
                await made.send(CLICKS, *(click(second + k / 10, user=f"u{second}", channel="web") for k in range(3)))
                await made.send(ORDERS, paid(second, second, user=f"u{second}", channel="web"))
                await anyio.sleep(0.03)
            asking.cancel_scope.cancel()
        assert len({as_of for as_of, _ in answers}) > 5
        for (as_of, i), answer in answers.items():
            then = (await api.get("/api/v1/kpis", params={**QUERIES[i], "as_of": as_of})).json()
            content = "items" if "items" in answer else "values"
            assert answer[content] == then[content], (as_of, QUERIES[i])


async def test_as_ofs_of_answers_never_go_back(settings: Settings) -> None:
    """Whether or not a query was used before."""
    async with shop(settings) as made, client(settings) as api:
        await made.send(CLICKS, click(0))
        await made.attend()
        await ready(api)
        last = 0
        for second in range(1, 40):
            await made.send(CLICKS, click(second))
            for query in ({"window": "1m"}, {"scope": "channel", "value": f"never-asked-{second}"}, {"window": "5m"}):
                as_of = (await api.get("/api/v1/kpis", params=query)).json()["as_of"]
                assert as_of >= last
                last = as_of


@dataclass(frozen=True)
class Endless:
    """A query that is answered when the test allows it."""

    let: threading.Event
    began: threading.Event
    warm_s: ClassVar[float] = 0
    newest: ClassVar[bool] = True

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> str:
        self.began.set()
        while not self.let.is_set():
            await anyio.sleep(0.01)
        return "done"


@dataclass(frozen=True)
class EndlessAndSlow(Endless):
    warm_s: ClassVar[float] = 60


@pytest.mark.parametrize("endless", [Endless, EndlessAndSlow])
async def test_queries_are_answered_while_a_snapshot_is_built(open_shop: Shop, endless: type[Endless]) -> None:
    ask = endless(threading.Event(), threading.Event())
    live = Live(open_shop.settings)
    live.precompute(ask)
    await live.start()
    try:

        async def is_live() -> bool:
            return live.answer_status().live

        with anyio.fail_after(15):
            await anyio.to_thread.run_sync(ask.began.wait)
            earlier = await live.get_answer(OneValueQuery(KpiQuery(Window.M5, as_of_ms=at(15)), ""))
            assert earlier.answer.as_of_ms == at(15)
            await soon(is_live)
            newest = await live.get_answer(OneValueQuery(KpiQuery(Window.M5), ""))
            assert newest.answer.as_of_ms == at(60)
            await open_shop.send(CLICKS, click(70))

            async def goes_on() -> bool:
                return (await live.get_answer(OneValueQuery(KpiQuery(Window.M5), ""))).answer.as_of_ms == at(70)

            await soon(goes_on)
            ask.let.set()
            assert await live.get_answer(ask) == "done"
    finally:
        ask.let.set()
        await live.stop()


@dataclass(frozen=True)
class LongCount(EndlessAndSlow):
    """Its answer is the count at its start."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> str:
        views = (await view.one(KpiQuery(Window.M5), "", at_ms)).items[0].values["page_views"]
        await Endless.compute(self, view, at_ms, as_of_ms)
        return str(views)


async def test_a_slow_answer_is_not_used_after_a_late_event(open_shop: Shop) -> None:
    ask = LongCount(threading.Event(), threading.Event())
    live = Live(open_shop.settings)
    live.precompute(ask)

    async def views() -> str:
        counted = live.snapshot.answer(OneValueQuery(KpiQuery(Window.M5), ""))
        return "" if counted is None else str(json.loads(bytes(counted.fields["values"]))["page_views"])

    await live.start()
    try:
        with anyio.fail_after(15):
            await anyio.to_thread.run_sync(ask.began.wait)
            before = await views()
            await open_shop.send(CLICKS, click(30))

            async def is_in() -> bool:
                return await views() not in ("", before)

            await soon(is_in)
            ask.let.set()
            assert await live.get_answer(ask) == await views() == str(int(before) + 1)
    finally:
        ask.let.set()
        await live.stop()


@dataclass(frozen=True)
class Count(Endless):
    """Its answer is the count at its start; it is not precomputed."""

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> str:
        views = (await view.one(KpiQuery(Window.M5), "", at_ms)).items[0].values["page_views"]
        await Endless.compute(self, view, at_ms, as_of_ms)
        return str(views)


async def test_an_answer_started_before_a_late_event_is_not_cached_after_it(open_shop: Shop) -> None:
    ask = Count(threading.Event(), threading.Event())
    live = Live(open_shop.settings)

    async def views() -> str:
        counted = live.snapshot.answer(OneValueQuery(KpiQuery(Window.M5), ""))
        return "" if counted is None else str(json.loads(bytes(counted.fields["values"]))["page_views"])

    await live.start()
    try:
        with anyio.fail_after(15):

            async def is_made() -> bool:
                return await views() != ""

            await soon(is_made)
            before = await views()
            asked = asyncio.create_task(live.get_answer(ask))
            await anyio.to_thread.run_sync(ask.began.wait)
            await open_shop.send(CLICKS, click(30))

            async def is_in() -> bool:
                return await views() not in ("", before)

            await soon(is_in)
            ask.let.set()
            assert await asked == before
            assert await live.get_answer(ask) == await views() == str(int(before) + 1)
    finally:
        ask.let.set()
        await live.stop()


async def test_an_answer_is_cached_while_the_state_does_not_change(open_shop: Shop) -> None:
    live = Live(open_shop.settings)
    await live.start()
    try:

        async def is_live() -> bool:
            return live.answer_status().live

        await soon(is_live)
        ask = EachValueQuery(KpiQuery(Window.M15))
        assert live.snapshot.answer(ask) is None
        answers = await live.get_answer(ask)
        assert live.snapshot.answer(ask) is answers
        read_ms = live.snapshot.read_ms

        async def was_read_again() -> bool:
            return live.snapshot.read_ms > read_ms

        await soon(was_read_again)
        assert await live.get_answer(ask) is answers
    finally:
        await live.stop()


async def test_earlier_as_ofs_are_answered_with_a_partition_without_events(settings: Settings) -> None:
    async with shop(settings) as made, client(settings) as api:
        await made.send(CLICKS, *(click(second) for second in range(30)))
        await made.attend()
        await ready(api)
        await made.writer.heartbeat({LOGISTICS: (None, 5)})

        async def unknown() -> bool:
            return (await api.get("/api/v1/kpis")).status_code == 503

        await soon(unknown)
        answer = await api.get("/api/v1/kpis", params={"as_of": at(20)})
        assert (answer.status_code, answer.json()["values"]["page_views"]) == (200, 20)
        assert not answer.json()["live"]
        points = await api.get("/api/v1/series/page_views", params={"start": at(10), "end": at(20), "step": 10_000})
        assert points.json()["points"] == [[at(10), 10], [at(20), 20]]
        beyond = await api.get("/api/v1/kpis", params={"as_of": at(31)})
        assert (beyond.status_code, beyond.json()["error"]["code"]) == (422, "not_answerable")


async def test_a_series_of_an_unknown_value_is_zero(api: httpx.AsyncClient) -> None:
    query = {"scope": "channel", "value": "fax", "start": at(10), "end": at(20), "step": 10_000}
    for name, number in (("gmv", 0), ("visitors", 0), ("aov", None)):
        points = (await api.get(f"/api/v1/series/{name}", params=query)).json()["points"]
        assert points == [[at(10), number], [at(20), number]]


class TestHotQueries:
    def test_recent_queries_are_precomputed_and_the_shop_always(self) -> None:
        hot, ask = HotQueries(), OneValueQuery(KpiQuery(Window.H1), "x")
        hot.record_use(ask, 100)
        assert hot.fast_queries(100, 1) == [*ALWAYS_HOT], "no cost is known yet"
        hot.record_cost(ask, 0.1)
        assert hot.fast_queries(100, 1) == [*ALWAYS_HOT, ask]
        assert hot.fast_queries(100 + STAYS_HOT_S + 0.1, 1) == [*ALWAYS_HOT]

    def test_slow_queries_are_kept_warm_for_a_while(self) -> None:
        hot, ask = HotQueries(), EndlessAndSlow(threading.Event(), threading.Event())
        hot.record_use(ask, 100)
        hot.record_cost(ask, 0.1)
        assert hot.fast_queries(100, 1) == [*ALWAYS_HOT]
        assert hot.slow_queries(100, 1, warm=False) == [ask]
        later_s = 100 + STAYS_HOT_S + 0.1
        assert (hot.slow_queries(later_s, 1, warm=False), hot.slow_queries(later_s, 1, warm=True)) == ([], [ask])
        assert hot.slow_queries(100 + ask.warm_s + 0.1, 1, warm=True) == []

    def test_queries_over_the_budget_are_skipped_and_subscribed_ones_come_first(self) -> None:
        hot = HotQueries()
        asks = {name: OneValueQuery(KpiQuery(Window.H1), name) for name in ("dear", "cheap", "followed", "cheapest")}
        for name, took_s in (("dear", 0.5), ("cheap", 0.2), ("followed", 0.3), ("cheapest", 0.1)):
            hot.record_use(asks[name], 0, followed=name == "followed")
            hot.record_cost(asks[name], took_s)
        assert hot.fast_queries(0, 0.65) == [*ALWAYS_HOT, asks["followed"], asks["cheapest"], asks["cheap"]]
        assert hot.fast_queries(0, -0.1) == [*ALWAYS_HOT]

    def test_a_subscribed_query_over_the_budget_does_not_block_cheap_ones(self) -> None:
        hot = HotQueries()
        asks = {name: OneValueQuery(KpiQuery(Window.H1), name) for name in ("dear", "followed", "cheap")}
        for name, took_s in (("dear", 0.6), ("followed", 0.2), ("cheap", 0.1)):
            hot.record_use(asks[name], 0, followed=name != "cheap")
            hot.record_cost(asks[name], took_s)
        assert hot.fast_queries(0, 0.5) == [*ALWAYS_HOT, asks["followed"], asks["cheap"]]
        hot.record_use(asks["dear"], 0, followed=True)
        hot.record_cost(asks["followed"], 0.7)
        assert hot.fast_queries(0, 0.5) == [*ALWAYS_HOT, asks["cheap"]]

    def test_the_servers_own_queries_come_first_and_always_fit(self) -> None:
        hot, ours, theirs = HotQueries(), *(EndlessAndSlow(threading.Event(), threading.Event()) for _ in range(2))
        hot.precompute(ours, 0)
        for number in range(100):
            hot.record_use(OneValueQuery(KpiQuery(Window.H1), str(number)), 0)
        hot.record_use(theirs, 0)
        hot.record_cost(theirs, 0.2)
        assert (hot.slow_queries(0, 1, warm=False), hot.slow_queries(0, 0.1, warm=False)) == ([ours, theirs], [ours])
        assert (hot.is_internal(ours), hot.is_internal(theirs)) == (True, False)

    def test_no_query_is_listed_twice(self) -> None:
        hot = HotQueries()
        for now in range(3):
            for ask in (OneValueQuery(KpiQuery(Window.M1), ""), OneValueQuery(KpiQuery(Window.H1), "x")):
                hot.record_use(ask, now)
                hot.record_cost(ask, 0.01)
        assert len(hot.fast_queries(2, 1)) == len(ALWAYS_HOT) + 1

    def test_the_number_of_hot_queries_is_bounded(self) -> None:
        hot, snapshot = HotQueries(), AnswerSnapshot()
        for number in range(1_000):
            ask = OneValueQuery(KpiQuery(Window.H1), str(number))
            hot.record_use(ask, 0)
            hot.record_cost(ask, 0)
            snapshot = snapshot.with_answer(ask, "made")
        asked = hot.fast_queries(0, 1)
        assert len(asked) == len(ALWAYS_HOT) + 64
        assert asked[-1] == OneValueQuery(KpiQuery(Window.H1), "999")
        assert len(snapshot.answers) == 256
