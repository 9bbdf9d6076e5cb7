"""The KPI gauges on /metrics: which series to export, and their text.

Scope `all` has every window; other scopes have `5m` and `promotion`, with their largest values by GMV and the rest
summed. Scope `sku` has the top 50, and SKUs on promotion that are out of stock or nearly. Series over the budget are
dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, TypeVar

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.names import ALL, SKU
from streams.dictionary.types import Model, Unit
from streams.model.kpis import Number, numbers_of
from streams.model.windows import Window
from streams.serve.definitions import definitions
from streams.serve.promotion_metrics import RunningPromotion, running_promotions
from streams.view.comparer import Baselines
from streams.view.forecasts import Forecasts
from streams.view.query import KpiQuery, NotAnswerableError, NotReadyError
from streams.view.rolling import RollingView, ScopeQueries

K = TypeVar("K")
ScopeWindow = tuple[str, Window]

SCOPE_WINDOWS = (Window.M5, Window.PROMOTION)
"""The windows of all scopes but `all`."""
TOP_SKUS = 50
MAX_ON_PROMOTION = 5000
"""More SKUs on promotion than this are ignored."""
_AT_ONCE = 500
"""SKUs per query."""


@lru_cache(maxsize=4)
def _help(model: Model) -> Mapping[str, str]:
    """# <name: its formula, or what it counts>"""
    return {definition.name: definition.formula for definition in definitions(model)}


@lru_cache(maxsize=1024)
def row_cost(model: Model, scope: str) -> int:
    """Number of series of one row of a scope. A built-in scope has all built-in names, some of which may be null."""
    if scope not in BUILT_IN.dimensions:
        return len(model.names_in(scope))
    return len(BUILT_IN.names) + sum(name not in BUILT_IN.units for name in model.names_in(scope))


