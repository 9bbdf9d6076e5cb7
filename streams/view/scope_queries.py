"""Queries for all values of a scope. In scope `promotion`, window `promotion` is each promotion's own time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from streams.model.kpis import PUBLIC_COUNTERS, Number, values
from streams.model.windows import Window
from streams.panes.scopes import Scope
from streams.view.query import Answer, Item, KpiQuery, NotAnswerableError, Top
from streams.view.rolling import MAX_ITEMS, RollingView


class ScopeQueries:
    """Queries the view at one moment of the machine's clock."""

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
        answer = await self._by_promotion(query)
        items = _ranked(answer.items, by)
        return Top(replace(answer, items=items[:limit]), len(items[limit:]), _summed(items[limit:]))

    async def _by_promotion(self, query: KpiQuery) -> Answer:
        """Each promotion that has started and has any counter, in its own time."""
        whole = await self._view.one(replace(query, window=Window.M1, scope=Scope.ALL), "", self._at_ms)
        at_moment = replace(query, as_of_ms=whole.as_of_ms)
        begun = [name for name, held in self._view.promotions.items() if held.starts_at <= whole.as_of_ms]
        items: list[Item] = []
        for name in begun:
            with contextlib.suppress(NotAnswerableError):  # its first panes have expired
                items += (await self._view.one(at_moment, name, self._at_ms)).items
        return Answer(whole.as_of_ms, query.window, query.scope, None, [item for item in items if _counts(item)])


def _each_its_own(query: KpiQuery) -> bool:
    return query.scope is Scope.PROMOTION and query.window is Window.PROMOTION and query.promotion is None


def _counts(item: Item) -> bool:
    return any(item.values[counter.name] for counter in PUBLIC_COUNTERS)


def _ranked(items: list[Item], by: str) -> list[Item]:
    return sorted(items, key=lambda item: (-(item.values[by] or 0), item.value))


def _summed(items: list[Item]) -> dict[str, Number]:
    """Summed counters and their KPIs."""
    sums = {counter.name: sum(int(item.values[counter.name] or 0) for item in items) for counter in PUBLIC_COUNTERS}
    return values(sums, Scope.PROMOTION)
