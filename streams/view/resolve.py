"""Queries resolved at an as-of: the span covered, the panes to read, and the state to read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest

import numpy as np

from consumers.contract.events import Promotion
from streams.dictionary.names import PROMOTION
from streams.model import promotions
from streams.model.kpis import ModelNumbers
from streams.model.windows import Pieces, Span, Window, distinct_span, in_panes, span
from streams.panes.arrays import Ints
from streams.panes.counters import COUNTERS_STEP_S, DISTINCTS_STEP_S
from streams.settings import Settings
from streams.stock.forecast import RATE_MINUTES
from streams.store.state import newest_as_of, queryable_until_ms
from streams.view.followed import FollowedState
from streams.view.query import KpiQuery, NotAnswerableError, NotReadyError
from streams.view.retention import Retention
from streams.view.shipping import SHIPMENT_INTERVAL_LEVELS, ResolvedShippingQuery, ShippingWindow
from streams.view.sums import WindowSum

COUNTER_LEVELS = tuple(COUNTERS_STEP_S.items())
DISTINCT_LEVELS = tuple(DISTINCTS_STEP_S.items())
"""Levels and their panes' lengths in seconds, finest first."""


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query at its as-of. It does not change when the view polls."""

    query: KpiQuery
    as_of_ms: int
    finest: int
    """Index of the finest level kept."""
    coarsest: int
    """Index of the coarsest level kept."""
    retention: Retention
    promotions: Mapping[str, Promotion]
    promotion: str | None
    """The promotion covered by window `promotion`."""
    covered_span: Span
    live: bool
    """Whether it is at the newest as-of."""
    followed: FollowedState

    @property
    def at(self) -> ShippingWindow:
        """The window and as-of for shipping."""
        key = (self.query.window.value, self.promotion) if self.live else None
        return ShippingWindow(self.covered_span, self.as_of_ms // 1000, self.finest, key, self.coarsest, self.recent)

    @property
    def shipping(self) -> ResolvedShippingQuery:
        """The resolved query for shipping."""
        followed = self.followed
        return ResolvedShippingQuery(followed.shipping, self.at, followed.newest_s, followed.rows, self.require_kept)

    @property
    def recent(self) -> bool:
        """Whether stock and the states of orders are still kept; they are kept for weeks."""
        return self.retention.recent(self.as_of_ms // 1000)

    @property
    def numbers(self) -> ModelNumbers:
        """What can be answered."""
        return self.followed.numbers

    @property
    def counters(self) -> Sequence[tuple[str, int]]:
        """# (name, slot) of the counters that count since the start of the window"""
        return self.numbers.counters_in(self.query.scope, 1000 * self.covered_span.start_s)

    def distincts_from(self, covered: Span) -> Sequence[tuple[str, int]]:
        """# (name, slot) of the distinct counts that count since the start of their span"""
        return self.numbers.distincts_in(self.query.scope, 1000 * covered.start_s)

    @property
    def levels(self) -> Sequence[tuple[str, int]]:
        """Levels of counters that may be used."""
        return COUNTER_LEVELS[self.finest : self.coarsest + 1]

    @property
    def distinct_pieces(self) -> tuple[Span, Pieces, list[int]] | None:
        """The span of distinct counts, its panes, and the lengths of their levels, seconds; None without distinct
        counts."""
        scope = self.query.scope
        coarse = self.numbers.model.dimensions[scope].coarse_distincts
        covered = distinct_span(self.query.window, self.covered_span, coarse=coarse)
        if covered is None or not self.numbers.has_distincts(scope):
            return None
        levels = DISTINCT_LEVELS[max(self.finest, 1 if coarse else 0) : self.coarsest + 1]
        if covered and (covered.start_s % levels[0][1] or covered.end_s % levels[0][1]):
            return None
        pieces = in_panes(covered, levels)
        if not all(self.retention.has(name, piece) for name, piece in pieces):
            return None
        return covered, pieces, [step_s for _, step_s in levels]

    def require_kept(self, needed: Sequence[tuple[str, Span]]) -> None:
        """Raise NotAnswerableError if panes have expired: a number must not lack a part."""
        self.followed.retention.require(needed)

    def counter_pieces(self, whole: Span) -> Pieces:
        """The fewest panes of counters that make up a span. Raises NotAnswerableError if one has expired."""
        return self._kept_pieces(whole, COUNTER_LEVELS)

    def interval_pieces(self, whole: Span) -> Pieces:
        """The fewest panes of shipment intervals that make up a span. Raises NotAnswerableError if one has expired."""
        return self._kept_pieces(whole, SHIPMENT_INTERVAL_LEVELS)

    def _kept_pieces(self, whole: Span, levels: Sequence[tuple[str, int]]) -> Pieces:
        pieces = in_panes(whole, levels[: self.followed.retention.coarsest(whole.start_s) + 1])
        self.require_kept(pieces)
        return pieces

    def for_sale_rate(self) -> ResolvedQuery:
        """The query at the same as-of, in the window of the rate of sale."""
        end_s = self.as_of_ms // 1000
        query = replace(self.query, window=Window.M15)
        return replace(self, query=query, promotion=None, covered_span=Span(end_s - 60 * RATE_MINUTES, end_s))

    def extra_sums(self, value: str) -> Mapping[str, int]:
        """Sums from definitions instead of events: the targets of a promotion in its own window."""
        if self.query.scope != PROMOTION or self.promotion is None or value != self.promotion:
            return {}
        return promotions.target_sums(self.promotions[self.promotion])

    def row(self, value: str) -> int | None:
        """The row of a value; None if it was never counted."""
        return self.followed.rows.find(self.query.scope, value)

    def names(self, rows: Ints) -> list[str]:
        """The values of rows."""
        return [self.followed.rows.labels[row][1] for row in rows.tolist()]

    def nonzero_rows(self, sums: WindowSum) -> Ints:
        """Rows of the scope with any counter that is not 0."""
        return sums.nonzero_rows(self.followed.rows.mask(self.query.scope))

    def require_rankable(self, by: str) -> None:
        """Raise NotAnswerableError if the scope cannot be ranked by a number in this window."""
        numbers, scope = self.numbers, self.query.scope
        lacking = require_rankable(numbers, scope, by).keys() - {name for name, _ in self.counters}
        if lacking:
            model = numbers.model
            begins = [model.dimensions[scope].since_ms, *(model.measures[name].since_ms for name in lacking)]
            since_ms, start_ms = max(at or 0 for at in begins), 1000 * self.covered_span.start_s
            raise NotAnswerableError(
                f"{by} counts in scope {scope} from {since_ms} on, the window begins at {start_ms}: query a shorter or "
                "later window"
            )

    def largest(self, rows: Ints, sums: WindowSum, by: str, limit: int) -> Ints:
        """The `limit` largest rows by a sum of counters, largest first; ties by name."""
        numbers = self.numbers
        amounts = np.zeros(len(rows), np.int64)
        for counter, weight in (numbers.weights(by) or {}).items():
            amounts += weight * sums.column(rows, numbers.slots[counter])
        chosen = np.arange(len(rows))
        if len(rows) > limit > 0:
            threshold = -np.partition(-amounts, limit - 1)[limit - 1]
            chosen = np.flatnonzero(amounts > threshold)
            ties = np.flatnonzero(amounts == threshold)  # ties may be nearly all rows
            first = nsmallest(limit - len(chosen), zip(self.names(rows[ties]), ties.tolist(), strict=True))
            chosen = np.append(chosen, np.array([index for _, index in first], np.int64))
        name_of = dict(zip(chosen.tolist(), self.names(rows[chosen]), strict=True))
        return rows[sorted(name_of, key=lambda i: (-int(amounts[i]), name_of[i]))[:limit]]


