"""Findings in sentences: what was counted and expected, what is lost, the likely causes, what else they explain."""

from __future__ import annotations

from alerts.findings import Contributor, EventRate, ExpectedRange, Finding, FindingReason, Measure
from alerts.shop import ShopInfo
from alerts.wording.amounts import format_amount, format_count, format_estimate, format_money, format_ratio
from alerts.wording.terms import WHOLE_SHOP, describe_events, describe_labels, describe_segment, describe_value
from streams.model.kpis import UNITS
from streams.panes.counters import Unit

MAX_CAUSES = 3
_MENTIONED = 0.05
"""Minimum share of the change for a part to be named as a cause."""
_NAMED_ALONE = 0.2
"""Minimum share of the change for a part to be prominent."""
_MORE_THAN_WHOLE = 1.3
_LARGE_RISE = 3.0
"""From this many times the expected number, a rise is given as a multiple."""
_PERIODS = ((1.0, "a minute"), (60.0, "an hour"), (1440.0, "a day"))
_LEAST_IN_PERIOD = 10.0
"""Expected events in the period that a rate is given for."""


def sentence(finding: Finding, shop: ShopInfo) -> str:
    """One sentence: the problem, the segment, and what was counted and expected."""
    segment, numbers = describe_segment(finding), describe_numbers(finding, shop)
    problem = (finding.title or finding.series.rule) + (f" ({segment})" if segment else "")
    return f"{problem}: {numbers}" if numbers else problem


def describe_numbers(finding: Finding, shop: ShopInfo) -> str:
    """What was counted and expected, with its band; empty if the title has all of it.

    A finding with a sentence of its own, such as a note, has that, after its ratio.
    """
    if finding.summary:
        return "; ".join(part for part in (_ratio(finding, shop), finding.summary) if part)
    if finding.reason is FindingReason.SILENT:
        events = describe_events(finding.measure.count) if finding.measure else "events"
        expected = "" if not finding.expected else f", about {format_count(round(finding.expected))} expected"
        return f"no {events}{expected}"
    if finding.rate is not None and finding.measure is not None and finding.measure.count:
        return "; ".join(part for part in (_events(finding.rate, finding.measure, shop), _ratio(finding, shop)) if part)
    if finding.value is None:
        return ""
    value = describe_measured(finding, finding.value, shop)
    if not value:
        return ""
    if finding.expected:
        usual = format_amount(finding.expected, finding.unit, shop)
        return f"{value}, usually {usual}{_change(finding.value / finding.expected, 'less')}"
    if finding.fired_beyond is not None and finding.interval is not None:
        return f"{value}; {_not_clear_yet(finding.value, finding.fired_beyond, finding.interval, finding.unit, shop)}"
    limit = None if finding.interval is None else finding.interval.high
    if limit is None and finding.interval is not None:
        limit = finding.interval.low
    return f"{value}, limit {format_amount(limit, finding.unit, shop)}" if limit else value


def describe_measured(finding: Finding, value: float, shop: ShopInfo) -> str:
    """A value with what it is, such as `2.1 % of the product views`; empty if the title has all of it."""
    measure = finding.measure
    if measure is None or not measure.per:
        return describe_value(measure, format_amount(value, finding.unit, shop))
    per = describe_events(measure.per)
    if UNITS.get(measure.count[0]) is Unit.MONEY:
        return f"{format_money(value, shop)} for each of the {per}"
    if value > 1:
        return f"{format_count(value)} for each of the {per}"
    return f"{format_ratio(value)} of the {per}"


def describe_expected(finding: Finding, shop: ShopInfo) -> str:
    """The expected value or its band; empty if there is none."""
    if (interval := finding.interval) is not None:
        low, high = (
            None if limit is None else format_amount(limit, finding.unit, shop)
            for limit in (interval.low, interval.high)
        )
        if low and high:
            return low if low == high else f"{low} to {high}"
        if low or high:
            return f"at least {low}" if low else f"at most {high}"
    return "" if finding.expected is None else format_amount(finding.expected, finding.unit, shop)


def describe_loss(finding: Finding, lost: float | None, shop: ShopInfo) -> str:
    """Money lost so far and a minute; empty if it is not measurable. `lost`: minor units."""
    parts = [f"{format_estimate(lost, shop)} so far"] if lost else []
    if finding.money_per_minute:
        parts.append(f"{format_estimate(finding.money_per_minute, shop)} a minute")
    return ", ".join(parts)


