"""One number of one value at many moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from streams.model.kpis import STOCK_NAMES, Number, values
from streams.panes.counters import COUNTER_IDS
from streams.shipping.kpis import SHIPPING_NAMES, SHIPPING_SCOPES
from streams.store.levels import PaneLevel
from streams.view.numbers import DISTINCT_NAMES, named_counters, named_distincts, stock_sums
from streams.view.resolve import ResolvedQuery
from streams.view.row_history import RowHistory
from streams.view.shipping import known_sums, sums_by_name
from streams.view.stock_numbers import StockSums


async def series_points(
    resolved_queries: Sequence[ResolvedQuery], value: str, name: str, levels: Sequence[PaneLevel]
) -> list[tuple[int, Number]]:
    """One number of a value, by as-of: (as-of, number). All queries are equal but for their as-of."""
    if not resolved_queries:
        return []
    scope = resolved_queries[0].query.scope
    history = RowHistory(resolved_queries[0].followed.blocks, levels, partial(resolved_queries[0].row, value))
    counted = await history.counters(
        [resolved.covered_span for resolved in resolved_queries], resolved_queries[0].counter_pieces
    )
    estimated = await _distincts(history, resolved_queries) if name in DISTINCT_NAMES else {}
    stock = await _stock(history, resolved_queries, value) if name in STOCK_NAMES else {}
    shipping = await _shipping(resolved_queries, value, levels) if name in SHIPPING_NAMES else {}
    points = []
    for resolved, counts in zip(resolved_queries, counted.tolist(), strict=True):
        at = resolved.as_of_ms
        sums = named_counters(counts, scope) | estimated.get(at, {}) | stock.get(at, {}) | shipping.get(at, {})
        points.append((at, values({**sums, **resolved.extra_sums(value)}, scope)[name]))
    return points


async def _distincts(history: RowHistory, resolved_queries: Sequence[ResolvedQuery]) -> dict[int, dict[str, int]]:
    """Distinct counts by as-of, without as-ofs that have none."""
    held = {
        resolved.as_of_ms: panes for resolved in resolved_queries if (panes := resolved.distinct_pieces) is not None
    }
    by_span = {covered: found for covered, found, _ in held.values()}
    counts = dict(zip(by_span, await history.distincts(list(by_span.items())), strict=True))
    return {at: named_distincts(counts[covered]) for at, (covered, _, _) in held.items()}


async def _stock(history: RowHistory, resolved_queries: Sequence[ResolvedQuery], value: str) -> dict[int, StockSums]:
    """Inputs of the stock KPIs, by as-of."""
    spans = [resolved.for_sale_rate().covered_span for resolved in resolved_queries]
    units = (await history.counters(spans, resolved_queries[0].counter_pieces))[:, COUNTER_IDS["units"]].tolist()
    return {
        resolved.as_of_ms: (await stock_sums(resolved, [value], [sold]))[0]
        for resolved, sold in zip(resolved_queries, units, strict=True)
    }


async def _shipping(
    resolved_queries: Sequence[ResolvedQuery], value: str, levels: Sequence[PaneLevel]
) -> dict[int, dict[str, int]]:
    """Inputs of the shipping KPIs, by as-of."""
    scope, followed = resolved_queries[0].query.scope, resolved_queries[0].followed
    if scope not in SHIPPING_SCOPES:
        return {}
    row, asked = partial(resolved_queries[0].row, value), [resolved.at for resolved in resolved_queries]
    found = await followed.shipping.series(asked, followed.newest_s, levels, row, resolved_queries[0].interval_pieces)
    return {at.as_of_s * 1000: known_sums(sums, at) for at, sums in zip(asked, sums_by_name(found), strict=True)}