def require_rankable(numbers: ModelNumbers, scope: str, by: str) -> Mapping[str, int]:
    """`ModelNumbers.weights` of a number. Raises NotAnswerableError if the scope cannot be ranked by it."""
    weights = numbers.weights(by)
    if weights is None:
        raise NotAnswerableError(f"{by} is no sum of counters: rank by {', '.join(numbers.additive)}")
    if by not in numbers.model.names_in(scope):
        why = "it counts whole orders" if numbers.model.dimensions[scope].by_line else "its events have no such field"
        raise NotAnswerableError(f"scope {scope} has no {by}: {why}")
    return weights


def resolve_query(
    query: KpiQuery,
    value: str | None,
    now_ms: int,
    followed: FollowedState,
    known: Mapping[str, Promotion],
    settings: Settings,
) -> ResolvedQuery:
    """Resolve a query. `value`: of its scope; None: several values.

    Raises:
        NotReadyError: there is no as-of yet.
        NotAnswerableError: the as-of is in the future or no longer kept, or the scope or promotion is unknown.
    """
    dimensions = followed.rows.model.dimensions
    if query.scope not in dimensions:
        raise NotAnswerableError(f"there is no scope {query.scope}: the model in force has {', '.join(dimensions)}")
    if query.as_of_ms is None:
        newest_ms = newest_as_of(followed.state, now_ms, settings).ms
    else:
        newest_ms = queryable_until_ms(followed.state, now_ms, settings)
    if newest_ms is None:
        raise NotReadyError(
            "there is no as-of yet: some partitions with waiting records were never read; retry in a few seconds"
        )
    as_of_ms = newest_ms if query.as_of_ms is None else query.as_of_ms
    if as_of_ms > newest_ms:
        raise NotAnswerableError(f"as_of {as_of_ms} is later than the newest as-of, {newest_ms}")
    retention = followed.retention
    finest = _finest(retention, as_of_ms, newest_ms, _promotion(query, value, as_of_ms, known))
    as_of_ms -= as_of_ms % (1000 * COUNTER_LEVELS[finest][1])
    promotion = _promotion(query, value, as_of_ms, known)
    covered_span = span(query.window, as_of_ms, timezone=settings.timezone, promotion=promotion)
    start_s, end_s = covered_span.start_s, covered_span.end_s
    if covered_span and end_s < as_of_ms // 1000 and retention.minutes_only(end_s, newest_ms // 1000):
        covered_span = Span(start_s, end_s - end_s % 60)  # the promotion ended long ago
    return ResolvedQuery(
        query=query,
        as_of_ms=as_of_ms,
        finest=finest,
        coarsest=retention.coarsest(covered_span.start_s),
        retention=retention,
        promotions=known,
        promotion=None if promotion is None else promotion.promotion_id,
        covered_span=covered_span,
        live=as_of_ms == newest_ms,
        followed=followed,
    )


def _finest(retention: Retention, as_of_ms: int, newest_ms: int, promotion: Promotion | None) -> int:
    """Index in `COUNTER_LEVELS` of the finest panes kept at an as-of.

    For a promotion that had ended by then, at its end instead: its numbers have not changed since.
    """
    try:
        return retention.finest(as_of_ms // 1000, newest_ms // 1000, as_of_ms)
    except NotAnswerableError:
        if promotion is None or promotion.ends_at >= as_of_ms:
            raise
        return retention.finest(-(-promotion.ends_at // 1000), newest_ms // 1000, as_of_ms)


def _promotion(query: KpiQuery, value: str | None, as_of_ms: int, known: Mapping[str, Promotion]) -> Promotion | None:
    """The promotion covered by window `promotion`."""
    if query.window is not Window.PROMOTION:
        return None
    name = value if query.scope == PROMOTION and value is not None else query.promotion
    if name is None:
        return promotions.current_promotion(known, as_of_ms)
    if query.promotion is not None and name not in known:
        raise NotAnswerableError(f"unknown promotion {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    return known.get(name)
