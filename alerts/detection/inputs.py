"""The inputs of an evaluation at one as-of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.panes import CellPanes, Panes
from alerts.findings import Labels
from alerts.rules.detect import ChangeDetector, HealthCheck, KpiDetector, ReferencePeriod, StockDetector
from alerts.rules.rule import LossMethod, Rules, RuleScope
from alerts.statistics.arrays import Floats
from consumers.contract.events import Promotion
from streams.model.windows import Window


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A query to the view: numbers of all values of a scope in a window."""

    window: Window
    scope: RuleScope
    names: frozenset[str]
    against: ReferencePeriod | None = None
    """None: the current window; else the comparable windows of this period. RECENT is taken from memory, not queried.
    """


@dataclass(frozen=True, slots=True)
class Table:
    """The result of a query. Money is in minor units."""

    values: tuple[str, ...]
    """# [row]: values of the scope; one empty value in scope `all`"""
    numbers: Mapping[str, Floats]
    """# name: [row], NaN for null"""

    def column(self, name: str) -> Floats:
        """The numbers of a name; NaN if it was not queried."""
        return self.numbers.get(name, np.full(len(self.values), np.nan))


@dataclass(frozen=True, slots=True)
class HealthReading:
    """A reading of one health check."""

    name: HealthCheck
    value: float
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class DetectionInputs:
    """The inputs at one as-of. Missing inputs are unknown, not errors."""

    as_of_ms: int
    panes: Panes
    """The complete seconds since the last evaluation, or of the last hour after a start. Consecutive ranges join; a gap
    is skipped."""
    tables: Mapping[tuple[Window, RuleScope], Table] = field(default_factory=dict)
    past: Mapping[tuple[Window, RuleScope, ReferencePeriod], tuple[Table, ...]] = field(default_factory=dict)
    """Comparable windows, without known outages."""
    health_readings: tuple[HealthReading, ...] | None = ()
    """None: no reading is available."""
    promotions: Mapping[str, Promotion] = field(default_factory=dict)
    best_sellers: frozenset[str] = frozenset()
    """SKUs that stand for those of a promotion that lists none."""
    seen_ms: int | None = None
    """Time of the reading by the clock of the sale; None: the as-of."""


def empty_panes(at_s: int) -> Panes:
    """Panes of an empty range."""
    return CellPanes(at_s, at_s, ())


def table_queries(rules: Rules) -> frozenset[TableQuery]:
    """The queries that the rules need: one for each window, scope and period."""
    names: dict[tuple[Window, RuleScope, ReferencePeriod | None], set[str]] = {}
    for rule in rules.rules:
        detect = rule.detect
        if not rule.enabled or not isinstance(detect, KpiDetector | StockDetector):
            continue
        periods = (
            [period for period in detect.against if period is not ReferencePeriod.RECENT]
            if isinstance(detect, ChangeDetector)
            else []
        )
        for scope in rule.for_each:
            values = detect.values | ({"undispatched_gmv"} if rule.money is LossMethod.DELAYED else set())
            names.setdefault((detect.window, scope, None), {"gmv"}).update(values)
            if isinstance(detect, StockDetector):
                names.setdefault((Window.M1, scope, None), set()).update({"gmv", "units"})
            for period in periods:
                names.setdefault((detect.window, scope, period), set()).update(values)
    return frozenset(
        TableQuery(window, scope, frozenset(value_names), reference)
        for (window, scope, reference), value_names in names.items()
    )
