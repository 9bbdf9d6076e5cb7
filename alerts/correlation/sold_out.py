"""Sold-out SKUs inhibit the falls of orders that they account for: what is not there cannot be bought.

A fall is accounted for if it is at most 1.5 times as large as the share of the shop's orders that the SKUs had which
were sold out since three hours before it; earlier ones are in its usual level. Channels and regions are taken to have
the same share. The category of a SKU is not known: the fall of a category is accounted for if its share of the shop's
revenue is at most 1.5 times that of the SKUs that were sold out as it began.

Some SKU of them must be reported by an alert that is sent, unless they lose too little for one. Payments do not depend
on stock.
"""

from __future__ import annotations

from collections.abc import Sequence

from alerts.correlation.candidates import Candidate
from alerts.correlation.explanation import LOSS_RATIO, ONSET_TOLERANCE_MS, PART_ONSET_TOLERANCE_MS, STILL_RATIO
from alerts.correlation.memory import CorrelationMemory
from alerts.findings import FindingReason, Series, Severity
from alerts.rules.detect import Direction, SequentialDetector, StockDetector
from alerts.rules.rule import RuleScope
from alerts.statistics.baseline import NEW_NORMAL_S

_COUNTER = "orders_created"
_USUAL_AFTER_MS = 1000 * (NEW_NORMAL_S + 3600)
"""Nothing is learned in an alarm, and the usual level follows in about an hour."""


def inhibit_by_sold_out(candidates: Sequence[Candidate], memory: CorrelationMemory) -> list[Candidate]:
    """Inhibit the falls of orders that sold-out SKUs account for, unless they were reported before."""
    sold_out = [candidate for candidate in candidates if _is_sold_out(candidate)]
    if not sold_out:
        return list(candidates)
    by = {
        candidate.series: max(causes, key=lambda one: (_is_sent(one), one.breach.weight or 0.0)).series
        for candidate in candidates
        if candidate.series not in memory.reported and (causes := _causes(candidate, sold_out, memory))
    }
    for candidate in candidates:  # the part that explains the whole, and is no breach of its own
        whole = Series(candidate.breach.rule)
        is_named = any(one.series == whole and one.extent.part == candidate.series.labels for one in candidates)
        if whole in by and is_named and candidate.breach.mean is None and candidate.series not in memory.reported:
            by[candidate.series] = by[whole]
    return [
        candidate.inhibited(FindingReason.SAME_INCIDENT, by[candidate.series])
        if candidate.is_root and candidate.series in by
        else candidate
        for candidate in candidates
    ]


def _is_sold_out(candidate: Candidate) -> bool:
    is_stock = isinstance(candidate.effective.detect, StockDetector) and not candidate.breach.is_forecast
    return is_stock and candidate.is_root and bool(candidate.breach.weight)


def is_in_stock_again(candidate: Candidate) -> bool:
    """Whether a stock incident only waits for its end: its SKU can be bought."""
    return isinstance(candidate.effective.detect, StockDetector) and candidate.breach.weight == 0.0


def _is_sent(candidate: Candidate) -> bool:
    return candidate.breach.severity is not Severity.INFO


def _causes(candidate: Candidate, sold_out: Sequence[Candidate], memory: CorrelationMemory) -> Sequence[Candidate]:
    """The sold-out SKUs that account for a fall together; empty: they do not."""
    detect, extent = candidate.effective.detect, candidate.extent
    if not isinstance(detect, SequentialDetector) or detect.direction is not Direction.DROP:
        return ()
    if _COUNTER not in detect.count or extent.fall is None:
        return ()
    before_ms = _USUAL_AFTER_MS
    scopes = {name for name, _ in candidate.series.labels}
    if is_category := scopes == {RuleScope.CATEGORY.value}:
        before_ms = 2000 * detect.lag + PART_ONSET_TOLERANCE_MS
    elif not scopes <= {RuleScope.CHANNEL.value, RuleScope.REGION.value}:
        return ()
    first_ms, last_ms = extent.since_ms - before_ms, extent.since_ms + ONSET_TOLERANCE_MS
    before = memory.inhibited.get(candidate.series)  # of a SKU that is oversold since then, the start is later
    causes = [one for one in sold_out if one.series == before or first_ms <= (one.breach.since_ms or 0) <= last_ms]
    lost = sum(one.extent.loss or 0.0 for one in causes)
    if not any(map(_is_sent, causes)) and any(lost >= (one.rule.warning_from or 0.0) for one in causes):
        return ()
    share = lost if is_category else sum(one.breach.weight or 0.0 for one in causes)
    if is_category and extent.loss:
        share *= extent.fall / extent.loss
    most = STILL_RATIO if before in {one.series for one in causes} else LOSS_RATIO
    return () if not share or extent.exceeds(most * share) else causes
