"""The measure and chart of a finding."""

from __future__ import annotations

from alerts.detection.detector import Breach
from alerts.findings import Chart, Measure
from alerts.rules.detect import (
    AnyDetector,
    ChangeDetector,
    HealthCheckDetector,
    SequentialDetector,
    ShareDetector,
    SilenceDetector,
    StockDetector,
    ThresholdDetector,
)
from alerts.rules.rule import Rule
from alerts.rules.values import counters_of
from alerts.wording.terms import describe_events
from streams.dictionary.builtin import BUILT_IN
from streams.model.kpis import KPIS
from streams.model.windows import Window

_BEFORE_MS = 30 * 60_000


def measure_of(detect: AnyDetector) -> Measure:
    """The numbers that a rule compares."""
    match detect:
        case SequentialDetector(count=count, per=per):
            return Measure(count, per)
        case SilenceDetector(count=count):
            return Measure(count)
        case ShareDetector():
            return Measure(("source_share",))
        case ThresholdDetector(value=name, window=window) | ChangeDetector(value=name, window=window):
            return Measure((name,), window=window.value)
        case StockDetector(window=window):
            return Measure(("stock_available",), window=window.value)
        case HealthCheckDetector(check=check):
            return Measure((check.value,))


def chart(rule: Rule, breach: Breach, as_of_ms: int) -> Chart | None:
    """The most relevant series, from half an hour before the breach."""
    scope, value = breach.label
    if scope not in BUILT_IN.dimensions:
        return None
    match rule.detect:
        case ThresholdDetector(value=name, window=window) | ChangeDetector(value=name, window=window):
            pass
        case StockDetector(window=window):
            name = "stock_available"
        case SequentialDetector(count=count, per=per):
            name, window = _kpi(count, per), Window.M1
        case SilenceDetector(count=count):
            name, window = count[0], Window.M1
        case _:
            return None
    since_ms = as_of_ms if breach.since_ms is None else breach.since_ms
    return Chart(name, window, scope, value, since_ms - _BEFORE_MS, as_of_ms)


def _kpi(count: tuple[str, ...], per: tuple[str, ...]) -> str:
    """The KPI of the same counters, else the first counter."""
    wanted = (*count, *(name for name in per if name not in count))
    for kpi in KPIS:
        if counters_of(kpi.name) == wanted:
            return kpi.name
    return count[0]


def describe_no_loss(measure: Measure, breach: Breach, *, rise: bool) -> tuple[str, str]:
    """The title of a breach without a loss, and why it is no alert."""
    count, per = describe_events(measure.count), describe_events(measure.per)
    if breach.is_tracking_loss:
        return f"Fewer {count} are recorded", "the events that follow have not fallen; are clicks not recorded?"
    if rise:
        others = describe_events([name for name in measure.per if name not in measure.count])
        return (
            f"A larger ratio of {count} to {others}",
            f"{count} have not clearly risen; are {others} fewer, or late?",
        )
    return f"More {per} without more {count}", "nothing is lost; a crowd, a crawler or a campaign?"
