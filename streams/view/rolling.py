"""`RollingView`: every window and scope, kept current from the deltas that workers apply.

`poll` follows the logs of all partitions; questions are answered from blocks in memory, loaded from Redis when first
needed. Windows that end at the newest as-of are sums that move on by what comes in and what falls out; questions about
an earlier moment add up the fewest panes that cover it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from consumers.events import Promotion
from streams import promotions
from streams.arrays import Ints
from streams.asof import AsOf
from streams.counters import COUNTER_IDS, COUNTERS, DISTINCTS
from streams.kpis import KPIS, STOCK_NAMES, STOCK_SUMS, TARGET_TIERS, Number, Sums, absent_counters, target_sum, values
from streams.rows import Rows
from streams.scopes import Scope
from streams.settings import Settings, limits
from streams.shipping.counters import LEG_NAMES
from streams.shipping.kpis import SHIPPING_NAMES, SHIPPING_SCOPES
from streams.steps import COUNTERS_STEP_S, DISTINCTS_STEP_S
from streams.stock.book import StockBook
from streams.stock.forecast import RATE_MINUTES
from streams.stock.ledger import Ledger
from streams.stock.names import StockNames
from streams.store.kept import NOTHING_KEPT
from streams.store.levels import levels, stock_keep_ms
from streams.store.reader import PaneReader
from streams.store.state import State
from streams.view.asking import Answer, Item, NotAnswerableError, NotReadyError, Question, Top
from streams.view.distinct import Union
from streams.view.followed import Followed
from streams.view.reached import newest, reached_ms
from streams.view.retention import Retention
from streams.view.series import RowHistory
from streams.view.shipping import LEG_LEVELS, At, ShippingMoment, known, named, summed
from streams.view.stock_numbers import StockNumbers, StockSums
from streams.view.sums import WindowSum
from streams.windows import Span, Window, cover, distinct_span, span

T = TypeVar("T")

MAX_ITEMS = 1000
_MAX_ROWS = 3_000_000
_KEPT_EVERY_MS = 10_000
_AT_ONCE = 100
"""Moments of a series that are looked at before others may run."""

COUNTER_LEVELS = tuple(COUNTERS_STEP_S.items())
DISTINCT_LEVELS = tuple(DISTINCTS_STEP_S.items())
"""Levels and their panes' lengths in seconds, finest first."""


def _needs_distincts(compute: Callable[[Sums], Number]) -> bool:
    try:
        compute(dict.fromkeys([*COUNTER_IDS, *map(target_sum, TARGET_TIERS), *STOCK_SUMS, *LEG_NAMES], 0))
    except KeyError:
        return True
    return False


