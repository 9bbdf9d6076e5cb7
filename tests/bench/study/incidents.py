"""Incidents as changes of a generated day, with what is true of them.

An incident removes or delays events of a day that is otherwise the same, so its loss is the difference of GMV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tests.bench.study import shop
from tests.bench.study.faults import Fault
from tests.bench.study.injectors import INJECTORS, Injection, category_labels
from tests.bench.study.journeys import Journeys, StudyDay
from tests.bench.study.truth import SOON_S, WHOLE, IncidentSpec, ReportedAs, TrueIncident

SETTLE_AFTER_S = 1200
"""Loss is counted so long after the end, because journeys take time."""


@dataclass(slots=True)
class StudyCase:
    """A day with its incidents."""

    day: StudyDay
    journeys: Journeys
    faults: list[Fault] = field(default_factory=list)
    incidents: list[TrueIncident] = field(default_factory=list)


def inject(day: StudyDay, specs: Sequence[IncidentSpec]) -> StudyCase:
    """The day with these incidents, applied in their order; each loses what is lost beside those before it."""
    case = StudyCase(replace(day, stock=dict(day.stock)), day.journeys)
    for place, spec in enumerate(specs):
        start_s = day.sale_s + spec.start_s
        given = Injection(
            case.journeys, spec, start_s, start_s + spec.lasts_s, np.random.default_rng([day.seed, 2, place])
        )
        done = INJECTORS[spec.kind](given)
        case.incidents.append(
            TrueIncident(
                spec,
                start_s,
                given.end_s,
                frozenset({WHOLE, spec.labels, *done.names}),
                lost=_gmv(case.journeys, given) - _gmv(done.journeys, given),
                reported_as=done.reported_as,
                early_s=done.early_s,
                bound_s=done.bound_s,
                poisson_s=done.poisson_s,
                delayed_s=done.delayed_s,
            )
        )
        case.journeys = done.journeys
        case.faults += done.faults
        case.day.stock.update(done.stock)
    return case


def _gmv(journeys: Journeys, given: Injection) -> float:
    inside = (journeys.paid_at >= given.start_s) & (journeys.paid_at < given.end_s + SETTLE_AFTER_S)
    return float(journeys.amount[inside].sum())


def sold_out(day: StudyDay, stock: npt.NDArray[np.float64], step_s: int) -> list[TrueIncident]:
    """The stock-outs of a day with tight stock, from the stock by step and SKU."""
    found = []
    for place, sku in enumerate(shop.PROMOTED):
        gone = np.flatnonzero(stock[:, place] <= 0)
        if len(gone):
            start_s, end_s = (float(shop.PRE_S + step * step_s) for step in (gone[0], gone[-1] + 1))
            labels = (("sku", shop.sku_name(sku)),)
            spec = IncidentSpec("stock_out", start_s - day.sale_s, end_s - start_s, labels=labels)
            names = frozenset({labels, *category_labels(sku)})
            found.append(TrueIncident(spec, start_s, end_s, names, lost=math.nan, early_s=SOON_S))
    return found


def calm_truth(day: StudyDay) -> list[TrueIncident]:
    """What may be reported, as a delay, of shapes where something is late."""
    names = frozenset({WHOLE, (("topic", "orders"),), (("source", "oms-1"), ("topic", "orders"))})
    found = []
    if day.course.late is not None:
        from_s, to_s, _ = day.course.late
        found.append(("late_orders", from_s, to_s))
    slow = np.flatnonzero(day.course.pay_delay_s)
    if len(slow):
        found.append(("slow_payments", 60.0 * int(slow[0]), 60.0 * (int(slow[-1]) + 1)))
    return [
        TrueIncident(
            IncidentSpec(kind, from_s - day.sale_s, to_s - from_s), from_s, to_s, names, reported_as=ReportedAs.DELAY
        )
        for kind, from_s, to_s in found
    ]
