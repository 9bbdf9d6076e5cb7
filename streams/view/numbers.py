"""The numbers of a moment: its counters, distinct counts, stock and shipping, made into KPIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streams import promotions
from streams.model.kpis import (
    KPIS,
    STOCK_NAMES,
    STOCK_SUMS,
    TARGET_TIERS,
    Number,
    Sums,
    absent_counters,
    target_sum,
    values,
)
from streams.model.windows import Span, Window, in_panes
from streams.panes.arrays import Ints
from streams.panes.cells import Cells, merge_cells
from streams.panes.counters import COUNTER_IDS, COUNTERS, DISTINCTS
from streams.panes.rows import Rows
from streams.panes.scopes import Scope
from streams.shipping.counters import LEG_NAMES
from streams.shipping.kpis import SHIPPING_NAMES, SHIPPING_SCOPES
from streams.view.asking import Answer, Item
from streams.view.followed import Followed
from streams.view.live_distincts import Union
from streams.view.moment import Moment
from streams.view.shipping import known, named
from streams.view.stock_numbers import StockNumbers, StockSums
from streams.view.sums import WindowSum


def _needs_distincts(compute: Callable[[Sums], Number]) -> bool:
    counted = [counter.name for counter in COUNTERS]
    try:
        compute(dict.fromkeys([*counted, *map(target_sum, TARGET_TIERS), *STOCK_SUMS, *LEG_NAMES], 0))
    except KeyError:
        return True
    return False


DISTINCT_NAMES = frozenset({*(d.name for d in DISTINCTS), *(kpi.name for kpi in KPIS if _needs_distincts(kpi.compute))})
"""Distinct counts, and the KPIs made of them."""


async def answer(moment: Moment, sums: WindowSum, names: Sequence[str], rows: Ints) -> Answer:
    """The numbers of rows, which have these names, in this order."""
    question = moment.question
    scope, counted = question.scope, sums.of(rows).tolist()
    estimated = await distincts_of(moment, rows) if question.wants(DISTINCT_NAMES) else None
    stock: Sequence[StockSums] = [{}] * len(names)
    if question.wants(STOCK_NAMES):
        stock = await stock_of(moment, names, await _units_15m(moment, sums, rows))
    shipping: Sequence[Mapping[str, int]] = [{}] * len(names)
    if question.wants(SHIPPING_NAMES):
        shipping = await shipping_of(moment, rows)
    items = []
    for i, name in enumerate(names):
        numbers = named_counters(counted[i], scope)
        if estimated is not None:
            numbers |= named_distincts(estimated[i])
        brought = {**moment.brought(name), **stock[i], **shipping[i]}
        items.append(Item(name, values({**numbers, **brought}, scope, question.only)))
    return Answer(moment.as_of_ms, question.window, scope, moment.promotion, items)


async def nothing(moment: Moment, names: Sequence[str]) -> list[Item]:
    """The numbers of values that were never seen; there may be stock of them nevertheless."""
    scope = moment.question.scope
    numbers = named_counters([0] * len(COUNTERS), scope)
    if moment.distinct_pieces is not None:
        numbers |= named_distincts([0] * len(DISTINCTS))
    if scope in SHIPPING_SCOPES:
        numbers |= dict.fromkeys(LEG_NAMES, 0)
    stock: Sequence[StockSums] = [{}] * len(names)
    if moment.question.wants(STOCK_NAMES):
        stock = await stock_of(moment, names, [0] * len(names))
    return [
        Item(name, values({**numbers, **moment.brought(name), **held}, scope, moment.question.only))
        for name, held in zip(names, stock, strict=True)
    ]


async def sums_of(moment: Moment) -> WindowSum:
    """The counters of a window: moved on if it ends at the newest as-of, else added up."""
    followed = moment.followed
    total = followed.kept_sum((moment.question.window, moment.promotion)) if moment.live else WindowSum()
    blocks = followed.blocks
    while True:
        steps = list(total.steps_to(moment.counted))
        needed = [piece for sign, part in steps if sign for piece in in_panes(part, moment.levels)]
        moment.require_kept(needed)
        if not await blocks.ensure(blocks.needed(needed)):
            break  # nothing was waited for, so nothing has changed since the steps were made
    for sign, part in steps:
        total.take(sign, blocks.cells(in_panes(part, moment.levels)) if sign else ())
    total.span = moment.counted
    return total


async def distincts_of(moment: Moment, rows: Ints) -> list[list[int]] | None:
    """Distinct counts of rows; None where the scope, or a moment so far back, has none."""
    panes = moment.distinct_pieces
    if panes is None:
        return None
    (covered, found, steps_s), followed = panes, moment.followed
    if moment.live:
        return await followed.distincts.counts(rows.tolist(), covered, steps_s, followed.newest_s)
    union = Union(rows)
    for part in followed.blocks.chunks(found):
        while await followed.blocks.ensure(followed.blocks.needed(part), sketches=True):
            pass
        union.take(followed.blocks.sketches(part))
    return union.counts()


async def stock_of(moment: Moment, names: Sequence[str], units_15m: Sequence[int]) -> Sequence[StockSums]:
    """What the stock KPIs of values are made of; of a scope without any, nothing."""
    scope = moment.question.scope
    if scope not in (Scope.ALL, Scope.PROMOTION, Scope.SKU) or not moment.recent:
        return [{}] * len(names)
    followed = moment.followed
    stock = StockNumbers(followed.stock, followed.rows.stock, moment.promotions, moment.as_of_ms, moment.live)
    if scope is Scope.ALL:
        return [await stock.of_shop()] * len(names)
    if scope is Scope.PROMOTION:
        return await stock.of_promotions(names)
    promotion = promotions.meant(moment.promotions, moment.question.promotion, moment.as_of_ms)
    found = await stock.of_skus(names, promotion)
    return [{**held, "units_15m": units} for held, units in zip(found, units_15m, strict=True)]


async def shipping_of(moment: Moment, rows: Ints) -> Sequence[Mapping[str, int]]:
    """What the shipping KPIs of rows are made of; of a scope without any, nothing."""
    if moment.question.scope not in SHIPPING_SCOPES:
        return [{}] * len(rows)
    followed = moment.followed
    found = await followed.shipping.sums(moment.at, followed.newest_s, rows, moment.require_kept)
    return [known(row, moment.at) for row in named(found)]


async def shipping_total(moment: Moment, rows: Ints) -> Mapping[str, int]:
    """What the shipping KPIs of some rows together are made of; of a scope without any, or of no row, nothing."""
    if moment.question.scope not in SHIPPING_SCOPES or not len(rows):
        return {}
    followed = moment.followed
    found = await followed.shipping.total(moment.at, followed.newest_s, rows, moment.require_kept)
    return known(named(found)[0], moment.at)


async def _units_15m(moment: Moment, sums: WindowSum, rows: Ints) -> Sequence[int]:
    """What SKUs sold in the last 15 minutes; of other scopes it is not asked."""
    if moment.question.scope is not Scope.SKU:
        return [0] * len(rows)
    if moment.question.window is not Window.M15:
        sums = await sums_of(moment.of_rate())
    units: list[int] = sums.column(rows, COUNTER_IDS["units"]).tolist()
    return units


def named_counters(counted: Sequence[int], scope: Scope) -> dict[str, int]:
    """Counters by name, without those that a scope does not have."""
    absent = absent_counters(scope)
    return {c.name: n for c, n in zip(COUNTERS, counted, strict=True) if c.name not in absent}


def named_distincts(estimated: Sequence[int]) -> dict[str, int]:
    """Distinct counts by name."""
    return {d.name: n for d, n in zip(DISTINCTS, estimated, strict=True)}


SECONDS = "s"
"""The level of panes of one second."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """A stretch of seconds."""

    span: Span
    cells: Cells
    rows: Rows
    """Whose numbers the cells have: those of another stretch may be others."""


async def seconds(followed: Followed, span: Span) -> Seconds:
    """All that was counted in a span. Raises NotAnswerableError where seconds are no longer kept."""
    pieces = [(SECONDS, span)] if span else []
    followed.retention.require(pieces)
    while await followed.blocks.ensure(followed.blocks.needed(pieces)):
        pass  # something was waited for, and blocks may have been dropped meanwhile
    return Seconds(span, merge_cells(list(followed.blocks.cells(pieces))), followed.rows)
