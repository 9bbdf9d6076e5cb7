"""Answer the table queries of rules from the view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.detection.inputs import Table, TableQuery
from alerts.detection.schedule import promoted_skus, promotes_all_skus, running_promotions
from alerts.rules.detect import ReferencePeriod, ThresholdDetector
from alerts.rules.rule import Rules, RuleScope
from alerts.rules.values import DISPATCH_VALUES, MIN_DUE_ORDERS, NON_KPI_VALUES
from alerts.viewing.dispatch import DispatchReader
from consumers.contract.events import Promotion
from consumers.topics import Partition
from streams.dictionary.names import ALL, SKU
from streams.model import promotions
from streams.model.kpis import TARGET_TIERS
from streams.model.windows import Span, Window, span
from streams.panes.counters import HOUR_MS
from streams.panes.rows import StockNames
from streams.settings import Settings
from streams.stock.stock_state import StockState
from streams.view.compare_rules import days_before, promotion_pair
from streams.view.forecasts import Forecasts
from streams.view.query import Item, KpiQuery, NotAnswerableError
from streams.view.rolling import MAX_ITEMS, RollingView, ScopeQueries
from streams.view.shipping_report import expected_breaches, orders_due

HOURS_AHEAD = 12
DAY_H = 24
MAX_SKUS = 5000
BEST_SELLERS = 50
"""Number of SKUs that are watched for a promotion that lists none."""
_BREACHES, _BREACH_RATE, _DUE = "expected_breaches", "expected_breach_rate", "orders_due"
_PROBABILITIES = {f"target_probability.{tier}" for tier in TARGET_TIERS}


@dataclass(frozen=True, slots=True)
class SkuSelection:
    """The SKUs to read, in addition to those that promotions list and the oversold ones."""

    all_skus: bool = False
    """Include the best-selling SKUs outside promotions."""
    best_sellers: frozenset[str] = frozenset()
    """Watched for promotions that list none."""
    with_alerts: frozenset[str] = frozenset()


class TableReader:
    """Answers table queries from the view."""

    def __init__(self, forecasts: Forecasts, overdue_after_h: float) -> None:
        self._forecasts, self._overdue_after_h = forecasts, overdue_after_h
        self._dispatch = DispatchReader()

    async def best_sellers(self, view: RollingView, at_ms: int, as_of_ms: int) -> frozenset[str]:
        """The SKUs with the largest GMV of the last hour, while a promotion that lists no SKUs is running.

        Raises NotReadyError, NotAnswerableError.
        """
        if not promotes_all_skus(view.promotions, as_of_ms):
            return frozenset()
        top = await view.top(KpiQuery(Window.H1, SKU, only=frozenset({"gmv"})), at_ms, by="gmv", limit=BEST_SELLERS)
        return frozenset(item.value for item in top.answer.items if item.values["gmv"])

    async def now(self, view: RollingView, at_ms: int, as_of_ms: int, ask: TableQuery, skus: SkuSelection) -> Table:
        """The current numbers.

        Raises NotReadyError, NotAnswerableError.
        """
        if ask.scope is RuleScope.WAREHOUSE:
            return await self._warehouses(view, at_ms, ask)
        question = _question(ask)
        if ask.scope is RuleScope.SKU:
            names = await _skus(view, at_ms, skus, question)
            items = (await view.several(question, names, at_ms)).items
        elif ask.scope is RuleScope.ALL:
            items = (await view.one(question, "", at_ms)).items
        else:
            items = (await ScopeQueries(view, at_ms).every(question)).items
        extra: dict[str, list[float]] = {}
        if ask.scope is RuleScope.ALL and _BREACHES in ask.names:
            extra[_BREACHES] = [await expected_breaches(view, HOURS_AHEAD, at_ms)]
        if ask.scope is RuleScope.ALL and _BREACH_RATE in ask.names:
            extra[_BREACH_RATE] = [await self._breach_rate(view, at_ms)]
        if ask.scope is RuleScope.ALL and not ask.names.isdisjoint(DISPATCH_VALUES):
            dispatches = await self._dispatches(view, at_ms, ask.window)
            extra |= {name: column[:1].tolist() for name, column in dispatches.numbers.items()}
        if ask.scope is RuleScope.PROMOTION and not ask.names.isdisjoint(_PROBABILITIES):
            extra = await self._targets(view, at_ms, as_of_ms, [item.value for item in items])
        return table(items, ask.names, extra | await _due(view, at_ms, ask, question, items))

    async def past(self, view: RollingView, at_ms: int, ask: TableQuery, moment: KpiQuery) -> Table | None:
        """The numbers of another moment; None if they are not retained."""
        question = replace(_question(ask), as_of_ms=moment.as_of_ms, promotion=moment.promotion)
        try:
            if ask.scope is RuleScope.ALL:
                items = (await view.one(question, "", at_ms)).items
            else:
                items = (await ScopeQueries(view, at_ms).every(question)).items
            due = await _due(view, at_ms, ask, question, items)
        except NotAnswerableError:
            return None
        return table(items, ask.names, due)

    async def _warehouses(self, view: RollingView, at_ms: int, ask: TableQuery) -> Table:
        """The numbers of warehouses."""
        dispatches = await self._dispatches(view, at_ms, ask.window)
        return Table(dispatches.values[1:], {name: column[1:] for name, column in dispatches.numbers.items()})

    async def _dispatches(self, view: RollingView, at_ms: int, window: Window) -> Table:
        """The dispatches of the whole shop (empty value, first) and of warehouses."""
        levels = await self._dispatch.levels(view, window, at_ms)
        query = KpiQuery(window, ALL, only=frozenset({"gmv", "orders_paid"}))
        values = (await view.one(query, "", at_ms)).items[0].values
        gmv, paid = values["gmv"] or 0, values["orders_paid"] or 0
        return Table(
            tuple(levels),
            {
                "dispatched_of_usual": np.array([level.share for level in levels.values()]),
                "usual_dispatches": np.array([level.usual for level in levels.values()]),
                "undispatched_gmv": np.array([level.missing for level in levels.values()])
                * (gmv / paid if paid else np.nan),
            },
        )

    async def _breach_rate(self, view: RollingView, at_ms: int) -> float:
        """Expected shipment breaches one day ahead; NaN with too few orders or without the data."""
        paid_until_ms = view.resolve_as_of_ms(None, at_ms) - round(max(0.0, self._overdue_after_h - DAY_H) * HOUR_MS)
        question = KpiQuery(Window.H24, ALL, as_of_ms=paid_until_ms, only=frozenset({"orders_paid"}))
        try:
            (paid,) = (await view.one(question, "", at_ms)).items
        except NotAnswerableError:
            return np.nan
        due = paid.values["orders_paid"]
        if due is None or due < MIN_DUE_ORDERS:
            return np.nan
        return await expected_breaches(view, DAY_H, at_ms) / due

    async def _targets(
        self, view: RollingView, at_ms: int, as_of_ms: int, names: Sequence[str]
    ) -> dict[str, list[float]]:
        """Probability that each running promotion reaches its targets."""
        probabilities = {f"target_probability.{tier}": [np.nan] * len(names) for tier in TARGET_TIERS}
        for promotion in running_promotions(view.promotions, as_of_ms):
            if promotion.targets is None or promotion.promotion_id not in names:
                continue
            try:
                outlook = await self._forecasts.of(view, at_ms, promotion, as_of_ms, newest=True)
            except NotAnswerableError:
                continue
            if outlook is not None:
                index = names.index(promotion.promotion_id)
                for tier, target in zip(TARGET_TIERS, dict(promotion.targets).values(), strict=True):
                    probabilities[f"target_probability.{tier}"][index] = outlook.forecast.probability(target)
        return probabilities


def table(items: Iterable[Item], names: Iterable[str], extra: dict[str, list[float]]) -> Table:
    """Convert items to columns; NaN for null."""
    rows = list(items)
    columns = {
        name: np.array([np.nan if item.values.get(name) is None else item.values[name] for item in rows], np.float64)
        for name in names
        if name not in NON_KPI_VALUES
    }
    forecast = {name: np.array(numbers, np.float64) for name, numbers in extra.items()}
    return Table(tuple(item.value for item in rows), {**columns, **forecast})


def wants_all_skus(rules: Rules) -> bool:
    """Whether a rule covers SKUs that are neither promoted nor oversold."""
    return any(
        rule.enabled
        and RuleScope.SKU in rule.for_each
        and not rule.promoted
        and not (isinstance(rule.detect, ThresholdDetector) and rule.detect.value == "oversold_units")
        for rule in rules.rules
    )


def _question(query: TableQuery) -> KpiQuery:
    return KpiQuery(query.window, query.scope.value, only=query.names)


async def _due(
    view: RollingView, at_ms: int, query: TableQuery, question: KpiQuery, items: Sequence[Item]
) -> dict[str, list[float]]:
    """Number of orders due, if a rule uses it. Raises NotAnswerableError."""
    if _DUE not in query.names:
        return {}
    return {_DUE: [*map(float, await orders_due(view, question, [item.value for item in items], at_ms))]}


async def _skus(view: RollingView, at_ms: int, skus: SkuSelection, query: KpiQuery) -> list[str]:
    """SKUs to query: those with alerts, promoted, oversold, and the best-selling."""
    as_of_ms = view.resolve_as_of_ms(None, at_ms)
    names = sorted(skus.with_alerts)
    names += sorted(promoted_skus(view.promotions, as_of_ms, skus.best_sellers))[:MAX_SKUS]
    names += await view.stock_at(as_of_ms, at_ms, _oversold)
    if skus.all_skus:
        unfiltered = replace(query, only=frozenset())
        names += [item.value for item in (await view.every(unfiltered, at_ms)).items]
    return list(dict.fromkeys(names))


def _oversold(stock: StockState, names: StockNames) -> list[str]:
    units, known = stock.now.every()
    numbers = np.flatnonzero(known & (units < 0))
    worst = numbers[np.argsort(units[numbers], kind="stable")][:MAX_ITEMS]
    return [names.skus.names[number] for number in worst.tolist()]


WEEKS_BACK = 4
DAYS_BACK = 6


def reference_questions(
    against: ReferencePeriod, window: Window, at_ms: int, known: Mapping[str, Promotion], settings: Settings
) -> Iterator[list[KpiQuery]]:
    """Yield lists of queries for comparable windows, best first.

    The reference is all answers of the first list that has any.
    """
    zone = settings.timezone
    match against:
        case ReferencePeriod.PROMOTION_CLOCK:
            current = promotions.current_promotion(known, at_ms)
            with contextlib.suppress(NotAnswerableError):  # it has no baseline
                pair = promotion_pair(current, known, at_ms)
                yield [KpiQuery(window, as_of_ms=at_ms - pair.offset_ms, promotion=pair.baseline.promotion_id)]
        case ReferencePeriod.YESTERDAY:
            yield [KpiQuery(window, as_of_ms=days_before(at_ms, 1, zone))]
        case ReferencePeriod.LAST_WEEK:
            yield [KpiQuery(window, as_of_ms=days_before(at_ms, 7, zone))]
        case ReferencePeriod.SEASONAL:
            for days in ([7 * week for week in range(1, WEEKS_BACK + 1)], list(range(1, DAYS_BACK + 1))):
                yield [KpiQuery(window, as_of_ms=days_before(at_ms, days_ago, zone)) for days_ago in days]


def is_free_of_losses(question: KpiQuery, holes_ms: Mapping[Partition, int], settings: Settings) -> bool:
    """Whether the window has no known loss of records. `holes_ms`: starts of the losses."""
    assert question.as_of_ms is not None
    covered = Span(question.as_of_ms // 1000 - 86_400, question.as_of_ms // 1000)
    if question.window is not Window.PROMOTION:
        covered = span(question.window, question.as_of_ms, timezone=settings.timezone, promotion=None)
    return not any(covered.start_s <= at_ms // 1000 < covered.end_s for at_ms in holes_ms.values())
