"""`RollingView`: every window and scope, kept current from the deltas that workers apply.

`poll` follows the logs of all partitions; questions are answered from blocks in memory, loaded from Redis when first
needed. Windows that end at the newest as-of are sums that move on by what comes in and what falls out; questions about
an earlier moment add up the fewest panes that cover it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from consumers.contract.events import Promotion
from consumers.settings import Clock
from streams import promotions
from streams.asof import AsOf
from streams.model.kpis import Number, values
from streams.model.windows import Span, Window
from streams.panes.arrays import Ints, among
from streams.panes.counters import COUNTER_IDS
from streams.panes.dictionary import StockNames
from streams.panes.rows import Rows
from streams.settings import Settings, limits
from streams.stock.book import StockBook
from streams.stock.ledger import Ledger
from streams.store.kept import NOTHING_KEPT
from streams.store.levels import levels, stock_keep_ms
from streams.store.reader import PaneReader
from streams.store.state import State
from streams.view.asking import Answer, Question, Top
from streams.view.curve import curve
from streams.view.followed import Followed
from streams.view.moment import Moment, moment_of
from streams.view.numbers import Seconds, answer, named_counters, nothing, seconds, shipping_total, sums_of
from streams.view.reached import newest
from streams.view.retention import Retention
from streams.view.shipping import ShippingMoment

T = TypeVar("T")

MAX_ITEMS = 1000
_MAX_NAMES = 3_000_000
_KEPT_EVERY_MS = 10_000
_AT_ONCE = 100
"""Moments of a series that are looked at before others may run."""


class RollingView:
    """The read side of one process. Questions raise NotReadyError and NotAnswerableError."""

    def __init__(self, reader: PaneReader, rows: Rows, settings: Settings) -> None:
        self.promotions: dict[str, Promotion] = {}
        self.polled_ms: int | None = None
        """When the store last answered, by its clock."""
        self._settings = settings
        self._levels = levels(settings)
        self._kept = NOTHING_KEPT
        self._kept_at_ms = 0
        self._as_of_ms = 0
        self._followed = self._begun(reader, rows, State((), {}, 0))

    @property
    def state(self) -> State:
        """Where every partition stood at the last poll."""
        return self._followed.state

    # Following -------------------------------------------------------------------------------------------------------

    async def poll(self, now_ms: int) -> None:
        """Take in what was applied since the last poll."""
        followed = self._followed
        state = await followed.reader.state()
        if self._settings.clock is Clock.WALL:
            state = state.capped(now_ms)
        if state.promotions_version != self.state.promotions_version or state.epochs != self.state.epochs:
            self.promotions = await followed.reader.promotions()
            self._kept_at_ms = 0
        newest_ms = [held.newest_ms for held in state.partitions.values()]
        as_of_ms = newest(state, now_ms, self._settings).ms  # of a shop that is quiet the clock goes on, and panes go
        gone_back, self._as_of_ms = (as_of_ms or 0) < self._as_of_ms, as_of_ms or 0
        if now_ms - self._kept_at_ms >= _KEPT_EVERY_MS or gone_back:
            self._kept, self._kept_at_ms = await followed.reader.kept(), now_ms
        if not followed.goes_on(state) or followed.rows.names > _MAX_NAMES or not await followed.take_in(state):
            # Questions are answered from what was followed before until the new start has caught up.
            rows = Rows()
            followed = self._begun(followed.reader.with_rows(rows), rows, state)
            if not await followed.take_in(state):
                return
        followed.retention = Retention.of(self._levels, [*newest_ms, as_of_ms], self._kept)
        self._followed, self.polled_ms = followed, now_ms

    def _begun(self, reader: PaneReader, rows: Rows, state: State) -> Followed:
        """A new stretch of following, from a state on."""
        return Followed(reader, self._levels, rows, state, stock_keep_ms(self._settings), limits(self._settings))

    def as_of(self, now_ms: int) -> AsOf:
        """The newest as-of, and what it rests on."""
        return newest(self.state, now_ms, self._settings)

    def moment_ms(self, at_ms: int | None, now_ms: int) -> int:
        """The as-of of an answer about a moment (None: the newest)."""
        return self._moment(Question(Window.M1, as_of_ms=at_ms), "", now_ms).as_of_ms

    def promotion_of(self, name: str | None, as_of_ms: int) -> str | None:
        """The promotion that is meant: the one named, else the one that started last."""
        return promotions.meant(self.promotions, name, as_of_ms)

    # Asking ----------------------------------------------------------------------------------------------------------

    async def one(self, question: Question, value: str, now_ms: int) -> Answer:
        """The numbers of one value of a scope; a value that was never seen counts nothing."""
        moment = self._moment(question, value, now_ms)
        return await _given(moment, [value])

    async def several(self, question: Question, names: Sequence[str], now_ms: int) -> Answer:
        """The numbers of some values of a scope, in the order given."""
        return await _given(self._moment(question, None, now_ms), names)

    async def every(self, question: Question, now_ms: int, *, by: str = "gmv", limit: int = MAX_ITEMS) -> Answer:
        """The numbers of each value with any counter not 0, the largest first."""
        moment = self._moment(question, None, now_ms)
        sums = await sums_of(moment)
        held = moment.held(sums)
        rows = moment.largest(held, sums, by, limit)
        return replace(await answer(moment, sums, moment.names(rows), rows), count=len(held))

    async def count(self, question: Question, now_ms: int) -> int:
        """How many values of a scope have any counter that is not 0."""
        moment = self._moment(question, None, now_ms)
        return len(moment.held(await sums_of(moment)))

    async def amounts(self, question: Question, counter: str, now_ms: int) -> Ints:
        """One counter of each value of a scope with any counter not 0, in no order."""
        moment = self._moment(question, None, now_ms)
        sums = await sums_of(moment)
        return sums.column(moment.held(sums), COUNTER_IDS[counter])

    async def top(self, question: Question, now_ms: int, *, by: str, limit: int, also: Sequence[str] = ()) -> Top:
        """The largest values of a scope by a counter or `net_gmv`, some others by name, and the rest summed."""
        moment = self._moment(question, None, now_ms)
        sums = await sums_of(moment)
        held = moment.held(sums)
        largest = moment.largest(held, sums, by, limit)
        named = np.array([row for name in also if (row := moment.row(name)) is not None], np.int64)
        largest = np.append(largest, held[among(held, named) & ~among(held, largest)])
        others = held[~among(held, largest)]
        rest = named_counters(sums.total(others)[0].tolist(), question.scope)
        shipping = await shipping_total(moment, others)
        found = await answer(moment, sums, moment.names(largest), largest)
        return Top(found, len(held) - len(largest), values({**rest, **shipping}, question.scope))

    async def series(
        self, question: Question, value: str, name: str, moments_ms: Sequence[int], now_ms: int
    ) -> list[tuple[int, Number]]:
        """One number at many as-of times, ascending: (as-of, number). Moments of one as-of give one point."""
        followed, asked = self._followed, {}
        for i, at_ms in enumerate(moments_ms, 1):
            moment = self._moment(replace(question, as_of_ms=at_ms), value, now_ms, followed)
            asked[moment.as_of_ms] = moment
            if i % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return await curve(list(asked.values()), value, name, self._levels)

    async def seconds(self, span: Span) -> Seconds:
        """What was counted second by second in a span, be it complete or not. Raises NotAnswerableError where seconds
        are no longer kept."""
        return await seconds(self._followed, span)

    async def stock_at(self, as_of_ms: int, now_ms: int, question: Callable[[StockBook, StockNames], T]) -> T:
        """What a question says of the stock at an as-of, which an answer gave before."""
        moment = self._moment(Question(Window.M1, as_of_ms=as_of_ms), "", now_ms)
        names = moment.followed.rows.stock
        return await moment.followed.stock.ask(moment.as_of_ms, moment.live, lambda book: question(book, names))

    async def stock_journal(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All that happened to the stock of some SKUs (ascending, as `stock_at` numbers them) in [start_ms, end_ms)."""
        return await self._followed.stock.journal(skus, start_ms, end_ms)

    def shipping_at(self, question: Question, now_ms: int) -> ShippingMoment:
        """A question about shipping beyond its KPIs."""
        moment = self._moment(question, "", now_ms)
        followed = moment.followed
        return ShippingMoment(followed.shipping, moment.at, followed.newest_s, followed.rows, moment.require_kept)

    def _moment(self, question: Question, value: str | None, now_ms: int, followed: Followed | None = None) -> Moment:
        """What a question comes to, by what was followed up to now."""
        return moment_of(question, value, now_ms, followed or self._followed, self.promotions, self._settings)


async def _given(moment: Moment, names: Sequence[str]) -> Answer:
    """The numbers of values that were asked for by name."""
    sums = await sums_of(moment)
    found = {name: row for name in names if (row := moment.row(name)) is not None}
    told = await answer(moment, sums, list(found), np.array(list(found.values()), np.int64))
    never = await nothing(moment, [name for name in names if name not in found])
    items = {item.value: item for item in (*told.items, *never)}
    return replace(told, items=[items[name] for name in names])