DISTINCT_NAMES = frozenset({*(d.name for d in DISTINCTS), *(kpi.name for kpi in KPIS if _needs_distincts(kpi.compute))})
"""Distinct counts, and the KPIs made of them."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a question comes to."""

    question: Question
    as_of_ms: int
    finest: int
    """Place of the finest level that is kept."""
    coarsest: int
    """Place of the coarsest."""
    retention: Retention
    promotion: str | None
    targets: Mapping[str, int]
    """What the definition of that promotion adds to the sums of its own row."""
    counted: Span
    live: bool
    """Whether it ends at the newest as-of."""
    followed: Followed
    """What it is answered from, whatever is polled meanwhile."""

    @property
    def at(self) -> At:
        """The same for what orders add."""
        key = (self.question.window.value, self.promotion) if self.live else None
        return At(self.counted, self.as_of_ms // 1000, self.finest, key, self.coarsest, self.recent)

    @property
    def recent(self) -> bool:
        """Whether stock and the states of orders, which are kept for weeks, are known."""
        return self.retention.recent(self.as_of_ms // 1000)

    def brought(self, value: str) -> Mapping[str, int]:
        """What the window brings along for a value of the scope, beside what was counted."""
        own = self.question.scope is Scope.PROMOTION and value == self.promotion
        return self.targets if own else {}

    def held(self, sums: WindowSum) -> Ints:
        """Rows of the scope with any counter that is not 0."""
        rows = np.flatnonzero(self.followed.rows.mask(self.question.scope))
        return rows[sums.of(rows).any(axis=1)]

    def largest(self, rows: Ints, sums: WindowSum, by: str, limit: int) -> Ints:
        """The largest `limit` of some rows, the largest first, those alike by name."""
        counted = sums.of(rows)
        amounts = counted[:, COUNTER_IDS["gmv" if by == "net_gmv" else by]]
        if by == "net_gmv":
            amounts = amounts - counted[:, COUNTER_IDS["refunds"]]
        chosen = np.arange(len(rows))
        if len(rows) > limit > 0:
            chosen = np.flatnonzero(amounts >= -np.partition(-amounts, limit - 1)[limit - 1])
        names = dict(zip(chosen.tolist(), self.names(rows[chosen]), strict=True))
        return rows[sorted(names, key=lambda i: (-int(amounts[i]), names[i]))[:limit]]

    def names(self, rows: Ints) -> list[str]:
        """The values of rows."""
        return [self.followed.rows.labels[row][1] for row in rows.tolist()]


class RollingView:
    """The read side of one process."""

    def __init__(self, reader: PaneReader, rows: Rows, settings: Settings) -> None:
        self.promotions: dict[str, Promotion] = {}
        self.polled_ms: int | None = None
        """When the store last answered, by the machine's clock."""
        self._settings = settings
        self._levels = levels(settings)
        self._kept = NOTHING_KEPT
        self._kept_at_ms = 0
        self._retention = Retention.of(self._levels, (), NOTHING_KEPT)
        self._stock_keep_ms = stock_keep_ms(settings)
        self._limits = limits(settings)
        self._followed = Followed(reader, self._levels, rows, State((), {}, 0), self._stock_keep_ms, self._limits)

    @property
    def state(self) -> State:
        """Where every partition stood at the last poll."""
        return self._followed.state

    # Following -------------------------------------------------------------------------------------------------------

    async def poll(self, now_ms: int) -> None:
        """Take in what was applied since the last poll."""
        followed = self._followed
        state = await followed.reader.state()
        if state.promotions_version != self.state.promotions_version or state.epochs != self.state.epochs:
            self.promotions = await followed.reader.promotions()
            self._kept_at_ms = 0
        if now_ms - self._kept_at_ms >= _KEPT_EVERY_MS:
            self._kept, self._kept_at_ms = await followed.reader.kept(), now_ms
        if not followed.goes_on(state) or len(followed.rows) > _MAX_ROWS or not await followed.take_in(state):
            # Questions are answered from what was followed before until the new start has caught up.
            rows = Rows()
            reader = followed.reader.with_rows(rows)
            followed = Followed(reader, self._levels, rows, state, self._stock_keep_ms, self._limits)
            if not await followed.take_in(state):
                return
        newest_ms = (held.newest_ms for held in state.partitions.values())
        self._retention = Retention.of(self._levels, newest_ms, self._kept)
        self._followed, self.polled_ms = followed, now_ms

    def as_of(self, now_ms: int) -> AsOf:
        """The newest as-of, and what it rests on."""
        return newest(self.state, now_ms, self._settings)

    # Asking ----------------------------------------------------------------------------------------------------------

    async def one(self, question: Question, value: str, now_ms: int) -> Answer:
        """The numbers of one value of a scope; a value that was never seen counts nothing."""
        moment = self._moment(question, value, now_ms)
        sums = await self._sums(moment)
        row = moment.followed.rows.find(question.scope, value)
        if row is None:
            (stock,) = await self._stock(moment, [value], [0])
            return _nothing(moment, value, stock)
        return await self._answer(moment, sums, [value], np.array([row]))

    async def several(self, question: Question, names: Sequence[str], now_ms: int) -> Answer:
        """The numbers of some values of a scope, in the order given."""
        moment = self._moment(question, None, now_ms)
        sums = await self._sums(moment)
        found = {name: row for name in names if (row := moment.followed.rows.find(question.scope, name)) is not None}
        answer = await self._answer(moment, sums, list(found), np.array(list(found.values()), np.int64))
        items = {item.value: item for item in answer.items}
        never = [name for name in names if name not in items]
        for name, stock in zip(never, await self._stock(moment, never, [0] * len(never)), strict=True):
            items[name] = _nothing(moment, name, stock).items[0]
        return replace(answer, items=[items[name] for name in names])

    async def every(self, question: Question, now_ms: int, *, by: str = "gmv", limit: int = MAX_ITEMS) -> Answer:
        """The numbers of each value with any counter not 0, the largest first."""
        moment = self._moment(question, None, now_ms)
        sums = await self._sums(moment)
        held = moment.held(sums)
        rows = moment.largest(held, sums, by, limit)
        return await self._answer(moment, sums, moment.names(rows), rows)

    async def count(self, question: Question, now_ms: int) -> int:
        """How many values of a scope have any counter that is not 0."""
        moment = self._moment(question, None, now_ms)
        return len(moment.held(await self._sums(moment)))

    async def amounts(self, question: Question, counter: str, now_ms: int) -> Ints:
        """One counter of each value of a scope with any counter not 0, in no order."""
        moment = self._moment(question, None, now_ms)
        sums = await self._sums(moment)
        return sums.of(moment.held(sums))[:, COUNTER_IDS[counter]]

    async def stock_at(self, as_of_ms: int, now_ms: int, question: Callable[[StockBook, StockNames], T]) -> T:
        """What a question says of the stock at an as-of, which an answer gave before."""
        moment = self._moment(Question(Window.M1, as_of_ms=as_of_ms), "", now_ms)
        names = moment.followed.rows.stock
        return await moment.followed.stock.ask(moment.as_of_ms, moment.live, lambda book: question(book, names))

    async def stock_journal(self, skus: Ints, start_ms: int, end_ms: int) -> Ledger:
        """All that happened to the stock of some SKUs (ascending, as `stock_at` numbers them) in [start_ms, end_ms)."""
        return await self._followed.stock.journal(skus, start_ms, end_ms)

    def promotion_of(self, name: str | None, as_of_ms: int) -> str | None:
        """The promotion that is meant: the one named, else the one that started last."""
        if name is not None:
            return name
        current = promotions.current(self.promotions, as_of_ms)
        return None if current is None else current.promotion_id

    async def top(self, question: Question, now_ms: int, *, by: str, limit: int, also: Sequence[str] = ()) -> Top:
        """The largest values of a scope by a counter or `net_gmv`, some others by name, and the rest summed."""
        moment = self._moment(question, None, now_ms)
        sums = await self._sums(moment)
        held = moment.held(sums)
        largest = moment.largest(held, sums, by, limit)
        named = [row for name in also if (row := moment.followed.rows.find(question.scope, name)) is not None]
        largest = np.append(largest, np.setdiff1d(np.intersect1d(named, held), largest)).astype(np.int64)
        others = np.setdiff1d(held, largest, assume_unique=True)
        rest = sums.of(others).sum(axis=0).tolist()
        shipping = summed(await self._shipping(moment, others))
        other = values({**_counters(rest, question.scope), **shipping}, question.scope)
        answer = await self._answer(moment, sums, moment.names(largest), largest)
        return Top(answer, len(held) - len(largest), other)

    async def series(
        self, question: Question, value: str, name: str, moments_ms: Sequence[int], now_ms: int
    ) -> list[tuple[int, Number]]:
        """One number at many as-of times, ascending: (as-of, number). Moments of one as-of give one point."""
        followed, asked = self._followed, []
        for i, at in enumerate(moments_ms, 1):
            asked.append(self._moment(replace(question, as_of_ms=at), value, now_ms))
            if i % _AT_ONCE == 0:
                await asyncio.sleep(0)
        moments = list({moment.as_of_ms: moment for moment in asked}.values())
        history = RowHistory(followed.blocks, self._levels, partial(followed.rows.find, question.scope, value))
        counted = await history.counters([moment.counted for moment in moments], self._counter_pieces)
        estimated = await self._estimated(history, moments) if name in DISTINCT_NAMES else {}
        stock = await self._stock_series(history, moments, value) if name in STOCK_NAMES else {}
        shipping = await self._shipping_series(moments, value) if name in SHIPPING_NAMES else {}
        points = []
        for moment, counts in zip(moments, counted.tolist(), strict=True):
            at = moment.as_of_ms
            numbers = (
                _counters(counts, question.scope) | estimated.get(at, {}) | stock.get(at, {}) | shipping.get(at, {})
            )
            points.append((moment.as_of_ms, values({**numbers, **moment.brought(value)}, question.scope)[name]))
        return points

    async def _estimated(self, history: RowHistory, moments: Sequence[_Moment]) -> dict[int, dict[str, int]]:
        """Distinct counts by as-of, without the moments that have none."""
        held = {moment.as_of_ms: panes for moment in moments if (panes := _distinct_panes(moment)) is not None}
        by_span = {covered: _pieces(covered, levels_) for covered, levels_ in held.values()}
        counts = dict(zip(by_span, await history.distincts(list(by_span.items())), strict=True))
        return {at: _named(counts[covered]) for at, (covered, _) in held.items()}

    def moment_ms(self, at_ms: int | None, now_ms: int) -> int:
        """The as-of of an answer about a moment (None: the newest)."""
        return self._moment(Question(Window.M1, as_of_ms=at_ms), "", now_ms).as_of_ms

    async def _stock_series(self, history: RowHistory, moments: Sequence[_Moment], value: str) -> dict[int, StockSums]:
        """What the stock KPIs of one value are made of, by as-of."""
        spans = [_rate_span(moment).counted for moment in moments]
        units = (await history.counters(spans, self._counter_pieces))[:, COUNTER_IDS["units"]].tolist()
        return {
            moment.as_of_ms: (await self._stock(moment, [value], [sold]))[0]
            for moment, sold in zip(moments, units, strict=True)
        }

    async def _stock(self, moment: _Moment, names: Sequence[str], units_15m: Sequence[int]) -> Sequence[StockSums]:
        """What the stock KPIs of values are made of; of a scope without any, nothing."""
        scope, asked = moment.question.scope, moment.question.promotion
        if scope not in (Scope.ALL, Scope.PROMOTION, Scope.SKU) or not moment.recent:
            return [{}] * len(names)
        followed = moment.followed
        stock = StockNumbers(followed.stock, followed.rows.stock, self.promotions, moment.as_of_ms, moment.live)
        if scope is Scope.ALL:
            return [await stock.of_shop()] * len(names)
        if scope is Scope.PROMOTION:
            return await stock.of_promotions(names)
        found = await stock.of_skus(names, self.promotion_of(asked, moment.as_of_ms))
        return [{**held, "units_15m": units} for held, units in zip(found, units_15m, strict=True)]

    async def _shipping(self, moment: _Moment, rows: Ints) -> Sequence[Mapping[str, int]]:
        """What the shipping KPIs of rows are made of; of a scope without any, nothing."""
        if moment.question.scope not in SHIPPING_SCOPES:
            return [{}] * len(rows)
        followed = moment.followed
        found = await followed.shipping.sums(moment.at, followed.newest_s, rows, self._require_kept)
        return [known(row, moment.at) for row in named(found)]

    def shipping_at(self, question: Question, now_ms: int) -> ShippingMoment:
        """A question about shipping beyond its KPIs."""
        moment = self._moment(question, "", now_ms)
        followed = moment.followed
        return ShippingMoment(followed.shipping, moment.at, followed.newest_s, followed.rows, self._require_kept)

    async def _shipping_series(self, moments: Sequence[_Moment], value: str) -> dict[int, dict[str, int]]:
        """What the shipping KPIs of one value are made of, by as-of."""
        scope, followed = moments[0].question.scope, moments[0].followed
        if scope not in SHIPPING_SCOPES:
            return {}
        row, asked = partial(followed.rows.find, scope, value), [moment.at for moment in moments]
        found = await followed.shipping.series(asked, followed.newest_s, self._levels, row, self._leg_pieces)
        return {at.as_of_s * 1000: known(row, at) for at, row in zip(asked, named(found), strict=True)}

    async def _units_15m(self, moment: _Moment, sums: WindowSum, rows: Ints) -> Sequence[int]:
        """What SKUs sold in the last 15 minutes; of other scopes it is not asked."""
        if moment.question.scope is not Scope.SKU:
            return [0] * len(rows)
        if moment.question.window is not Window.M15:
            sums = await self._sums(_rate_span(moment))
        units: list[int] = sums.of(rows)[:, COUNTER_IDS["units"]].tolist()
        return units

    def _moment(self, question: Question, value: str | None, now_ms: int) -> _Moment:
        """What a question comes to."""
        newest_ms = self.as_of(now_ms).ms
        if question.as_of_ms is not None:
            newest_ms = reached_ms(self.state, now_ms, self._settings)
        if newest_ms is None:
            raise NotReadyError(
                "there is no as-of yet: not every partition with events waiting has been read; ask again soon"
            )
        as_of_ms = newest_ms if question.as_of_ms is None else question.as_of_ms
        if as_of_ms > newest_ms:
            raise NotAnswerableError(f"as_of {as_of_ms} is later than the newest, {newest_ms}")
        retention = self._retention
        finest = self._finest(question, value, as_of_ms, newest_ms)
        as_of_ms -= as_of_ms % (1000 * COUNTER_LEVELS[finest][1])
        promotion = self._promotion(question, value, as_of_ms)
        running = None if promotion is None else promotions.running_time(promotion)
        counted = span(question.window, as_of_ms, timezone=self._settings.timezone, promotion=running)
        if counted and counted.end_s < as_of_ms // 1000 and retention.minutes_only(counted.end_s, newest_ms // 1000):
            counted = Span(counted.start_s, counted.end_s - counted.end_s % 60)  # a promotion that was over long since
        name = None if promotion is None else promotion.promotion_id
        targets = {} if promotion is None else promotions.target_sums(promotion)
        return _Moment(
            question,
            as_of_ms,
            finest,
            retention.coarsest(counted.start_s),
            retention,
            name,
            targets,
            counted,
            as_of_ms == newest_ms,
            self._followed,
        )

    def _finest(self, question: Question, value: str | None, as_of_ms: int, newest_ms: int) -> int:
        """Place in `COUNTER_LEVELS` of the finest panes that are kept at a moment.

        Of a promotion that was over by then, its end is the moment that matters: nothing has changed since.
        """
        try:
            return self._retention.finest(as_of_ms // 1000, newest_ms // 1000)
        except NotAnswerableError:
            promotion = self._promotion(question, value, as_of_ms)
            if promotion is None or promotion.ends_at >= as_of_ms:
                raise
            return self._retention.finest(-(-promotion.ends_at // 1000), newest_ms // 1000)

    def _require_kept(self, pieces: Sequence[tuple[str, Span]]) -> None:
        """Raise NotAnswerableError where panes that are needed are no longer kept: a number must not lack a part."""
        self._retention.require(pieces)

    def _counter_pieces(self, whole: Span) -> list[tuple[str, Span]]:
        """A span in the fewest panes of counters; refused where one of them is not kept."""
        return self._kept_pieces(whole, COUNTER_LEVELS)

    def _leg_pieces(self, whole: Span) -> list[tuple[str, Span]]:
        """The same of what orders add."""
        return self._kept_pieces(whole, LEG_LEVELS)

    def _kept_pieces(self, whole: Span, levels_: Sequence[tuple[str, int]]) -> list[tuple[str, Span]]:
        pieces = _pieces(whole, levels_[: self._retention.coarsest(whole.start_s) + 1])
        self._require_kept(pieces)
        return pieces

    def _promotion(self, question: Question, value: str | None, as_of_ms: int) -> Promotion | None:
        if question.window is not Window.PROMOTION:
            return None
        name = value if question.scope is Scope.PROMOTION and value is not None else question.promotion
        if name is None:
            return promotions.current(self.promotions, as_of_ms)
        if question.promotion is not None and name not in self.promotions:
            raise NotAnswerableError(
                f"there is no promotion {name!r}; known: {', '.join(sorted(self.promotions)) or 'none'}"
            )
        return self.promotions.get(name)

    async def _sums(self, moment: _Moment) -> WindowSum:
        """The counters of a window: moved on if it ends at the newest as-of, else added up."""
        followed = moment.followed
        total = followed.kept_sum((moment.question.window, moment.promotion)) if moment.live else WindowSum()
        blocks = followed.blocks
        levels_ = COUNTER_LEVELS[moment.finest : moment.coarsest + 1]
        while True:
            steps = list(total.steps_to(moment.counted))
            pieces = [piece for sign, part in steps if sign for piece in _pieces(part, levels_)]
            self._require_kept(pieces)
            if not await blocks.ensure(blocks.needed(pieces)):
                break  # nothing was waited for, so nothing has changed since the steps were made
        for sign, part in steps:
            total.take(sign, blocks.cells(_pieces(part, levels_)) if sign else ())
        total.span = moment.counted
        return total

    async def _answer(self, moment: _Moment, sums: WindowSum, names: Sequence[str], rows: Ints) -> Answer:
        question = moment.question
        counted = sums.of(rows).tolist()
        estimated = await self._distincts(moment, rows)
        stock = await self._stock(moment, names, await self._units_15m(moment, sums, rows))
        shipping = await self._shipping(moment, rows)
        items = []
        for i, name in enumerate(names):
            numbers = _counters(counted[i], question.scope)
            if estimated is not None:
                numbers |= _named(estimated[i])
            brought = {**moment.brought(name), **stock[i], **shipping[i]}
            items.append(Item(name, values({**numbers, **brought}, question.scope)))
        return Answer(moment.as_of_ms, question.window, question.scope, moment.promotion, items)

    async def _distincts(self, moment: _Moment, rows: Ints) -> list[list[int]] | None:
        """Distinct counts of rows; None where the scope, or a moment so far back, has none."""
        panes = _distinct_panes(moment)
        if panes is None:
            return None
        (covered, levels_), followed = panes, moment.followed
        if moment.live:
            steps = [step for _, step in levels_]
            return await followed.distincts.counts(rows.tolist(), covered, steps, followed.newest_s)
        union = Union(rows)
        for pieces in followed.blocks.chunks(_pieces(covered, levels_)):
            while await followed.blocks.ensure(followed.blocks.needed(pieces), sketches=True):
                pass
            union.take(followed.blocks.sketches(pieces))
        return union.counts()


def _rate_span(moment: _Moment) -> _Moment:
    """The same as-of in the window that the rate of sale is taken from."""
    end_s = moment.as_of_ms // 1000
    question = replace(moment.question, window=Window.M15)
    return replace(moment, question=question, promotion=None, counted=Span(end_s - 60 * RATE_MINUTES, end_s))


def _nothing(moment: _Moment, value: str, stock: StockSums) -> Answer:
    """The answer for a value that was never seen."""
    question = moment.question
    numbers = _counters([0] * len(COUNTERS), question.scope)
    if _distinct_panes(moment) is not None:
        numbers |= _named([0] * len(DISTINCTS))
    shipping = dict.fromkeys(LEG_NAMES, 0) if question.scope in SHIPPING_SCOPES else {}
    item = Item(value, values({**numbers, **moment.brought(value), **stock, **shipping}, question.scope))
    return Answer(moment.as_of_ms, question.window, question.scope, moment.promotion, [item])


def _pieces(whole: Span, levels_: Sequence[tuple[str, int]]) -> list[tuple[str, Span]]:
    """A span in the fewest panes of these levels."""
    return [(levels_[place][0], piece) for place, piece in cover(whole, [step for _, step in levels_])]


def _distinct_panes(moment: _Moment) -> tuple[Span, Sequence[tuple[str, int]]] | None:
    """What distinct counts cover at a moment, and the levels they are kept in; None where there are none."""
    scope = moment.question.scope
    covered = distinct_span(moment.question.window, scope, moment.counted)
    if covered is None:
        return None
    levels_ = DISTINCT_LEVELS[max(moment.finest, 1 if scope is Scope.SKU else 0) : moment.coarsest + 1]
    if covered and (covered.start_s % levels_[0][1] or covered.end_s % levels_[0][1]):
        return None
    if not all(moment.retention.has(name, piece) for name, piece in _pieces(covered, levels_)):
        return None
    return covered, levels_


def _counters(counted: Sequence[int], scope: Scope) -> dict[str, int]:
    """Counters by name, without those that a scope does not have."""
    absent = absent_counters(scope)
    return {c.name: n for c, n in zip(COUNTERS, counted, strict=True) if c.name not in absent}


def _named(estimated: Sequence[int]) -> dict[str, int]:
    """Distinct counts by name."""
    return {d.name: n for d, n in zip(DISTINCTS, estimated, strict=True)}
