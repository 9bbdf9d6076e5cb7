"""The least mean delay of any detection of an incident, and what it costs, from its own recording just before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from alerts.detection.panes import Panes, ScopeValue
from alerts.detection.series import WHOLE_SHOP
from alerts.rehearsal.bounds import bernoulli_bound_s, poisson_bound_s
from alerts.rehearsal.truth import ActualIncident
from streams.panes.counters import COUNTER_IDS
from streams.simulate.config import Funnel
from streams.simulate.payments import ATTEMPTS

BEFORE_S, SALES_BEFORE_S = 1200, 300
"""Rates and the value of an order, and the number of orders, are means over this time before an incident: traffic
changes faster than rates do."""


class BoundFormula(StrEnum):
    """The formula of a bound; see `bounds`."""

    BERNOULLI = "Bernoulli"
    POISSON = "Poisson"


@dataclass(frozen=True, slots=True)
class DelayBound:
    """The least mean delay of any detection with 0.05 false alarms a day in the incident's series."""

    seconds: float
    formula: BoundFormula


@dataclass(frozen=True, slots=True)
class _Effect:
    """The rate that a kind of incident changes."""

    count: tuple[str, ...]
    per: tuple[str, ...] = ()
    """The events of which `count` are a share; empty: `count` is a Poisson count."""
    rises: bool = False
    size: float | None = None
    """The size of kinds that have only one."""
    loses_orders: bool = True
    """Whether this share of the series' GMV is lost."""
    is_retried: bool = False
    """Whether buyers try again, so that less is lost."""


_STAGES: Mapping[str, _Effect] = {
    "order": _Effect(("orders_created",), ("checkouts",)),
    "checkout": _Effect(("checkouts",), ("cart_adds",)),
    "cart": _Effect(("cart_adds",), ("product_views",)),
}
_CLICKS = ("page_views", "product_views")
_EFFECTS: Mapping[str, _Effect] = {
    "payment_failures": _Effect(("payments_failed",), ("payments_failed", "orders_paid"), rises=True, is_retried=True),
    "order_stop": _Effect(("orders_created",), ("checkouts",), size=1.0),
    "click_stop": _Effect(_CLICKS, loses_orders=False),
    "producer_silent": _Effect(tuple(COUNTER_IDS), size=1.0, loses_orders=False),
    "refund_surge": _Effect(("orders_refunded",), ("orders_paid",), rises=True),
    "traffic_drop": _Effect(_CLICKS),
}
"""# kind of simulated incident; the others have no rate"""


@dataclass(slots=True)
class _Before:
    """Sums of a series in the time before an incident."""

    seconds: int = 0
    count: float = 0.0
    per: float = 0.0
    gmv: float = 0.0
    paid: float = 0.0
    sales_seconds: int = 0
    paid_lately: float = 0.0


@dataclass(slots=True)
class IncidentRates:
    """Counts before each incident. `take` every range of panes of the sale, in order."""

    incidents: Sequence[ActualIncident]
    _sums: dict[ActualIncident, _Before] = field(default_factory=dict)

    def take(self, panes: Panes) -> None:
        """Add a range."""
        for incident in self.incidents:
            effect, label = _effect(incident), series_label(incident)
            onset_s = incident.start_ms // 1000
            start_s, end_s = max(panes.start_s, onset_s - BEFORE_S), min(panes.end_s, onset_s)
            if effect is None or label is None or label not in panes.labels or end_s <= start_s:
                continue
            row = np.array([list(panes.labels).index(label)])
            before = self._sums.setdefault(incident, _Before())
            before.seconds += end_s - start_s
            before.count += float(panes.counts(effect.count, row, start_s, end_s)[0])
            before.per += float(panes.counts(effect.per, row, start_s, end_s)[0])
            sales_from_s = min(max(start_s, onset_s - SALES_BEFORE_S), end_s)
            before.sales_seconds += end_s - sales_from_s
            before.paid_lately += float(panes.counts(("orders_paid",), row, sales_from_s, end_s)[0])
            before.paid += float(panes.counts(("orders_paid",), row, start_s, end_s)[0])
            before.gmv += float(panes.counts(("gmv",), row, start_s, end_s)[0])

    def bound(self, incident: ActualIncident) -> DelayBound | None:
        """The bound of an incident; None: its rate, size or series is unknown."""
        effect, before, size = _effect(incident), self._sums.get(incident), _size(incident)
        if effect is None or before is None or size is None or not before.count:
            return None
        if before.count >= before.per:  # no share, or some orders have no checkout
            return DelayBound(poisson_bound_s(before.count / before.seconds, 1 - size), BoundFormula.POISSON)
        share = before.count / before.per
        after = share + (1 - share) * size if effect.rises else share * (1 - size)
        return DelayBound(bernoulli_bound_s(before.per / before.seconds, share, after), BoundFormula.BERNOULLI)

    def lost_per_minute(self, incident: ActualIncident) -> float | None:
        """GMV that it costs, minor units: its size times the sales of its series before, less what is paid in another
        attempt; None: unknown or nothing."""
        effect, before, size = _effect(incident), self._sums.get(incident), _size(incident)
        if effect is None or before is None or size is None or not effect.loses_orders:
            return None
        if not before.paid or not before.sales_seconds:
            return None
        if effect.is_retried and before.per:
            succeeded = 1 - before.count / before.per
            size = 1 - _paid(succeeded * (1 - size)) / _paid(succeeded)
        return size * 60 * before.paid_lately / before.sales_seconds * before.gmv / before.paid


def _paid(succeeded: float) -> float:
    """Share of orders that are paid in one of the simulator's attempts, if this share of attempts succeeds."""
    return succeeded * sum(((1 - succeeded) * Funnel().retry) ** attempt for attempt in range(ATTEMPTS))


def series_label(incident: ActualIncident) -> ScopeValue | None:
    """The series that shows an incident best; None: no single one does."""
    facts = {name: value for name, value in incident.facts if name != "topic"}
    topic = dict(incident.facts).get("topic")
    if not facts:
        return None if incident.kind == "producer_silent" else WHOLE_SHOP
    if len(facts) > 1 or len(incident.facts) - (topic is not None) > 1:
        return None
    ((name, value),) = facts.items()
    return (name, f"{topic}/{value}") if name == "source" else (name, value)


def _size(incident: ActualIncident) -> float | None:
    effect = _effect(incident)
    size = incident.size if effect is None or effect.size is None else effect.size
    return None if size is None else min(size, 1.0)


def _effect(incident: ActualIncident) -> _Effect | None:
    if incident.kind == "conversion_drop":
        return _STAGES.get(incident.stage)
    return _EFFECTS.get(incident.kind)
