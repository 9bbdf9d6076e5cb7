"""`RollingView`: every window and scope, kept current from the deltas that workers apply.

`poll` follows the logs of all partitions. Queries read blocks in memory, which are loaded from Redis on first use.
Windows that end at the newest as-of are running sums; queries for an earlier as-of add up the fewest panes that cover
it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from consumers.contract.events import Promotion
from consumers.settings import Clock
from streams.dictionary.names import ALL, PROMOTION
from streams.dictionary.types import Model
from streams.model import promotions
from streams.model.kpis import ModelNumbers, Number, numbers_of
from streams.model.windows import Span, Window
from streams.panes.arrays import Ints, among
from streams.panes.rows import RowIndex, StockNames
from streams.settings import Settings, shipping_limits
from streams.stock.ledger import Ledger
from streams.stock.stock_state import StockState
from streams.store.as_of import AsOf
from streams.store.levels import levels, stock_keep_ms
from streams.store.reader import PaneSource
from streams.store.retained_spans import NO_RETAINED_SPANS
from streams.store.state import StoreState, newest_as_of
from streams.view.followed import FollowedState
from streams.view.numbers import (
    SecondCells,
    answer_rows,
    empty_items,
    named,
    seconds,
    series_points,
    shipping_total,
    window_sums,
)
from streams.view.query import Answer, Item, KpiQuery, NotAnswerableError, Top
from streams.view.resolve import ResolvedQuery, require_rankable, resolve_query
from streams.view.retention import Retention
from streams.view.shipping import ResolvedShippingQuery

T = TypeVar("T")

MAX_ITEMS = 1000
"""Maximum number of values in an answer."""
_MAX_NAMES = 3_000_000
"""Size of the row index beyond which the view starts from scratch."""
_KEPT_EVERY_MS = 10_000
"""Interval between reads of the retained spans."""
_AT_ONCE = 100
"""Points of a series that are resolved before other tasks may run."""


class RollingView:
    """The read side of one process. Queries raise NotReadyError and NotAnswerableError."""

    def __init__(self, reader: PaneSource, rows: RowIndex, settings: Settings) -> None:
        self.promotions: dict[str, Promotion] = {}
        self.polled_ms: int | None = None
        """When the store last answered, by its clock."""
        self._settings = settings
        self._levels = levels(settings)
        self._kept = NO_RETAINED_SPANS
        self._kept_at_ms = 0
        self._as_of_ms = 0
        self._followed = self._new_state(reader, rows, StoreState((), {}, 0))

    @property
    def state(self) -> StoreState:
        """The state of every partition at the last poll."""
        return self._followed.state

    @property
    def model(self) -> Model:
        """The model that answers are computed by."""
        return self._followed.rows.model

    async def poll(self, now_ms: int) -> None:
        """Read the deltas applied since the last poll."""
        followed = self._followed
        state = await followed.reader.state()
        if self._settings.clock is Clock.WALL:
            state = state.capped(now_ms)
        if state.promotions_version != self.state.promotions_version or state.epochs != self.state.epochs:
            self.promotions = await followed.reader.promotions()
            self._kept_at_ms = 0
        newest_ms = [partition.newest_ms for partition in state.partitions.values()]
        # Without new events the clock still advances, and panes expire.
        as_of_ms = newest_as_of(state, now_ms, self._settings).ms
        gone_back, self._as_of_ms = (as_of_ms or 0) < self._as_of_ms, as_of_ms or 0
        if now_ms - self._kept_at_ms >= _KEPT_EVERY_MS or gone_back:
            self._kept, self._kept_at_ms = await followed.reader.retained_spans(), now_ms
        model = self.model
        if state.setup and int(state.setup.split()[0]) != model.generation:
            model = await followed.reader.model() or model  # while it changes, answers are by the former, not live
        is_continued = model is self.model and followed.is_continued_by(state) and followed.rows.names <= _MAX_NAMES
        if not (is_continued and await followed.advance_to(state)):
            # Queries use the previous state until the new one has caught up.
            rows = RowIndex(model)
            followed = self._new_state(followed.reader.with_rows(rows), rows, state)
            if not await followed.advance_to(state):
                return
        followed.retention = Retention.of(self._levels, [*newest_ms, as_of_ms], self._kept)
        self._followed, self.polled_ms = followed, now_ms

    def _new_state(self, reader: PaneSource, rows: RowIndex, state: StoreState) -> FollowedState:
        """An empty followed state that starts at `state`."""
        return FollowedState(
            reader, self._levels, rows, state, stock_keep_ms(self._settings), shipping_limits(self._settings)
        )

    def as_of(self, now_ms: int) -> AsOf:
        """The newest as-of, and the stale partitions."""
        return newest_as_of(self.state, now_ms, self._settings)

    def resolve_as_of_ms(self, at_ms: int | None, now_ms: int) -> int:
        """The as-of that a query for `at_ms` (None: the newest) is answered at."""
        return self._resolve(KpiQuery(Window.M1, as_of_ms=at_ms), "", now_ms).as_of_ms

    def resolve_promotion(self, name: str | None, as_of_ms: int) -> str | None:
        """The named promotion, otherwise the one that started last."""
        return promotions.promotion_or_current(self.promotions, name, as_of_ms)

    async def one(self, query: KpiQuery, value: str, now_ms: int) -> Answer:
        """The KPIs of one value of a scope; 0 for a value that was never counted."""
        resolved = self._resolve(query, value, now_ms)
        return await _answer_values(resolved, [value])

    async def several(self, query: KpiQuery, names: Sequence[str], now_ms: int) -> Answer:
        """The KPIs of some values of a scope, in this order."""
        return await _answer_values(self._resolve(query, None, now_ms), names)

    async def every(self, query: KpiQuery, now_ms: int) -> Answer:
        """The KPIs of the values with any counter, the largest GMV first, at most `MAX_ITEMS`."""
        resolved = self._resolve(query, None, now_ms)
        sums = await window_sums(resolved)
        nonzero = resolved.nonzero_rows(sums)
        rows = resolved.largest(nonzero, sums, "gmv", MAX_ITEMS)
        return replace(await answer_rows(resolved, sums, resolved.names(rows), rows), count=len(nonzero))

    async def count(self, query: KpiQuery, now_ms: int) -> int:
        """The number of values of a scope with any counter."""
        resolved = self._resolve(query, None, now_ms)
        return len(resolved.nonzero_rows(await window_sums(resolved)))

    async def amounts(self, query: KpiQuery, counter: str, now_ms: int) -> Ints:
        """One counter of each value of a scope with any counter, unordered."""
        resolved = self._resolve(query, None, now_ms)
        sums = await window_sums(resolved)
        return sums.column(resolved.nonzero_rows(sums), resolved.numbers.slots[counter])

    async def top(self, query: KpiQuery, now_ms: int, *, by: str, limit: int, also: Sequence[str] = ()) -> Top:
        """The largest values of a scope by a sum of counters, other values by name, and the rest summed."""
        resolved = self._resolve(query, None, now_ms)
        resolved.require_rankable(by)
        sums = await window_sums(resolved)
        nonzero = resolved.nonzero_rows(sums)
        largest = resolved.largest(nonzero, sums, by, limit)
        chosen = np.array([row for name in also if (row := resolved.row(name)) is not None], np.int64)
        largest = np.append(largest, nonzero[among(nonzero, chosen) & ~among(nonzero, largest)])
        others = nonzero[~among(nonzero, largest)]
        rest = named(resolved.counters, sums.total(others)[0].tolist())
        shipping = await shipping_total(resolved, others)
        answer = await answer_rows(resolved, sums, resolved.names(largest), largest)
        return Top(answer, len(nonzero) - len(largest), resolved.numbers.values({**rest, **shipping}, query.scope))

    async def series(
        self, query: KpiQuery, value: str, name: str, moments_ms: Sequence[int], now_ms: int
    ) -> list[tuple[int, Number]]:
        """One number at many times, ascending: # [(as-of, number)]. Times with the same as-of give one point."""
        if name not in self.model.units:
            raise NotAnswerableError(f"there is no number {name}: the model in force has {', '.join(self.model.names)}")
        followed, by_as_of = self._followed, {}
        for i, at_ms in enumerate(moments_ms, 1):
            resolved = self._resolve(replace(query, as_of_ms=at_ms), value, now_ms, followed)
            by_as_of[resolved.as_of_ms] = resolved
            if i % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return await series_points(list(by_as_of.values()), value, name, self._levels)

    async def seconds(self, span: Span) -> SecondCells:
        """All counters of a span, second by second, even if it is not complete. Raises NotAnswerableError if seconds of
        it are no longer kept."""
        return await seconds(self._followed, span)

    async def stock_at(self, as_of_ms: int, now_ms: int, query: Callable[[StockState, StockNames], T]) -> T:
        """Query the stock at the as-of of an earlier answer."""
        resolved = self._resolve(KpiQuery(Window.M1, as_of_ms=as_of_ms), "", now_ms)
        names = resolved.followed.rows.stock
        return await resolved.followed.stock.ask(
            resolved.as_of_ms, resolved.live, lambda stock_state: query(stock_state, names)
        )

    async def stock_event_log(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All stock events of SKUs (ascending ids of `stock_at`) in [start_ms, end_ms)."""
        return await self._followed.stock.event_log(skus, start_ms, end_ms)

    def shipping_at(self, query: KpiQuery, now_ms: int) -> ResolvedShippingQuery:
        """A query about shipping beyond its KPIs."""
        return self._resolve(query, "", now_ms).shipping

    def _resolve(
        self, query: KpiQuery, value: str | None, now_ms: int, followed: FollowedState | None = None
    ) -> ResolvedQuery:
        """Resolve a query against the state of the last poll."""
        return resolve_query(query, value, now_ms, followed or self._followed, self.promotions, self._settings)


async def _answer_values(resolved: ResolvedQuery, names: Sequence[str]) -> Answer:
    """The KPIs of values given by name."""
    sums = await window_sums(resolved)
    known = {name: row for name in names if (row := resolved.row(name)) is not None}
    answer = await answer_rows(resolved, sums, list(known), np.array(list(known.values()), np.int64))
    never_counted = await empty_items(resolved, [name for name in names if name not in known])
    items = {item.value: item for item in (*answer.items, *never_counted)}
    return replace(answer, items=[items[name] for name in names])


class ScopeQueries:
    """Queries all values of a scope; in scope and window `promotion`, each promotion in its own window."""

    def __init__(self, view: RollingView, at_ms: int) -> None:
        self._view = view
        self._at_ms = at_ms

    async def count(self, query: KpiQuery) -> int:
        """The number of values with any counter."""
        if _each_its_own(query):
            return len((await self._by_promotion(query)).items)
        return await self._view.count(query, self._at_ms)

    async def every(self, query: KpiQuery) -> Answer:
        """The KPIs of each value, largest GMV first."""
        if not _each_its_own(query):
            return await self._view.every(query, self._at_ms)
        answer = await self._by_promotion(query)
        return replace(answer, items=_ranked(answer.items, "gmv")[:MAX_ITEMS], count=len(answer.items))

    async def top(self, query: KpiQuery, *, by: str, limit: int, also: Sequence[str] = ()) -> Top:
        """The largest values, other values by name (not for promotions), and the rest."""
        if not _each_its_own(query):
            return await self._view.top(query, self._at_ms, by=by, limit=limit, also=also)
        numbers = numbers_of(self._view.model)
        require_rankable(numbers, query.scope, by)
        answer = await self._by_promotion(query)
        items = _ranked(answer.items, by)
        return Top(replace(answer, items=items[:limit]), len(items[limit:]), _summed(items[limit:], numbers))

    async def _by_promotion(self, query: KpiQuery) -> Answer:
        """Each promotion that has started and has any counter, in its own time."""
        whole = await self._view.one(replace(query, window=Window.M1, scope=ALL), "", self._at_ms)
        at_moment = replace(query, as_of_ms=whole.as_of_ms)
        started = [name for name, promotion in self._view.promotions.items() if promotion.starts_at <= whole.as_of_ms]
        items: list[Item] = []
        for name in started:
            with contextlib.suppress(NotAnswerableError):  # its first panes have expired
                items += (await self._view.one(at_moment, name, self._at_ms)).items
        counters = numbers_of(self._view.model).public_counters
        counted = [item for item in items if any(item.values[name] for name in counters)]
        return Answer(whole.as_of_ms, query.window, query.scope, None, counted)


def _each_its_own(query: KpiQuery) -> bool:
    return query.scope == PROMOTION and query.window is Window.PROMOTION and query.promotion is None


def _ranked(items: list[Item], by: str) -> list[Item]:
    return sorted(items, key=lambda item: (-(item.values[by] or 0), item.value))


def _summed(items: list[Item], numbers: ModelNumbers) -> dict[str, Number]:
    """Summed counters and their KPIs; null where one of the items has none."""
    amounts = {name: [item.values[name] for item in items] for name in numbers.public_counters}
    sums = {name: sum(int(n or 0) for n in of_items) for name, of_items in amounts.items() if None not in of_items}
    return numbers.values(sums, PROMOTION)
