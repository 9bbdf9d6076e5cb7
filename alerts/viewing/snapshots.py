"""Read the inputs of rules from the view, with caching."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from alerts.detection.inputs import DetectionInputs, HealthReading, Table, TableQuery, table_queries
from alerts.detection.panes import CellPanes
from alerts.findings import Series
from alerts.rules.detect import ReferencePeriod
from alerts.rules.rule import Rules, RuleScope
from alerts.viewing.arrivals import ArrivalReader, span_to_read
from alerts.viewing.horizon import Horizon
from alerts.viewing.lateness import RecentLateness
from alerts.viewing.seconds import SelectedRows, select_rows
from alerts.viewing.tables import (
    SkuSelection,
    TableReader,
    is_free_of_losses,
    reference_questions,
    wants_all_skus,
)
from consumers.topics import Partition
from streams.model import promotions
from streams.model.windows import Span, Window
from streams.settings import Settings
from streams.view.forecasts import Forecasts
from streams.view.query import NotAnswerableError
from streams.view.rolling import RollingView

HISTORY_S = 3600
"""Panes to learn from after a start without memory."""
_QUICK_S, _SLOW_S, _PAST_S = 2.0, 10.0, 60.0
"""Maximum age of cached answers: for SKUs and short windows, for others, and for the past (short windows: as others).
"""
_SHARE = 10
"""A query is not repeated before this multiple of its duration."""


@dataclass(slots=True)
class _CachedTables:
    """Cached answers of one query."""

    tables: tuple[Table, ...]
    until_s: float
    """By the clock."""


class InputReader:
    """Reads inputs from one view, in the view's thread."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds from any origin."""
        self._settings = settings
        self._clock = clock
        self._tables = TableReader(Forecasts(settings), settings.overdue_after_h)
        self._chosen: SelectedRows | None = None
        self._arrivals = ArrivalReader()
        self._lateness = RecentLateness(settings.not_in_as_of)
        self._cache: dict[TableQuery, _CachedTables] = {}
        self._best: frozenset[str] = frozenset()
        self._best_until_s = 0.0

    async def seconds(self, view: RollingView, rules: Rules, span: Span) -> CellPanes:
        """The panes of a range. Raises NotAnswerableError if they are no longer retained."""
        self._chosen = select_rows(rules, self._chosen, self._settings.not_in_as_of)
        return self._chosen.panes(await view.seconds(span))

    async def new_seconds(self, view: RollingView, rules: Rules, span: Span) -> CellPanes:
        """The panes of a range that follows the last one, and the events that have arrived since that was read."""
        if not span:
            return await self.seconds(view, rules, span)
        wide = span_to_read(span, self._lateness.seconds_to_read_again())
        panes = self._arrivals.take(span, await self.seconds(view, rules, wide))
        self._lateness.take(panes)
        return panes

    async def take(
        self,
        view: RollingView,
        at_ms: int,
        rules: Rules,
        panes: CellPanes,
        seen: Horizon,
        facts: Collection[HealthReading],
        holes_ms: Mapping[Partition, int],
        watched: Collection[Series] = (),
    ) -> DetectionInputs:
        """All inputs of the rules. Raises NotReadyError while there is no as-of.

        A SKU of a `watched` series is read, and stays among the best sellers, also when it is sold out.
        """
        now: dict[tuple[Window, RuleScope], Table] = {}
        past: dict[tuple[Window, RuleScope, ReferencePeriod], tuple[Table, ...]] = {}
        best_sellers: frozenset[str] = frozenset()
        if any(rule.enabled and rule.promoted for rule in rules.rules):
            best_sellers = await self._best_sellers(view, at_ms, seen.as_of_ms)
        with_alerts = frozenset(value for series in watched for name, value in series.labels if name == RuleScope.SKU)
        best_sellers |= with_alerts
        skus = SkuSelection(wants_all_skus(rules), best_sellers, with_alerts)
        queries = table_queries(rules)
        for query in sorted(queries, key=str):
            if query.scope is RuleScope.SOURCE:
                continue  # producers exist only as seconds
            if query.against is None:
                for table in await self._answer(view, at_ms, seen.as_of_ms, query, skus):
                    now[query.window, query.scope] = table
            else:
                past[query.window, query.scope, query.against] = await self._past(
                    view, at_ms, seen.as_of_ms, query, holes_ms
                )
        self._cache = {query: cached for query, cached in self._cache.items() if query in queries}
        return DetectionInputs(
            seen.as_of_ms,
            panes,
            now,
            past,
            (*facts, *self._lateness.readings()),
            view.promotions,
            best_sellers,
            at_ms,
        )

    async def _best_sellers(self, view: RollingView, at_ms: int, as_of_ms: int) -> frozenset[str]:
        began_s = self._clock()
        if began_s >= self._best_until_s:
            with contextlib.suppress(NotAnswerableError):
                self._best = await self._tables.best_sellers(view, at_ms, as_of_ms)
            ended_s = self._clock()
            self._best_until_s = ended_s + max(_PAST_S, _SHARE * (ended_s - began_s))
        return self._best

    async def _answer(
        self, view: RollingView, at_ms: int, as_of_ms: int, query: TableQuery, skus: SkuSelection
    ) -> tuple[Table, ...]:
        """The table; empty if it cannot be answered, so that nothing changes."""
        cached, began_s = self._cache.get(query), self._clock()
        if cached is None or began_s >= cached.until_s:
            tables: tuple[Table, ...] = ()
            with contextlib.suppress(NotAnswerableError):
                tables = (await self._tables.now(view, at_ms, as_of_ms, query, skus),)
            quick = query.scope is RuleScope.SKU or query.window in (Window.M1, Window.M5)
            cached = self._keep(query, tables, began_s, _QUICK_S if quick else _SLOW_S)
        return cached.tables

    async def _past(
        self, view: RollingView, at_ms: int, as_of_ms: int, query: TableQuery, holes_ms: Mapping[Partition, int]
    ) -> tuple[Table, ...]:
        cached, began_s = self._cache.get(query), self._clock()
        if cached is None or began_s >= cached.until_s:
            assert query.against is not None
            tables: list[Table] = []
            for questions in reference_questions(
                query.against, query.window, as_of_ms, view.promotions, self._settings
            ):
                for question in questions:
                    if is_free_of_losses(question, holes_ms, self._settings):
                        table = await self._tables.past(view, at_ms, query, question)
                        if table is not None:
                            tables.append(_named_now(table, query, question.promotion, view, as_of_ms))
                if tables:
                    break
            short = query.window in (Window.M1, Window.M5)
            cached = self._keep(query, tuple(tables), began_s, _SLOW_S if short else _PAST_S)
        return cached.tables

    def _keep(self, query: TableQuery, tables: tuple[Table, ...], began_s: float, lasts_s: float) -> _CachedTables:
        ended_s = self._clock()
        cached = self._cache[query] = _CachedTables(tables, ended_s + max(lasts_s, _SHARE * (ended_s - began_s)))
        return cached


def _named_now(table: Table, query: TableQuery, baseline: str | None, view: RollingView, as_of_ms: int) -> Table:
    """The table with the reference promotion renamed to the running one, so that both are the same series."""
    current = promotions.current_promotion(view.promotions, as_of_ms)
    if query.scope is not RuleScope.PROMOTION or baseline is None or current is None:
        return table
    return replace(table, values=tuple(current.promotion_id if value == baseline else value for value in table.values))