def share_evenly(wanted: Mapping[K, int], available: int, cost_of: Callable[[K], int] = lambda _: 1) -> dict[K, int]:
    """# <key: rows granted to it>: as many as it wants, or an even share if there are not enough.

    `available`: number of series; `cost_of`: series of a row of a key.
    """
    granted: dict[K, int] = {}
    by_size = sorted(wanted.items(), key=lambda pair: (pair[1] * cost_of(pair[0]), str(pair[0])))
    for index, (key, rows) in enumerate(by_size):
        cost = max(1, cost_of(key))
        granted[key] = min(rows, available // (len(wanted) - index) // cost)
        available -= granted[key] * cost
    return granted


@dataclass(frozen=True, slots=True)
class GaugeRow:
    """One value of a scope in one window."""

    window: Window
    scope: str
    value: str
    values: Mapping[str, Number]
    rest: bool = False
    """Whether this is the sum of all values without a row of their own; its `value` is empty."""


@dataclass(slots=True)
class Gauges:
    """Every KPI gauge of one as-of."""

    as_of_ms: int
    model: Model
    rows: list[GaugeRow] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Dropped series by scope: those of values that have no row of their own."""


@dataclass(frozen=True, slots=True)
class GaugeText:
    """Every KPI gauge of one as-of, as text."""

    as_of_ms: int
    text: bytes
    dropped: Mapping[str, int]
    """See `Gauges`."""
    running_promotions: tuple[RunningPromotion, ...]
    """The promotions that run at the as-of."""


@dataclass(frozen=True, slots=True)
class GaugesQuery:
    """The `CachedQuery` of a scrape."""

    budget: int
    currency_exponent: int
    soon_min: float
    forecasts: Forecasts
    baselines: Baselines
    warm_s: ClassVar[float] = 300  # longer than a scrape interval
    newest: ClassVar[bool] = True

    async def compute(self, view: RollingView, at_ms: int, as_of_ms: int | None) -> GaugeText:
        """The text. Raises NotReadyError if there is no as-of yet."""
        newest_ms = view.as_of(at_ms).ms if as_of_ms is None else as_of_ms
        if newest_ms is None:
            raise NotReadyError("there is no as-of yet")
        gauges, families = await collect_gauges(view, at_ms, newest_ms, self.budget, self.soon_min), []
        for family in text(gauges, self.currency_exponent):
            families.append(family)
            await asyncio.sleep(0)
        promotions = await running_promotions(view, at_ms, self.forecasts, self.baselines, newest_ms)
        return GaugeText(newest_ms, "".join(families).encode(), gauges.dropped, promotions)


async def collect_gauges(view: RollingView, at_ms: int, as_of_ms: int, budget: int, soon_min: float) -> Gauges:
    """Query all rows that fit the budget, at one as-of; other tasks may run in between.

    `soon_min`: SKUs on promotion that run out within this many minutes have rows of their own.
    """
    model = view.model
    scope_queries, gauges = ScopeQueries(view, at_ms), Gauges(as_of_ms, model)
    windows, of_shop, of_sku = tuple(Window), row_cost(model, ALL), row_cost(model, SKU)
    fitting = windows[: budget // of_shop]
    for window in fitting:
        with contextlib.suppress(NotAnswerableError):  # its panes have expired: the series is absent
            for item in (await view.one(KpiQuery(window, as_of_ms=as_of_ms), "", at_ms)).items:
                gauges.rows.append(GaugeRow(window, ALL, "", item.values))
    gauges.dropped[ALL] = (len(windows) - len(fitting)) * of_shop
    available = max(0, budget - len(windows) * of_shop)
    count_of: dict[ScopeWindow, int] = {}
    for scope in model.dimensions:
        for window in SCOPE_WINDOWS if scope != ALL else ():
            with contextlib.suppress(NotAnswerableError):
                count_of[scope, window] = await scope_queries.count(KpiQuery(window, scope, as_of_ms))
            await asyncio.sleep(0)
    soon_out = await running_out(view, at_ms, as_of_ms, soon_min)
    soon_out = soon_out[: available // of_sku // (4 * len(SCOPE_WINDOWS))]
    wanted = {
        scope_window: min(count, TOP_SKUS + 1) if scope_window[0] == SKU else count
        for scope_window, count in count_of.items()
    }
    available -= len(SCOPE_WINDOWS) * len(soon_out) * of_sku
    granted = share_evenly(wanted, available, lambda scope_window: row_cost(model, scope_window[0]))
    for scope_window, rows in granted.items():
        await _add(
            gauges,
            scope_queries,
            scope_window,
            count_of[scope_window],
            rows,
            soon_out if scope_window[0] == SKU else (),
        )
        await asyncio.sleep(0)
    for window in SCOPE_WINDOWS:
        exported = {row.value for row in gauges.rows if row.scope == SKU and row.window is window}
        others = [sku for sku in soon_out if sku not in exported]
        with contextlib.suppress(NotAnswerableError):
            answer = await view.several(KpiQuery(window, SKU, as_of_ms), others, at_ms)
            gauges.rows += (GaugeRow(window, SKU, item.value, item.values) for item in answer.items)
    return gauges


async def running_out(view: RollingView, at_ms: int, as_of_ms: int, soon_min: float) -> list[str]:
    """SKUs of running promotions that are out of stock, or will be within `soon_min` minutes, soonest first."""
    running_promotions = [
        running for _, running in sorted(view.promotions.items()) if running.starts_at <= as_of_ms < running.ends_at
    ]
    skus = list(dict.fromkeys(sku for promotion in running_promotions for sku in promotion.skus or ()))[
        :MAX_ON_PROMOTION
    ]
    ends: list[tuple[float, str]] = []
    for i in range(0, len(skus), _AT_ONCE):
        with contextlib.suppress(NotAnswerableError):
            answer = await view.several(KpiQuery(Window.M5, SKU, as_of_ms), skus[i : i + _AT_ONCE], at_ms)
            numbers = [(item.values["minutes_to_stockout"], item.value) for item in answer.items]
            ends += [(end, sku) for end, sku in numbers if end is not None and end <= soon_min]
        await asyncio.sleep(0)
    return [sku for _, sku in sorted(ends)]


async def _add(
    gauges: Gauges, scope_queries: ScopeQueries, scope_window: ScopeWindow, count: int, rows: int, also: Sequence[str]
) -> None:
    """Add the largest values of a scope in a window, and if not all fit, the rest as the last row."""
    scope, window = scope_window
    fits = count <= rows and not (scope == SKU and count > TOP_SKUS)
    exported = count if fits else rows - 1
    if rows and exported:
        by, query = _rank_by(gauges.model, scope), KpiQuery(window, scope, gauges.as_of_ms)
        top = await scope_queries.top(query, by=by, limit=exported, also=also)
        gauges.rows += (GaugeRow(window, scope, item.value, item.values) for item in top.answer.items)
        if not fits and top.left_out:
            gauges.rows.append(GaugeRow(window, scope, "", top.other, rest=True))
        exported = len(top.answer.items)
    gauges.dropped[scope] += (count - (exported if rows else 0)) * row_cost(gauges.model, scope)


def _rank_by(model: Model, scope: str) -> str:
    """The number that the largest values of a scope are chosen by."""
    names = model.names_in(scope)
    return next((name for name in ("gmv", *numbers_of(model).additive) if name in names), "gmv")


# Text ----------------------------------------------------------------------------------------------------------------
# Written here: the text is the same in both formats, and prometheus_client is ten times slower at 20,000 series.


def text(gauges: Gauges, currency_exponent: int) -> Iterator[str]:
    """The gauges as text, valid as Prometheus text and as OpenMetrics, family by family."""
    labels, help_ = [_labels(row) for row in gauges.rows], _help(gauges.model)
    factors = {Unit.MONEY: 10**currency_exponent, Unit.MILLISECONDS: 1000}
    for name, unit in gauges.model.units.items():
        metric, factor = metric_name(name), factors.get(unit, 1)
        lines = [f"# HELP {metric} {_escaped(help_[name])}", f"# TYPE {metric} gauge"]
        for row, label in zip(gauges.rows, labels, strict=True):
            number = row.values[name]
            if number is not None:
                lines.append(f"{metric}{label} {number / factor!r}")
        yield "\n".join(lines) + "\n"


def metric_name(name: str) -> str:
    """A KPI's metric name; dots and the like are replaced."""
    return "salepulse_" + re.sub("[^a-zA-Z0-9_]", "_", name)


def _labels(row: GaugeRow) -> str:
    rest = ',rest="true"' if row.rest else ""
    return f'{{window="{row.window}",scope="{row.scope}",value="{_escaped(row.value)}"{rest}}}'


def _escaped(text_: str) -> str:
    return text_.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
