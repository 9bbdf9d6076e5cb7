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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from streams.dictionary.names import ALL, SKU
from streams.model.kpis import KPIS, NAMES, PUBLIC_COUNTERS, UNITS, Number
from streams.model.windows import Window
from streams.panes.counters import DISTINCTS, Unit
from streams.panes.scopes import SCOPES
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

HELP = {
    **{counter.name: counter.counts for counter in PUBLIC_COUNTERS},
    **{distinct.name: distinct.counts for distinct in DISTINCTS},
    **{kpi.name: kpi.formula for kpi in KPIS},
}


def share_evenly(wanted: Mapping[K, int], available: int) -> dict[K, int]:
    """# <key: rows granted to it>: as many as it wants, or an even share if there are not enough."""
    granted: dict[K, int] = {}
    for index, (key, rows) in enumerate(sorted(wanted.items(), key=lambda pair: (pair[1], str(pair[0])))):
        granted[key] = min(rows, available // (len(wanted) - index))
        available -= granted[key]
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
    scope_queries, gauges = ScopeQueries(view, at_ms), Gauges(as_of_ms)
    available = budget // len(NAMES)
    windows = tuple(Window)
    for window in windows[:available]:
        with contextlib.suppress(NotAnswerableError):  # its panes have expired: the series is absent
            for item in (await view.one(KpiQuery(window, as_of_ms=as_of_ms), "", at_ms)).items:
                gauges.rows.append(GaugeRow(window, ALL, "", item.values))
    gauges.dropped[ALL] = len(windows[available:]) * len(NAMES)
    count_of: dict[ScopeWindow, int] = {}
    for scope in SCOPES[1:]:
        for window in SCOPE_WINDOWS:
            with contextlib.suppress(NotAnswerableError):
                count_of[scope, window] = await scope_queries.count(KpiQuery(window, scope, as_of_ms))
            await asyncio.sleep(0)
    soon_out = await running_out(view, at_ms, as_of_ms, soon_min)
    soon_out = soon_out[: max(0, available - len(windows)) // (4 * len(SCOPE_WINDOWS))]
    wanted = {
        scope_window: min(count, TOP_SKUS + 1) if scope_window[0] == SKU else count
        for scope_window, count in count_of.items()
    }
    for scope_window, rows in share_evenly(
        wanted, max(0, available - len(windows) - len(SCOPE_WINDOWS) * len(soon_out))
    ).items():
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
        top = await scope_queries.top(KpiQuery(window, scope, gauges.as_of_ms), by="gmv", limit=exported, also=also)
        gauges.rows += (GaugeRow(window, scope, item.value, item.values) for item in top.answer.items)
        if not fits and top.left_out:
            gauges.rows.append(GaugeRow(window, scope, "", top.other, rest=True))
        exported = len(top.answer.items)
    gauges.dropped[scope] += (count - (exported if rows else 0)) * len(NAMES)


# Text ----------------------------------------------------------------------------------------------------------------
# Written here: the text is the same in both formats, and prometheus_client is ten times slower at 20,000 series.


def text(gauges: Gauges, currency_exponent: int) -> Iterator[str]:
    """The gauges as text, valid as Prometheus text and as OpenMetrics, family by family."""
    labels = [_labels(row) for row in gauges.rows]
    for name in NAMES:
        metric, factor = metric_name(name), 10**currency_exponent if UNITS[name] is Unit.MONEY else 1
        lines = [f"# HELP {metric} {_escaped(HELP[name])}", f"# TYPE {metric} gauge"]
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
