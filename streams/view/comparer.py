"""Queries answered twice: at the as-of, and at the earlier time that it is compared with; baselines."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumers.contract.events import Promotion
from streams.dictionary.names import PROMOTION
from streams.model import promotions
from streams.model.kpis import Number
from streams.model.windows import Window
from streams.view.compare_rules import Comparison, ComparisonPeriod, promotion_pair
from streams.view.query import Answer, Item, KpiQuery, NotAnswerableError
from streams.view.rolling import RollingView, ScopeQueries

_MINUTE_MS = 60_000
_MOST = 64
"""Maximum number of cached baselines."""


@dataclass(frozen=True, slots=True)
class ComparedMoment:
    """The earlier time that an answer is compared with."""

    as_of_ms: int
    offset_ms: int
    """From this time to the as-of."""
    promotion: str | None
    """The baseline, or the promotion covered by window `promotion`; else None."""


@dataclass(frozen=True, slots=True)
class ComparedItem:
    """One value of a scope, now and then."""

    now: Item
    then: Item | None
    at: ComparedMoment | None
    """None, like `then`, for a promotion in a list that has no baseline."""


@dataclass(frozen=True, slots=True)
class ComparedAnswer:
    """Answers at two as-ofs."""

    now: Answer
    at: ComparedMoment | None
    """None if each item is compared with a time of its own."""
    items: list[ComparedItem]


@dataclass(frozen=True, slots=True)
class ComparedSeries:
    """A series of another time, on the time axis of now."""

    offset_ms: int
    """Shift from the time compared with to the axis, at the last point. Across a clock change, earlier points are an
    hour off."""
    promotion: str | None
    points: list[tuple[int, Number]]
    """# [(time on the axis, epoch ms; number)]"""


class Comparer:
    """Compares answers of the view. All queries of one comparer use the same present, `at_ms`."""

    def __init__(self, view: RollingView, at_ms: int, timezone: str) -> None:
        self._view = view
        self._at_ms = at_ms
        self._timezone = timezone
        self._scope_queries = ScopeQueries(view, at_ms)

    async def one(self, query: KpiQuery, value: str, against: ComparisonPeriod) -> ComparedAnswer:
        """One value of a scope, now and at the same time then."""
        comparison, query = self._aligned(query, value, against)
        now = await self._view.one(query, value, self._at_ms)
        then_query = _asked_then(comparison, query, now.promotion, now.as_of_ms)
        then = await self._view.one(then_query, _value_then(comparison, query.scope, value), self._at_ms)
        at = _then(now, then, comparison)
        return ComparedAnswer(now, at, [ComparedItem(now.items[0], then.items[0], at)])

    async def every(self, query: KpiQuery, against: ComparisonPeriod) -> ComparedAnswer:
        """Each value with any counter now, largest GMV first, and the same values then."""
        if query.scope == PROMOTION and query.promotion is None:
            return await self._every_promotion(query, against)
        comparison, query = self._aligned(query, None, against)
        now = await self._scope_queries.every(query)
        then_query = _asked_then(comparison, query, now.promotion, now.as_of_ms)
        values = [_value_then(comparison, query.scope, item.value) for item in now.items]
        then = await self._view.several(then_query, values, self._at_ms)
        at = _then(now, then, comparison)
        pairs = zip(now.items, then.items, strict=True)
        return ComparedAnswer(now, at, [ComparedItem(item, other, at) for item, other in pairs])

    async def series(
        self, query: KpiQuery, value: str, name: str, moments_ms: Sequence[int], against: ComparisonPeriod
    ) -> ComparedSeries:
        """One number at the times that `moments_ms` (ascending) are compared with."""
        last_ms = moments_ms[-1]
        comparison = self._comparison(query, value, against, last_ms)
        then_query = _asked_then(comparison, query, self._covered(query, last_ms), last_ms)
        then_ms = {at: comparison.then_ms(at) for at in moments_ms}
        moments = sorted(set(then_ms.values()))
        row = _value_then(comparison, query.scope, value)
        numbers = dict(await self._view.series(then_query, row, name, moments, self._at_ms))
        as_ofs = sorted(numbers)
        points: dict[int, Number] = {}
        for at, then in then_ms.items():
            as_of_ms = as_ofs[bisect_right(as_ofs, then) - 1]  # old times are rounded down to minutes
            points[at - then + as_of_ms] = numbers[as_of_ms]
        return ComparedSeries(last_ms - then_ms[last_ms], then_query.promotion, sorted(points.items()))

    async def _every_promotion(self, query: KpiQuery, against: ComparisonPeriod) -> ComparedAnswer:
        """Each promotion on its own clock; `then` is None without a baseline."""
        now = await self._scope_queries.every(query)
        items = []
        for item in now.items:
            try:
                compared = await self.one(replace(query, as_of_ms=now.as_of_ms), item.value, against)
            except NotAnswerableError:
                items.append(ComparedItem(item, None, None))
            else:
                items += compared.items
        return ComparedAnswer(now, None, items)

    def _aligned(self, query: KpiQuery, value: str | None, against: ComparisonPeriod) -> tuple[Comparison, KpiQuery]:
        """The comparison, and the query for now.

        If only minutes are kept of the past, now is rounded down by the same seconds: otherwise 90 s of a sale would be
        compared with 60 s.
        """
        at_ms = self._view.resolve_as_of_ms(query.as_of_ms, self._at_ms)
        comparison = self._comparison(query, value, against, at_ms)
        then_ms = comparison.then_ms(at_ms)
        at_ms -= then_ms - self._view.resolve_as_of_ms(then_ms, self._at_ms)
        return comparison, replace(query, as_of_ms=at_ms)

    def _comparison(self, query: KpiQuery, value: str | None, against: ComparisonPeriod, at_ms: int) -> Comparison:
        pair = None
        if against is ComparisonPeriod.BASELINE:
            pair = promotion_pair(self._promotion(query, value, at_ms), self._view.promotions, at_ms)
        return Comparison(against, self._timezone, pair)

    def _promotion(self, query: KpiQuery, value: str | None, at_ms: int) -> Promotion | None:
        """The promotion that is compared with its baseline."""
        named = value if query.scope == PROMOTION and value is not None else query.promotion
        if named is None:
            return promotions.current_promotion(self._view.promotions, at_ms)
        if named not in self._view.promotions:
            known = ", ".join(sorted(self._view.promotions)) or "none"
            raise NotAnswerableError(f"unknown promotion {named!r}; known: {known}")
        return self._view.promotions[named]

    def _covered(self, query: KpiQuery, at_ms: int) -> str | None:
        """The promotion covered by window `promotion`, unless the scope's value names it."""
        if query.window is not Window.PROMOTION or query.promotion is not None:
            return query.promotion
        current = promotions.current_promotion(self._view.promotions, at_ms)
        return None if current is None else current.promotion_id