def describe_causes(finding: Finding) -> str:
    """The likeliest causes, largest first; empty if the parts are unknown."""
    named = [part for part in finding.contributors if _effect(part) >= _MENTIONED][:MAX_CAUSES]
    causes = "; ".join(_cause(part, finding.measure) for part in named)
    if named and not finding.series.labels and not any(_is_prominent(part, finding) for part in named):
        return f"spread evenly, no part changed more than the others; {causes}"
    return causes


def describe_explained(finding: Finding) -> str:
    """The alerts that the finding explains, such as `More payments fail (channel app, channel web)`."""
    segments: dict[str, list[str]] = {}
    for explained in finding.explains:
        whole = WHOLE_SHOP if finding.series.labels else ""
        segments.setdefault(explained.title, []).append(describe_labels(explained.series.labels) or whole)
    return "; ".join(
        title + (f" ({', '.join(filter(None, of_title))})" if any(of_title) else "")
        for title, of_title in segments.items()
    )


def _events(rate: EventRate, measure: Measure, shop: ShopInfo) -> str:
    low, high = rate.expected.low or 0.0, rate.expected.high or 0.0
    money = UNITS.get(measure.count[0]) is Unit.MONEY
    events = "" if money else f" {describe_events(measure.count)}"
    factor, period = next((one for one in _PERIODS if high * one[0] >= _LEAST_IN_PERIOD), _PERIODS[-1])

    def amount(per_minute: float) -> str:
        number = per_minute * factor
        return format_money(number, shop) if money else format_count(round(number) if number >= 1 else number)

    lowest, highest, counted = amount(low), amount(high), amount(rate.per_minute)
    expected = lowest if lowest == highest else f"{lowest} to {highest}"
    middle = (low + high) / 2
    change = _change(rate.per_minute / middle, "fewer") if middle else ""
    number = f"no{events}" if counted == "0" and not money else f"{counted}{events} {period}"
    return f"{number}, expected {expected}{'' if number.endswith(period) else f' {period}'}{change}"


def _ratio(finding: Finding, shop: ShopInfo) -> str:
    """The ratio, unless it has no more than the count."""
    measure = finding.measure
    if measure is None or not measure.per or not finding.value or not finding.expected:
        return ""
    is_money = UNITS.get(measure.count[0]) is Unit.MONEY
    value, usual = finding.value, finding.expected
    usually = format_money(usual, shop) if is_money else format_count(usual) if value > 1 else format_ratio(usual)
    return f"{describe_measured(finding, value, shop)}, usually {usually}"


def _change(ratio: float, less: str) -> str:
    """The relative change in parentheses; empty if there is hardly any."""
    if ratio >= _LARGE_RISE:
        return f" ({format_count(ratio)} times the usual number)"
    percent = round(100 * (ratio - 1))
    return f" ({abs(percent)} % {less if percent < 0 else 'more'})" if percent else ""


def _not_clear_yet(value: float, fired: float, interval: ExpectedRange, unit: Unit, shop: ShopInfo) -> str:
    """Explain why it fires within its firing limit: the clear limit differs, or there is too little data."""
    above, limit = interval.high is not None, format_amount(fired, unit, shop)
    clear = interval.high if above else interval.low
    if clear is None or (value <= clear if above else value >= clear):
        return f"fired {'above' if above else 'below'} {limit}, too few events now"
    ends = f"{format_amount(clear, unit, shop)} or {'less' if above else 'more'}"
    return f"fired {'above' if above else 'below'} {limit}, ends at {ends}"


def _effect(part: Contributor) -> float:
    return part.rate_effect + part.mix_effect


def _is_prominent(part: Contributor, finding: Finding) -> bool:
    """Whether a part changed more than the whole; in an even change, the largest part contributes most."""
    if _effect(part) < _NAMED_ALONE:
        return False
    if part.mix_effect > part.rate_effect:
        return True
    if not (part.value and part.expected and finding.value and finding.expected):
        return True
    return abs(part.value / part.expected - 1) > _MORE_THAN_WHOLE * abs(finding.value / finding.expected - 1)


def _cause(part: Contributor, measure: Measure | None) -> str:
    effect = round(_effect(part), 2)
    share = f"{describe_labels(part.labels)}: {'all' if effect >= 1 else format_ratio(effect)} of the change"
    if part.mix_effect > part.rate_effect:
        of = f" of {describe_events(measure.per)}" if measure is not None and measure.per else ""
        return f"{share}, by mix (its share{of} changed)"
    return f"{share}, by rate"
