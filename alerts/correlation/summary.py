"""The text and chart of a finding."""

from __future__ import annotations

from alerts.detection.detector import Breach
from alerts.findings import Chart, Contributor, ExpectedRange, FindingReason, Labels, Measure
from alerts.rules.detect import (
    AnyDetector,
    ChangeDetector,
    HealthCheckDetector,
    SequentialDetector,
    SilenceDetector,
    ThresholdDetector,
)
from alerts.rules.rule import Rule
from alerts.rules.values import counters_of
from streams.model.kpis import KPIS
from streams.model.windows import Window
from streams.panes.counters import Unit
from streams.panes.scopes import Scope

_BEFORE_MS = 30 * 60_000
_SHOWN = 0.2
"""Minimum share of a contributor to be mentioned."""
_MORE = 1.3


def summary(rule: Rule, breach: Breach) -> str:
    """One sentence: location, value, expected value and contributors. Money and times are added by the message."""
    where = f" in {describe_labels(breach.labels)}" if breach.labels else ""
    parts = [f"{rule.title}{where}", _numbers(breach)]
    shown = [part for part in breach.contributors if _has_changed_more_than_whole(part, breach)]
    if shown:
        shares = [
            f"{describe_labels(part.labels)} {part.rate_effect + part.mix_effect:.0%}"
            + (" by mix" if part.mix_effect > part.rate_effect else "")
            for part in shown
        ]
        parts.append("of this " + ", ".join(shares))
    elif breach.contributors:
        parts.append("spread evenly")
    return "; ".join(part for part in parts if part)


def _has_changed_more_than_whole(part: Contributor, breach: Breach) -> bool:
    """Whether a part changed more than the whole; in an even change, the largest part contributes most."""
    if part.rate_effect + part.mix_effect < _SHOWN:
        return False
    if part.mix_effect > part.rate_effect:
        return True
    if not (part.value and part.expected and breach.value and breach.expected):
        return True
    return abs(part.value / part.expected - 1) > _MORE * abs(breach.value / breach.expected - 1)


def describe_labels(labels: Labels) -> str:
    """Format labels as `channel app`; the whole shop is `the shop`."""
    return ", ".join(f"{name} {value}" for name, value in labels) or "the shop"


def _numbers(breach: Breach) -> str:
    if breach.reason is FindingReason.SILENT:
        return f"no events, {breach.expected or 0:,.0f} expected"
    if breach.value is None:
        return ""
    value = format_amount(breach.value, breach.unit)
    if breach.expected:
        change = breach.value / breach.expected - 1
        return f"{value}, expected {format_amount(breach.expected, breach.unit)} ({change:+.0%})"
    interval = breach.interval
    if breach.fired_beyond is not None and interval is not None:
        return f"{value}; {_not_clear_yet(breach.value, breach.fired_beyond, interval, breach.unit)}"
    if interval is not None and interval.high is not None:
        return f"{value}, more than {format_amount(interval.high, breach.unit)}"
    if interval is not None and interval.low is not None:
        return f"{value}, less than {format_amount(interval.low, breach.unit)}"
    return value


def _not_clear_yet(value: float, fired_beyond: float, interval: ExpectedRange, unit: Unit) -> str:
    """Explain why it fires within its firing limit: the clear limit differs, or there is too little data."""
    fired, above = format_amount(fired_beyond, unit), interval.high is not None
    clear = interval.high if above else interval.low
    if clear is None or (value <= clear if above else value >= clear):
        return f"fired {'above' if above else 'below'} {fired}, and there is too little now to judge by"
    side = "at or below" if above else "at or above"
    return f"fired {'above' if above else 'below'} {fired}, clears {side} {format_amount(clear, unit)}"


def format_amount(number: float, unit: Unit) -> str:
    """Format a value; money stays in minor units, because only the message knows the currency."""
    if unit is Unit.RATIO:
        return f"{number:.2%}" if abs(number) < 10 else f"{number:,.1f}"
    if unit is Unit.SECONDS:
        return f"{number:,.0f} s"
    return f"{number:,.0f}" if abs(number) >= 10 or number == int(number) else f"{number:,.2f}"


def measure_of(detect: AnyDetector) -> Measure:
    """The numbers that a rule compares."""
    match detect:
        case SequentialDetector(count=count, per=per):
            return Measure(count, per)
        case SilenceDetector(count=count):
            return Measure(count)
        case ThresholdDetector(value=name, window=window) | ChangeDetector(value=name, window=window):
            return Measure((name,), window=window.value)
        case HealthCheckDetector(check=check):
            return Measure((check.value,))


def chart(rule: Rule, breach: Breach, as_of_ms: int) -> Chart | None:
    """The most relevant series, from half an hour before the breach."""
    scope, value = breach.label
    if scope not in set(Scope):
        return None
    match rule.detect:
        case ThresholdDetector(value=name, window=window) | ChangeDetector(value=name, window=window):
            pass
        case SequentialDetector(count=count, per=per):
            name, window = _kpi(count, per), Window.M1
        case SilenceDetector(count=count):
            name, window = count[0], Window.M1
        case _:
            return None
    since_ms = as_of_ms if breach.since_ms is None else breach.since_ms
    return Chart(name, window, Scope(scope), value, since_ms - _BEFORE_MS, as_of_ms)


def _kpi(count: tuple[str, ...], per: tuple[str, ...]) -> str:
    """The KPI of the same counters, else the first counter."""
    wanted = (*count, *(name for name in per if name not in count))
    for kpi in KPIS:
        if counters_of(kpi.name) == wanted:
            return kpi.name
    return count[0]
