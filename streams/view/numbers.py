"""The KPIs of a resolved query, or one of them at many as-ofs: counters, distinct counts, stock and shipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from streams.dictionary.names import ALL, PROMOTION, SKU
from streams.model import promotions
from streams.model.kpis import KPIS, SHIPPING_NAMES, SHIPPING_SCOPES, STOCK_NAMES, Number, absent_counters, values
from streams.model.windows import Span, Window
from streams.panes.arrays import Ints
from streams.panes.cells import Cells, merge_cells
from streams.panes.counters import COUNTER_IDS, COUNTERS, DISTINCTS
from streams.panes.rows import RowIndex
from streams.shipping.counters import SHIPPING_SUM_NAMES
from streams.stock.stock_state import StockState
from streams.store.levels import PaneLevel
from streams.view.blocks import move_sum
from streams.view.followed import FollowedState
from streams.view.query import Answer, Item
from streams.view.registers import DistinctUnion
from streams.view.resolve import ResolvedQuery
from streams.view.row_history import RowHistory
from streams.view.shipping import named_sums
from streams.view.stock import StockSums, promotion_sums, shop_sums, sku_sums
from streams.view.sums import WindowSum

_DISTINCTS = frozenset(distinct.name for distinct in DISTINCTS)
DISTINCT_NAMES = _DISTINCTS | {kpi.name for kpi in KPIS if not _DISTINCTS.isdisjoint(kpi.inputs)}
"""Distinct counts, and the KPIs that read them."""


async def answer_rows(resolved: ResolvedQuery, sums: WindowSum, names: Sequence[str], rows: Ints) -> Answer:
    """The KPIs of rows, in this order. `names`: the values of the rows."""
    query = resolved.query
    scope, counted = query.scope, sums.of(rows).tolist()
    estimated = await distinct_counts(resolved, rows) if query.wants(DISTINCT_NAMES) else None
    stock = await stock_sums(resolved, names, await _units_15m(resolved, sums, rows))
    shipping = await shipping_sums(resolved, rows)
    items = []
    for i, name in enumerate(names):
        numbers = named_counters(counted[i], scope)
        if estimated is not None:
            numbers |= named_distincts(estimated[i])
        extra_sums = {**resolved.extra_sums(name), **stock[i], **shipping[i]}
        items.append(Item(name, values({**numbers, **extra_sums}, scope, query.only)))
    return Answer(resolved.as_of_ms, query.window, scope, resolved.promotion, items)


async def empty_items(resolved: ResolvedQuery, names: Sequence[str]) -> list[Item]:
    """The KPIs of values that were never counted; they may have stock."""
    scope = resolved.query.scope
    numbers = named_counters([0] * len(COUNTERS), scope)
    if resolved.distinct_pieces is not None:
        numbers |= named_distincts([0] * len(DISTINCTS))
    if scope in SHIPPING_SCOPES:
        numbers |= dict.fromkeys(SHIPPING_SUM_NAMES, 0)
    stock = await stock_sums(resolved, names, [0] * len(names))
    return [
        Item(name, values({**numbers, **resolved.extra_sums(name), **stock_of_value}, scope, resolved.query.only))
        for name, stock_of_value in zip(names, stock, strict=True)
    ]


async def window_sums(resolved: ResolvedQuery) -> WindowSum:
    """The counters of a window: updated if it ends at the newest as-of, otherwise added up."""
    followed = resolved.followed
    total = followed.window_sum((resolved.query.window, resolved.promotion)) if resolved.live else WindowSum()
    blocks = followed.blocks
    await move_sum(total, resolved.covered_span, resolved.levels, blocks, blocks.cells, resolved.require_kept)
    return total


async def distinct_counts(resolved: ResolvedQuery, rows: Ints) -> list[list[int]] | None:
    """Distinct counts: [row][distinct]; None if the scope has none, or none at an as-of this old."""
    panes = resolved.distinct_pieces
    if panes is None:
        return None
    (covered, pieces, steps_s), followed = panes, resolved.followed
    if resolved.live:
        return await followed.distincts.counts(rows.tolist(), covered, steps_s, followed.newest_s)
    union = DistinctUnion(rows)
    for part in followed.blocks.chunks(pieces):
        while await followed.blocks.ensure(followed.blocks.block_ids(part), sketches=True):
            pass
        union.take(followed.blocks.sketches(part))
    return union.counts()


async def stock_sums(resolved: ResolvedQuery, names: Sequence[str], units_15m: Sequence[int]) -> Sequence[StockSums]:
    """Inputs of the stock KPIs, by value; empty if they are not wanted, and for scopes without stock."""
    scope = resolved.query.scope
    has_stock = scope in (ALL, PROMOTION, SKU) and resolved.recent
    if not has_stock or not resolved.query.wants(STOCK_NAMES):
        return [{}] * len(names)
    known, stock = resolved.promotions, resolved.followed.rows.stock
    promotion = promotions.promotion_or_current(known, resolved.query.promotion, resolved.as_of_ms)

    def sums(stock_state: StockState) -> list[StockSums]:
        if scope == ALL:
            return [shop_sums(stock_state)] * len(names)
        if scope == SKU:
            return sku_sums(stock_state, stock, names, promotion)
        skus = [known[name].skus or () if name in known else () for name in names]
        return [promotion_sums(stock_state, stock, of_value) for of_value in skus]

    by_value = await resolved.followed.stock.ask(resolved.as_of_ms, resolved.live, sums)
    return [{**of_value, "units_15m": units} for of_value, units in zip(by_value, units_15m, strict=True)]


async def shipping_sums(resolved: ResolvedQuery, rows: Ints) -> Sequence[Mapping[str, int]]:
    """Inputs of the shipping KPIs, by row; empty if they are not wanted, and for scopes without shipping."""
    if resolved.query.scope not in SHIPPING_SCOPES or not resolved.query.wants(SHIPPING_NAMES):
        return [{}] * len(rows)
    return [named_sums(row, resolved.at) for row in (await resolved.shipping.sums(rows)).tolist()]


async def shipping_total(resolved: ResolvedQuery, rows: Ints) -> Mapping[str, int]:
    """Inputs of the shipping KPIs of rows together; empty for scopes without shipping, and without rows."""
    if resolved.query.scope not in SHIPPING_SCOPES or not len(rows):
        return {}
    return named_sums((await resolved.shipping.total(rows))[0].tolist(), resolved.at)


async def _units_15m(resolved: ResolvedQuery, sums: WindowSum, rows: Ints) -> Sequence[int]:
    """Units sold in the last 15 minutes, by row; only scope `sku` needs them."""
    if resolved.query.scope != SKU or not resolved.query.wants(STOCK_NAMES):
        return [0] * len(rows)
    if resolved.query.window is not Window.M15:
        sums = await window_sums(resolved.for_sale_rate())
    units: list[int] = sums.column(rows, COUNTER_IDS["units"]).tolist()
    return units


def named_counters(counted: Sequence[int], scope: str) -> dict[str, int]:
    """Counters by name, without those that the scope lacks."""
    absent = absent_counters(scope)
    return {c.name: n for c, n in zip(COUNTERS, counted, strict=True) if c.name not in absent}


def named_distincts(estimated: Sequence[int]) -> dict[str, int]:
    """Distinct counts by name."""
    return {d.name: n for d, n in zip(DISTINCTS, estimated, strict=True)}


SECONDS = "s"
"""The level of panes of one second."""


@dataclass(frozen=True, slots=True)
class SecondCells:
    """The counters of a span, second by second."""

    span: Span
    cells: Cells
    rows: RowIndex
    """The rows that `cells` refers to; they differ after a restart of following."""


async def seconds(followed: FollowedState, span: Span) -> SecondCells:
    """All counters of a span. Raises NotAnswerableError if seconds of it are no longer kept."""
    pieces = [(SECONDS, span)] if span else []
    followed.retention.require(pieces)
    while await followed.blocks.ensure(followed.blocks.block_ids(pieces)):
        pass  # blocks may have been evicted while it waited
    return SecondCells(span, merge_cells(list(followed.blocks.cells(pieces))), followed.rows)


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
        as_of_ms = resolved.as_of_ms
        sums = (
            named_counters(counts, scope)
            | estimated.get(as_of_ms, {})
            | stock.get(as_of_ms, {})
            | shipping.get(as_of_ms, {})
        )
        points.append((as_of_ms, values({**sums, **resolved.extra_sums(value)}, scope)[name]))
    return points


async def _distincts(history: RowHistory, resolved_queries: Sequence[ResolvedQuery]) -> dict[int, dict[str, int]]:
    """Distinct counts by as-of, without as-ofs that have none."""
    panes_of = {
        resolved.as_of_ms: panes for resolved in resolved_queries if (panes := resolved.distinct_pieces) is not None
    }
    by_span = {covered: pieces for covered, pieces, _ in panes_of.values()}
    counts = dict(zip(by_span, await history.distincts(list(by_span.items())), strict=True))
    return {as_of_ms: named_distincts(counts[covered]) for as_of_ms, (covered, _, _) in panes_of.items()}


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
    row, windows = partial(resolved_queries[0].row, value), [resolved.at for resolved in resolved_queries]
    counters = await followed.shipping.series(
        windows, followed.newest_s, levels, row, resolved_queries[0].interval_pieces
    )
    return {
        window.as_of_s * 1000: named_sums(row, window) for window, row in zip(windows, counters.tolist(), strict=True)
    }
