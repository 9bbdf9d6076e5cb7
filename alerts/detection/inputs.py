"""What the rules are evaluated on: everything that they ask for, at one as-of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alerts.detection.panes import CellPanes, Panes
from alerts.detectors.arrays import Floats
from alerts.findings import Labels
from alerts.rules.detect import ChangeDetector, HealthCheck, ReferencePeriod, ThresholdDetector
from alerts.rules.rule import Rules, RuleScope
from consumers.contract.events import Promotion
from streams.model.windows import Window


@dataclass(frozen=True, slots=True)
class TableQuery:
    """One question to the view: some numbers of all values of a scope in a window."""

    window: Window
    scope: RuleScope
    names: frozenset[str]
    against: ReferencePeriod | None = None
    """None: now. Else at the comparable times of this kind; RECENT is never asked for, it is remembered."""


@dataclass(frozen=True, slots=True)
class Table:
    """An answer. Money is minor units."""

    values: tuple[str, ...]
    """# [row]: values of the scope; one empty value in scope `all`"""
    numbers: Mapping[str, Floats]
    """# name: [row], NaN for null"""

    def column(self, name: str) -> Floats:
        """A name's numbers; NaN where it was not answered."""
        return self.numbers.get(name, np.full(len(self.values), np.nan))


@dataclass(frozen=True, slots=True)
class HealthReading:
    """One thing that the monitor knows of itself."""

    name: HealthCheck
    value: float
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class DetectionInputs:
    """All that can be seen at one as-of. What is missing is unknown, and no error."""

    as_of_ms: int
    panes: Panes
    """The seconds since the last evaluation (after a start: of the last hour, to learn from), settled: up to a little
    before the as-of, when what is under way has come in. The first begins anywhere, each other one where the last
    ended; a gap is passed over."""
    tables: Mapping[tuple[Window, RuleScope], Table] = field(default_factory=dict)
    past: Mapping[tuple[Window, RuleScope, ReferencePeriod], tuple[Table, ...]] = field(default_factory=dict)
    """At comparable times, known outages left out."""
    health_readings: tuple[HealthReading, ...] | None = ()
    """None: nothing could be found out."""
    promotions: Mapping[str, Promotion] = field(default_factory=dict)
    seen_ms: int | None = None
    """When it was looked at, by the clock of the sale; None: at the as-of."""


def empty_panes(at_s: int) -> Panes:
    """Nothing, up to a moment."""
    return CellPanes(at_s, at_s, ())


def table_queries(rules: Rules) -> frozenset[TableQuery]:
    """What the rules want to know of the view, one question a window, scope and time."""
    names: dict[tuple[Window, RuleScope, ReferencePeriod | None], set[str]] = {}
    for rule in rules.rules:
        detect = rule.detect
        if not rule.enabled or not isinstance(detect, ThresholdDetector | ChangeDetector):
            continue
        against = (
            [one for one in detect.against if one is not ReferencePeriod.RECENT]
            if isinstance(detect, ChangeDetector)
            else []
        )
        for scope in rule.for_each:
            wanted = {detect.value, *([detect.least[0]] if detect.least else [])}
            names.setdefault((detect.window, scope, None), set()).update(wanted, {"gmv"})
            for one in against:
                names.setdefault((detect.window, scope, one), set()).update(wanted)
    return frozenset(TableQuery(window, scope, frozenset(of), back) for (window, scope, back), of in names.items())
