"""The KPIs of a resolved query, or one of them at many as-ofs: counters, distinct counts, stock and shipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from streams.dictionary.names import ALL, PROMOTION, SKU
from streams.model import promotions
from streams.model.kpis import SHIPPING_SCOPES, Number
from streams.model.windows import Span, Window
from streams.panes.arrays import Ints
from streams.panes.cells import Cells, merge_cells
from streams.panes.rows import RowIndex
from streams.shipping.counters import SHIPPING_SUM_NAMES
from streams.stock.stock_state import StockState
from streams.store.levels import PaneLevel
from streams.view.blocks import move_sum
from streams.view.followed import FollowedState
from streams.view.query import Answer, Item
from streams.view.registers import DistinctUnion, distinct_slots
from streams.view.resolve import ResolvedQuery
from streams.view.row_history import RowHistory, columns_of
from streams.view.shipping import named_sums
from streams.view.stock import StockSums, promotion_sums, shop_sums, sku_sums
from streams.view.sums import WindowSum, new_window_sum

_UNITS = "units"
"""The counter that rates of sale are computed from."""


async def answer_rows(resolved: ResolvedQuery, sums: WindowSum, names: Sequence[str], rows: Ints) -> Answer:
    """The KPIs of rows, in this order. `names`: the values of the rows."""
    query, numbers = resolved.query, resolved.numbers
    scope, counted, counters = query.scope, sums.of(rows).tolist(), resolved.counters
    estimated = await distinct_counts(resolved, rows) if query.wants(numbers.distinct_names) else None
    stock = await stock_sums(resolved, names, await _units_15m(resolved, sums, rows))
    shipping = await shipping_sums(resolved, rows)
    items = []
    for i, name in enumerate(names):
        of_row = named(counters, counted[i])
        if estimated is not None:
            of_row.update(estimated[i])
        of_row.update(resolved.extra_sums(name))
        of_row.update(stock[i])
        of_row.update(shipping[i])
        items.append(Item(name, numbers.values(of_row, scope, query.only)))
    return Answer(resolved.as_of_ms, query.window, scope, resolved.promotion, items)


async def empty_items(resolved: ResolvedQuery, names: Sequence[str]) -> list[Item]:
    """The KPIs of values that were never counted; they may have stock."""
    scope, only, numbers = resolved.query.scope, resolved.query.only, resolved.numbers
    panes = resolved.distinct_pieces
    distincts = () if panes is None else resolved.distincts_from(panes[0])
    nothing = dict.fromkeys((name for name, _ in (*resolved.counters, *distincts)), 0)
    if scope in SHIPPING_SCOPES:
        nothing |= dict.fromkeys(SHIPPING_SUM_NAMES, 0)
    stock = await stock_sums(resolved, names, [0] * len(names))
    return [
        Item(name, numbers.values({**nothing, **resolved.extra_sums(name), **stock_of_value}, scope, only))
        for name, stock_of_value in zip(names, stock, strict=True)
    ]


async def window_sums(resolved: ResolvedQuery) -> WindowSum:
    """The counters of a window: updated if it ends at the newest as-of, otherwise added up."""
    followed = resolved.followed
    blocks, key = followed.blocks, (resolved.query.window, resolved.promotion)
    total = followed.window_sum(key) if resolved.live else new_window_sum(followed.rows.model)
    await move_sum(total, resolved.covered_span, resolved.levels, blocks, blocks.cells, resolved.require_kept)
    return total


async def distinct_counts(resolved: ResolvedQuery, rows: Ints) -> list[dict[str, int]] | None:
    """Distinct counts by name, of each row; None if the scope has none, or none at an as-of this old."""
    panes = resolved.distinct_pieces
    if panes is None:
        return None
    (covered, pieces, steps_s), followed = panes, resolved.followed
    measures = resolved.distincts_from(covered)
    if resolved.live:
        live = await followed.distincts.counts(rows.tolist(), covered, steps_s, followed.newest_s)
        return [named(measures, counts) for counts in live]
    union = DistinctUnion(rows, distinct_slots(followed.rows.model, resolved.query.scope))
    for part in followed.blocks.chunks(pieces):
        while await followed.blocks.ensure(followed.blocks.block_ids(part), sketches=True):
            pass
        union.take(followed.blocks.sketches(part))
    return [named(measures, counts) for counts in union.counts()]


async def stock_sums(resolved: ResolvedQuery, names: Sequence[str], units_15m: Sequence[int]) -> Sequence[StockSums]:
    """Inputs of the stock KPIs, by value; empty if they are not wanted, and for scopes without stock."""
    scope = resolved.query.scope
    has_stock = scope in (ALL, PROMOTION, SKU) and resolved.recent
    if not has_stock or not resolved.query.wants(resolved.numbers.stock_names):
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
    if resolved.query.scope not in SHIPPING_SCOPES or not resolved.query.wants(resolved.numbers.shipping_names):
        return [{}] * len(rows)
    return [named_sums(row, resolved.at) for row in (await resolved.shipping.sums(rows)).tolist()]


async def shipping_total(resolved: ResolvedQuery, rows: Ints) -> Mapping[str, int]:
    """Inputs of the shipping KPIs of rows together; empty for scopes without shipping, and without rows."""
    if resolved.query.scope not in SHIPPING_SCOPES or not len(rows):
        return {}
    return named_sums((await resolved.shipping.total(rows))[0].tolist(), resolved.at)


async def _units_15m(resolved: ResolvedQuery, sums: WindowSum, rows: Ints) -> Sequence[int]:
    """Units sold in the last 15 minutes, by row; only scope `sku` needs them."""
    if resolved.query.scope != SKU or not resolved.query.wants(resolved.numbers.stock_names):
        return [0] * len(rows)
    if resolved.query.window is not Window.M15:
        sums = await window_sums(resolved.for_sale_rate())
    units: list[int] = sums.column(rows, resolved.numbers.slots[_UNITS]).tolist()
    return units


def named(measures: Sequence[tuple[str, int]], amounts: Sequence[int]) -> dict[str, int]:
    """The amounts of measures, which are (name, slot), by name."""
    return {name: amounts[slot] for name, slot in measures}


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
    first = resolved_queries[0]
    scope, numbers = first.query.scope, first.numbers
    columns = columns_of(numbers.model, scope)
    history = RowHistory(first.followed.blocks, levels, partial(first.row, value), columns)
    counted = await history.counters([resolved.covered_span for resolved in resolved_queries], first.counter_pieces)
    estimated = await _distincts(history, resolved_queries) if name in numbers.distinct_names else {}
    stock = await _stock(history, resolved_queries, value) if name in numbers.stock_names else {}
    shipping = await _shipping(resolved_queries, value, levels) if name in numbers.shipping_names else {}
    only = frozenset({name})
    points = []
    for resolved, counts in zip(resolved_queries, counted.tolist(), strict=True):
        as_of_ms = resolved.as_of_ms
        sums = (
            named(resolved.counters, counts)
            | estimated.get(as_of_ms, {})
            | stock.get(as_of_ms, {})
            | shipping.get(as_of_ms, {})
        )
        points.append((as_of_ms, numbers.values({**sums, **resolved.extra_sums(value)}, scope, only)[name]))
    return points


async def _distincts(history: RowHistory, resolved_queries: Sequence[ResolvedQuery]) -> dict[int, dict[str, int]]:
    """Distinct counts by as-of, without as-ofs that have none."""
    panes_of = {
        resolved.as_of_ms: panes for resolved in resolved_queries if (panes := resolved.distinct_pieces) is not None
    }
    by_span = {covered: pieces for covered, pieces, _ in panes_of.values()}
    counts = dict(zip(by_span, await history.distincts(list(by_span.items())), strict=True))
    first = resolved_queries[0]
    return {
        as_of_ms: named(first.distincts_from(covered), counts[covered])
        for as_of_ms, (covered, _, _) in panes_of.items()
    }


async def _stock(history: RowHistory, resolved_queries: Sequence[ResolvedQuery], value: str) -> dict[int, StockSums]:
    """Inputs of the stock KPIs, by as-of."""
    spans = [resolved.for_sale_rate().covered_span for resolved in resolved_queries]
    units = (await history.counters(spans, resolved_queries[0].counter_pieces))[
        :, resolved_queries[0].numbers.slots[_UNITS]
    ].tolist()
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
