"""A view follows the model in force: it starts from scratch with another one, and answers by the former until then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.rehearsal.memory_store import MemoryStore
from consumers.topics import Topic
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.file import read_model_file
from streams.dictionary.types import Model
from streams.model.windows import Window
from streams.panes.rows import RowIndex
from streams.settings import Settings
from streams.store.state import StoreState
from streams.store.worker_setup import DeclaredSetup, SetupStore
from streams.view.precomputed import state_key
from streams.view.query import KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView
from tests.streams.dictionary.test_file import compiled
from tests.streams.shop import ORDERS_0, ask, opened
from tests.support.events import ms, paid, wire

pytestmark = pytest.mark.anyio

T0_MS = ms(100)
OWN_TEXT = "version: 1\nmetrics: [{name: twice, formula: 2 * gmv}]\n"
OWN = compiled(OWN_TEXT)


class ChangingStore(MemoryStore):
    """A store whose model changes; what was counted gets new numbers for each."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.in_force: Model = replace(BUILT_IN, generation=1)
        self.fails = False
        self.changes = False

    def with_rows(self, rows: RowIndex) -> ChangingStore:
        if not self.fails:
            labels, self._numbers = self._numbers.labels, rows
            for scope, value in labels:
                rows.row(scope, value)
        return self

    async def model(self) -> Model | None:
        if self.fails:
            raise ConnectionError
        return self.in_force

    async def state(self) -> StoreState:
        return replace(await super().state(), setups=(f"{self.in_force.generation} x",), setup_changing=self.changes)


async def test_a_view_answers_by_the_model_in_force_once_it_has_read_it() -> None:
    settings = Settings(clock="event", retain="all")
    store, rows = ChangingStore(settings), RowIndex()
    view = RollingView(store, rows, settings)
    store.passed(T0_MS, T0_MS // 1000)
    await view.poll(T0_MS)
    store.count(Topic.ORDERS, [wire(paid(at=100, amount=700))], T0_MS)
    store.passed(T0_MS + 1000, T0_MS // 1000)
    await view.poll(T0_MS + 1000)
    query, key = KpiQuery(Window.H1), state_key(view.state)
    assert (await view.one(KpiQuery(Window.H1), "", T0_MS + 1000)).items[0].values["gmv"] is not None
    assert (view.model.generation, "twice" in view.model.units) == (1, False)
    with pytest.raises(NotAnswerableError, match="there is no number twice"):
        await view.series(query, "", "twice", [T0_MS], T0_MS)

    store.in_force, store.fails = replace(OWN, generation=2), True
    with pytest.raises(ConnectionError):
        await view.poll(T0_MS + 2000)
    assert view.model.generation == 1
    store.fails, store.changes = False, True
    await view.poll(T0_MS + 2000)
    assert view.model.generation == 1
    store.changes = False
    await view.poll(T0_MS + 2000)
    assert view.model.generation == 2
    assert state_key(view.state) != key
    assert "twice" in (await view.one(KpiQuery(Window.H1), "", T0_MS + 2000)).items[0].values


async def test_a_scope_that_the_model_does_not_have_cannot_be_queried() -> None:
    settings = Settings(clock="event", retain="all")
    view = RollingView(MemoryStore(settings), RowIndex(), settings)
    with pytest.raises(NotAnswerableError, match="there is no scope store: the model in force has all, promotion"):
        await view.one(KpiQuery(Window.M1, "store"), "a", T0_MS)


async def test_a_view_loads_the_model_that_workers_stored(redis_url: str) -> None:
    async with opened(redis_url) as shop:
        await shop.feed(ORDERS_0, [paid(at=10, amount=700), paid(at=90, amount=700)])
        view = await shop.view()
        assert view.model is BUILT_IN
        setups, built_in = SetupStore(shop.redis, shop.keys), DeclaredSetup(shop.settings)
        await setups.adopt(built_in)
        await view.poll(shop.present())
        assert (view.model.generation, view.model.names) == (1, BUILT_IN.names)
        own = read_model_file(OWN_TEXT, exponent=2)
        assert own.model is not None
        assert own.definitions is not None
        await setups.adopt(replace(built_in, model=own.model, definitions=own.definitions))
        before = (await ask(view, "1h"))["gmv"]
        await view.poll(shop.present())
        assert view.model.generation == 2
        answer = await ask(view, "1h")
        assert (answer["gmv"], "twice" in answer) == (before, True)
