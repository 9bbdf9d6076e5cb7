"""A view answers by the model of its rows: own dimensions, counters, distinct counts and metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from alerts.rehearsal.memory_store import MemoryStore
from consumers.dedup import hash_ids
from consumers.topics import Partition, Topic
from streams.dictionary.types import Model
from streams.fold.delta import PaneDelta, merge
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.panes.cells import Cells
from streams.panes.keys import pane_keys
from streams.panes.rows import RowIndex
from streams.panes.sketches import register_entries, sketches_from
from streams.serve.gauges import collect_gauges, text
from streams.settings import Settings
from streams.store.reader import LogEntry
from streams.view.compare_rules import ComparisonPeriod
from streams.view.comparer import Comparer
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView, ScopeQueries
from tests.streams.model.test_model_numbers import MODEL, begun

pytestmark = pytest.mark.anyio

T0_S = 1_764_590_400
"""2025-12-01T12:00:00Z; seconds are counted from it."""
ORDERS = Partition(Topic.ORDERS, 0)
Place = tuple[str, str, str]
"""Scope, value, measure."""


class OwnShop(MemoryStore):
    """A store of a model, to which panes are added directly, and its view."""

    def __init__(self, model: Model = MODEL) -> None:
        settings = Settings(clock="event", retain="all")
        super().__init__(settings)
        rows = RowIndex(model)
        self.model = model
        self.view = RollingView(self.with_rows(rows), rows, settings)
        self.now_ms = 1000 * T0_S

    async def add(self, second: int, counted: Mapping[Place, int], users: Mapping[Place, Sequence[str]]) -> None:
        """Add a pane of `second`: # {place: amount}, # {place of a distinct count: ids}"""
        if not len(self._numbers):
            await self._poll(0)
        at_s, parts = T0_S + second, []
        for place, amount in counted.items():
            parts.append(PaneDelta(cells=Cells(self._key(place, at_s), np.array([amount]))))
        for place, ids in users.items():
            step_s = 600 if self.model.dimensions[place[0]].coarse_distincts else 10
            entries = np.sort(register_entries(hash_ids(ids)))
            group_of = np.zeros(len(ids), np.int64)
            parts.append(PaneDelta(sketches=sketches_from(self._key(place, at_s - at_s % step_s), group_of, entries)))
        delta, topic = merge(parts), self._topics[Topic.ORDERS]
        self._log[ORDERS] = LogEntry(topic.position, topic.position + 1, delta)
        topic.position += 1
        topic.newest_ms = topic.last_counted_ms = 1000 * (at_s + 1)
        for level in self._levels:
            for start, part in level.blocks(delta):
                self._put((level.name, start), ORDERS, part)
        await self._poll(second + 1)

    def _key(self, place: Place, pane_s: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        scope, value, name = place
        row, measure = self._numbers.row(scope, value), self.model.measures[name]
        return pane_keys(np.array([pane_s]), np.array([row]), measure.id)

    async def _poll(self, second: int) -> None:
        self.now_ms = 1000 * (T0_S + second)
        self.passed(self.now_ms, T0_S + second)
        await self.view.poll(self.now_ms)

    async def one(self, window: Window, scope: str, value: str = "", at: int | None = None) -> dict[str, Number]:
        """The numbers of a value; `at`: the as-of, None: the newest."""
        query = KpiQuery(window, scope, None if at is None else 1000 * (T0_S + at))
        return (await self.view.one(query, value, self.now_ms)).items[0].values


async def sold(model: Model = MODEL) -> OwnShop:
    """A shop with two stores and two tills: a sale in second 0, and twice as much in second 119."""
    shop = OwnShop(model)
    for second, times in ((0, 1), (119, 2)):
        counted: dict[Place, int] = {}
        for scope, value, share in (("all", "", 3), ("store", "a", 1), ("store", "b", 2), ("till", "1", 3)):
            amounts = {"gmv": 1000, "tips": 100, "orders_paid": 1, "refunds": 400 if value == "b" else 0}
            counted |= {(scope, value, name): times * share * amount for name, amount in amounts.items() if amount}
        ids = [f"u{i}" for i in range(10 * times)]
        users = dict.fromkeys((("all", "", "tippers"), ("till", "1", "tippers"), ("till", "1", "buyers")), ids)
        await shop.add(second, counted, users)
    return shop


async def test_own_counters_and_metrics_are_answered_in_own_dimensions() -> None:
    shop = await sold()
    names = ("gmv", "tips", "tip_rate", "revenue", "net_revenue", "visitors", "buyers", "tippers", "tips_per_tipper")
    store = await shop.one(Window.M1, "store", "b")
    assert [store[name] for name in names] == [4000, 400, 0.1, 4800, 3200, None, None, None, None]
    assert list(store) == list(MODEL.names)
    till = await shop.one(Window.M1, "till", "1")
    assert [till[name] for name in names] == [6000, 600, 0.1, 7200, 7200, None, 20, 20, 30.0]
    whole = await shop.one(Window.M5, "all")
    assert [whole[name] for name in ("gmv", "tips", "tippers", "tips_per_tipper")] == [9000, 900, 20, 45.0]
    assert (await shop.one(Window.M1, "store", "never"))["tips"] == 0


@pytest.mark.parametrize("window", [Window.M1, Window.M5, Window.H1, Window.H24, Window.DAY])
async def test_a_past_as_of_is_answered_like_the_newest(window: Window) -> None:
    shop = await sold()
    newest = {place: await shop.one(window, *place) for place in (("till", "1"), ("store", "b"), ("all", ""))}
    await shop.add(180, {("till", "1", "tips"): 5}, {})
    for place, numbers in newest.items():
        assert await shop.one(window, *place, at=120) == numbers


async def test_a_series_has_own_numbers() -> None:
    shop = await sold()
    moments = [1000 * (T0_S + second) for second in (10, 120)]
    for name, expected in (("tips", [100, 300]), ("revenue", [1200, 3600]), ("tippers", [None, None])):
        points = await shop.view.series(KpiQuery(Window.M5, "store"), "a", name, moments, shop.now_ms)
        assert [number for _, number in points] == expected
    points = await shop.view.series(KpiQuery(Window.M5, "till"), "1", "tips_per_tipper", moments, shop.now_ms)
    assert [number for _, number in points] == [30.0, 45.0]


async def test_values_are_ranked_by_own_sums() -> None:
    shop, query = await sold(), KpiQuery(Window.M5, "store")
    top = await shop.view.top(query, shop.now_ms, by="revenue", limit=1)
    assert [item.value for item in top.answer.items] == ["b"]
    assert (top.left_out, top.other["revenue"], top.other["tip_rate"]) == (1, 3600, 0.1)
    listed = await ScopeQueries(shop.view, shop.now_ms).every(query)
    assert [(item.value, item.values["tips"]) for item in listed.items] == [("b", 600), ("a", 300)]
    with pytest.raises(NotAnswerableError, match="tip_rate is no sum of counters"):
        await shop.view.top(query, shop.now_ms, by="tip_rate", limit=1)
    with pytest.raises(NotAnswerableError, match="scope store has no page_views: its events have no such field"):
        await shop.view.top(query, shop.now_ms, by="page_views", limit=1)


async def test_own_numbers_are_compared() -> None:
    shop = await sold()
    comparer = Comparer(shop.view, shop.now_ms, "UTC")
    (item,) = (await comparer.one(KpiQuery(Window.M5, "store"), "b", ComparisonPeriod.YESTERDAY)).items
    assert item.then is not None
    assert (item.now.values["tips"], item.then.values["tips"]) == (600, 0)


async def test_a_number_is_null_in_windows_that_begin_before_it_counted() -> None:
    shop = await sold(begun(MODEL, "tips", 1000 * (T0_S + 60)))
    for window, expected in ((Window.M1, [400, 0.1, 4800]), (Window.M5, [None, None, None])):
        numbers = await shop.one(window, "store", "b")
        assert [numbers[name] for name in ("tips", "tip_rate", "revenue")] == expected
        assert numbers["gmv"] is not None
    since_ms = 1000 * (T0_S + 60)
    with pytest.raises(NotAnswerableError, match=f"revenue counts in scope store from {since_ms} on"):
        await shop.view.top(KpiQuery(Window.M5, "store"), shop.now_ms, by="revenue", limit=1)
    points = await shop.view.series(
        KpiQuery(Window.M1, "store"), "b", "tips", [1000 * (T0_S + s) for s in (10, 120)], shop.now_ms
    )
    assert [number for _, number in points] == [None, 400]


async def test_the_values_of_a_new_dimension_are_listed_with_nulls() -> None:
    shop = await sold(begun(MODEL, "store", 1000 * (T0_S + 60)))
    listed = await shop.view.every(KpiQuery(Window.M5, "store"), shop.now_ms)
    assert sorted((item.value, item.values["gmv"]) for item in listed.items) == [("a", None), ("b", None)]
    assert (await shop.one(Window.M1, "store", "b"))["gmv"] == 4000
    assert (await shop.one(Window.M5, "all"))["gmv"] == 9000


async def test_numbers_that_the_model_does_not_have_are_left_out() -> None:
    shop = await sold()
    unknown = max(measure.id for measure in MODEL.counters) + 1
    before = await shop.one(Window.M5, "store", "b")
    key = pane_keys(np.array([T0_S + 119]), np.array([shop._numbers.row("store", "b")]), unknown)
    shop.view._followed._correct([PaneDelta(cells=Cells(key, np.array([7])))])
    assert await shop.one(Window.M5, "store", "b") == before


async def test_gauges_have_own_dimensions_in_the_units_of_their_numbers() -> None:
    shop = await sold()
    gauges = await collect_gauges(shop.view, shop.now_ms, shop.now_ms, 20_000, 60.0)
    lines = "".join(text(gauges, 2)).splitlines()
    assert 'salepulse_tips{window="5m",scope="store",value="b"} 6.0' in lines
    assert 'salepulse_tip_rate{window="5m",scope="till",value="1"} 0.1' in lines
    assert "# HELP salepulse_tip_rate tips / gmv" in lines
    assert not [line for line in lines if re.match('salepulse_visitors{window="5m",scope="store"', line)]


@pytest.mark.parametrize("budget", [100, 700, 1000, 2000])
async def test_thin_dimensions_take_few_of_the_series(budget: int) -> None:
    shop = await sold()
    gauges = await collect_gauges(shop.view, shop.now_ms, shop.now_ms, budget, 60.0)
    lines = [line for line in "".join(text(gauges, 2)).splitlines() if not line.startswith("#")]
    assert 0 < len(lines) <= budget
    stores = [row for row in gauges.rows if row.scope == "store" and row.window is Window.M5]
    assert gauges.dropped["store"] == (2 - len(stores)) * len(MODEL.names_in("store"))