def _asked_then(comparison: Comparison, query: KpiQuery, covered: str | None, at_ms: int) -> KpiQuery:
    """The query for the time that `at_ms` is compared with.

    Without a baseline it names the promotion of now: another may have been current then.
    """
    pair = comparison.pair
    promotion = covered if pair is None else pair.baseline.promotion_id
    return replace(query, as_of_ms=comparison.then_ms(at_ms), promotion=promotion)


def _then(now: Answer, then: Answer, comparison: Comparison) -> ComparedMoment:
    pair = comparison.pair
    promotion = then.promotion if pair is None else pair.baseline.promotion_id
    return ComparedMoment(then.as_of_ms, now.as_of_ms - then.as_of_ms, promotion)


def _value_then(comparison: Comparison, scope: str, value: str) -> str:
    """The value to compare with: for a promotion its baseline, otherwise the same value."""
    pair = comparison.pair
    if pair is not None and scope == PROMOTION and value == pair.promotion.promotion_id:
        return pair.baseline.promotion_id
    return value


class Baselines:
    """Baselines of one server, as of the last full minute."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._kept: OrderedDict[str, tuple[object, Mapping[str, Number]]] = OrderedDict()
        """# {promotion_id: (cache key, KPIs)}"""

    async def of(self, view: RollingView, at_ms: int, promotion: Promotion, as_of_ms: int) -> Mapping[str, Number]:
        """KPIs and counters of a promotion's baseline, in scope and window `promotion`; empty without a baseline."""
        name, as_of_ms = promotion.promotion_id, as_of_ms - as_of_ms % _MINUTE_MS
        cache_key = (as_of_ms, view.state.promotions_version, view.state.epochs)
        cached = self._kept.get(name)
        if cached is not None and cached[0] == cache_key:
            return cached[1]
        kpis: Mapping[str, Number] = {}
        with contextlib.suppress(NotAnswerableError):  # no baseline, or its panes have expired
            query = KpiQuery(Window.PROMOTION, PROMOTION, as_of_ms)
            (item,) = (await Comparer(view, at_ms, self._timezone).one(query, name, ComparisonPeriod.BASELINE)).items
            kpis = {} if item.then is None else item.then.values
        self._kept[name] = cache_key, kpis
        self._kept.move_to_end(name)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return kpis
