"""One number of one value at many moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from streams.model.kpis import STOCK_NAMES, Number, values
from streams.panes.counters import COUNTER_IDS
from streams.shipping.kpis import SHIPPING_NAMES, SHIPPING_SCOPES
from streams.store.levels import Level
from streams.view.moment import Moment
from streams.view.numbers import DISTINCT_NAMES, named_counters, named_distincts, stock_of
from streams.view.series import RowHistory
from streams.view.shipping import known, named
from streams.view.stock_numbers import StockSums


async def curve(moments: Sequence[Moment], value: str, name: str, levels: Sequence[Level]) -> list[tuple[int, Number]]:
    """One number of a value at moments of the same question, each of another as-of: (as-of, number)."""
    if not moments:
        return []
    scope = moments[0].question.scope
    history = RowHistory(moments[0].followed.blocks, levels, partial(moments[0].row, value))
    counted = await history.counters([moment.counted for moment in moments], moments[0].counter_pieces)
    estimated = await _distincts(history, moments) if name in DISTINCT_NAMES else {}
    stock = await _stock(history, moments, value) if name in STOCK_NAMES else {}
    shipping = await _shipping(moments, value, levels) if name in SHIPPING_NAMES else {}
    points = []
    for moment, counts in zip(moments, counted.tolist(), strict=True):
        at = moment.as_of_ms
        sums = named_counters(counts, scope) | estimated.get(at, {}) | stock.get(at, {}) | shipping.get(at, {})
        points.append((at, values({**sums, **moment.brought(value)}, scope)[name]))
    return points


async def _distincts(history: RowHistory, moments: Sequence[Moment]) -> dict[int, dict[str, int]]:
    """Distinct counts by as-of, without the moments that have none."""
    held = {moment.as_of_ms: panes for moment in moments if (panes := moment.distinct_pieces) is not None}
    by_span = {covered: found for covered, found, _ in held.values()}
    counts = dict(zip(by_span, await history.distincts(list(by_span.items())), strict=True))
    return {at: named_distincts(counts[covered]) for at, (covered, _, _) in held.items()}


async def _stock(history: RowHistory, moments: Sequence[Moment], value: str) -> dict[int, StockSums]:
    """What the stock KPIs of the value are made of, by as-of."""
    spans = [moment.of_rate().counted for moment in moments]
    units = (await history.counters(spans, moments[0].counter_pieces))[:, COUNTER_IDS["units"]].tolist()
    return {
        moment.as_of_ms: (await stock_of(moment, [value], [sold]))[0]
        for moment, sold in zip(moments, units, strict=True)
    }


async def _shipping(moments: Sequence[Moment], value: str, levels: Sequence[Level]) -> dict[int, dict[str, int]]:
    """What the shipping KPIs of the value are made of, by as-of."""
    scope, followed = moments[0].question.scope, moments[0].followed
    if scope not in SHIPPING_SCOPES:
        return {}
    row, asked = partial(moments[0].row, value), [moment.at for moment in moments]
    found = await followed.shipping.series(asked, followed.newest_s, levels, row, moments[0].leg_pieces)
    return {at.as_of_s * 1000: known(sums, at) for at, sums in zip(asked, named(found), strict=True)}
