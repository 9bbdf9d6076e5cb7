"""What is said of one alert, whichever way it goes.

What, how bad, since when, expected and actual, cause, money at stake, chart, runbook.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from alerts.findings import Contributor, Finding, Labels
from alerts.notify.markup import Markup, clipped, one_line
from alerts.state.alert import Alert, Status
from alerts.state.telling import Kind, Notice
from streams.panes.counters import Unit

MOST_CONTRIBUTORS = 3
_LONGEST = 400
"""Characters of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the shop is and how it counts."""

    url: str = ""
    """Where people reach `salepulse serve`; empty: messages have no links to it."""
    runbooks: str = ""
    """What a rule's runbook is relative to, where it is no address itself."""
    timezone: str = "UTC"
    currency: str = "CNY"
    currency_exponent: int = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: its name, and what it is."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Wording:
    """All that is said, without markup."""

    headline: str
    """One line that says the most."""
    summary: str
    lines: tuple[Line, ...]
    links: tuple[tuple[str, str], ...]
    """(what, address) pairs."""


def wording(notice: Notice, place: Place) -> Wording:
    """What a notice says."""
    alert = notice.alert
    summary = _over(alert, place) if notice.kind is Kind.RESOLVED else alert.finding.summary
    return Wording(
        headline(notice),
        clipped(one_line(summary), _LONGEST),
        tuple(_lines(notice, place)),
        tuple(_links(alert, place)),
    )


def headline(notice: Notice) -> str:
    """`[FIRING, critical] Conversion dropped: channel app`."""
    alert = notice.alert
    state = "RESOLVED" if notice.kind is Kind.RESOLVED else f"{notice.kind.upper()}, {alert.severity}"
    about = labels_text(alert.series.labels)
    title = alert.finding.title or alert.series.rule
    return clipped(one_line(f"[{state}] {title}{': ' if about else ''}{about}"), _LONGEST)


def labels_text(labels: Labels) -> str:
    """`channel app, region east`."""
    return ", ".join(f"{name} {value}" for name, value in labels)


def number(value: float | None, unit: Unit, place: Place) -> str:
    """A number with its unit, as people read it.

    >>> number(0.0213, Unit.RATIO, Place()), number(1_234_500, Unit.MONEY, Place()), number(1234.0, Unit.COUNT, Place())
    ('2.13 %', '12,345.00 CNY', '1,234')
    """
    if value is None:
        return "none"
    match unit:
        case Unit.RATIO:
            return f"{100 * value:.3g} %"
        case Unit.MONEY:
            return money(round(value), place)
        case Unit.COUNT:
            return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"
        case Unit.MILLISECONDS:
            return f"{value:,.0f} ms"
        case Unit.SECONDS:
            return f"{value:,.3g} s"
        case Unit.MINUTES:
            return f"{value:,.3g} min"
        case Unit.HOURS:
            return f"{value:,.3g} h"


def money(minor: int, place: Place) -> str:
    """Minor units in major ones, with the currency."""
    digits = place.currency_exponent
    return f"{minor / 10**digits:,.{digits}f} {place.currency}"


def clock(at_ms: int, place: Place) -> str:
    """A moment by the shop's clock.

    >>> clock(1_794_355_200_000, Place(timezone="Asia/Shanghai"))
    '2026-11-11 08:00:00 Asia/Shanghai'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(place.timezone)):%Y-%m-%d %H:%M:%S} " + (
        place.timezone
    )


def duration(length_ms: int) -> str:
    """How long, in two units.

    >>> duration(45_000), duration(3_725_000), duration(183_600_000)
    ('45 s', '1 h 2 min', '2 d 3 h')
    """
    seconds = max(0, round(length_ms / 1000))
    units = [("d", seconds // 86_400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((at for at, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


def chart_url(alert: Alert, place: Place) -> str | None:
    """Where the chart is: the page, with the series and the range to show; up to now until the alert is resolved."""
    finding = alert.finding
    chart = finding.chart
    if chart is None or not place.url:
        return None
    asked = {
        "series": chart.name,
        "window": chart.window.value,
        "scope": chart.scope.value,
        "value": chart.value,
        "start": str(chart.start_ms),
        "end": str(chart.end_ms) if alert.status is Status.RESOLVED else "",
        "since": str(finding.since_ms or ""),
    }
    return f"{place.url.rstrip('/')}/?{urlencode({name: text for name, text in asked.items() if text})}"


def runbook_url(finding: Finding, place: Place) -> str | None:
    """Where it says what to do."""
    if finding.runbook.startswith(("https://", "http://")):
        return quote(finding.runbook, safe="/:?#[]@!$&'()*+,;=%~-._")
    if finding.runbook and place.runbooks:
        return f"{place.runbooks.rstrip('/')}/{quote(finding.runbook.lstrip('/'), safe='/#')}"
    return None


def _lines(notice: Notice, place: Place) -> Iterator[Line]:
    alert, finding = notice.alert, notice.alert.finding
    began_ms = finding.since_ms or alert.fired_ms or alert.since_ms
    if alert.status is Status.RESOLVED:
        ended_ms = alert.resolved_ms or notice.created_ms
        yield Line("Lasted", f"{duration(ended_ms - began_ms)}, until {clock(ended_ms, place)}")
        yield Line("Ended by", _ENDED.get(alert.over, alert.over))
    yield Line("Since", clock(began_ms, place))
    if finding.expected is not None or finding.interval is not None:
        if alert.status is not Status.RESOLVED:
            yield Line("Actual", number(finding.value, finding.unit, place))
        yield Line("Expected", _expected(finding, place))
    if finding.contributors:
        parts = "; ".join(_contributor(one) for one in finding.contributors[:MOST_CONTRIBUTORS])
        yield Line("Cause", clipped(one_line(parts), _LONGEST))
    if finding.money_per_minute is not None and alert.status is not Status.RESOLVED:
        yield Line("At stake", f"{money(finding.money_per_minute, place)} a minute")
    if alert.lost is not None and notice.kind is not Kind.FIRING:
        yield Line("Lost", f"about {money(round(alert.lost), place)}")
    if alert.continues is not None:
        yield Line("Before", f"told as {clipped(one_line(str(alert.continues)), _LONGEST)}")
    yield Line("Rule", clipped(one_line(str(alert.series)), _LONGEST))
    if alert.status is Status.FIRING:
        yield Line("Acknowledge", f"salepulse alerts ack {alert.fingerprint}")
    if finding.runbook and runbook_url(finding, place) is None:  # a path, and nothing says where it begins
        yield Line("Runbook", clipped(one_line(finding.runbook), _LONGEST))


def _over(alert: Alert, place: Place) -> str:
    """One sentence about what is over: what is measured now, and at worst. For how long and for how much money it was
    wrong have lines of their own."""
    finding, about = alert.finding, labels_text(alert.series.labels)
    parts = []
    if alert.now is not None:
        parts.append(f"now {number(alert.now, finding.unit, place)}")
    if alert.worst is not None:
        parts.append(f"at worst {number(alert.worst, finding.unit, place)}")
    if parts and (expected := _expected(finding, place)):
        parts[-1] += f", where {expected} was to be expected"
    return f"{finding.title or alert.series.rule}{' in ' if about else ''}{about}: {'; '.join(parts) or 'it is over'}"


_ENDED = {
    "within": "it is as expected again",
    "not_in_force": "its rule is not in force any more",
    "gone": "it is not watched any more",
    "new_normal": "this is what is now expected",
    "stale": "there has been too little to judge by for as long as its window: nothing can be said of it any more",
}


def _expected(finding: Finding, place: Place) -> str:
    said = [] if finding.expected is None else [number(finding.expected, finding.unit, place)]
    if (range_ := finding.interval) is not None:
        low = None if range_.low is None else number(range_.low, finding.unit, place)
        high = None if range_.high is None else number(range_.high, finding.unit, place)
        if low and high:
            said.append(f"{low} to {high}")
        elif low or high:
            said.append(f"at least {low}" if low else f"at most {high}")
    return ", ".join(said)


def _contributor(one: Contributor) -> str:
    effects = [
        f"{round(100 * effect)} % by its {name}"
        for effect, name in ((one.rate_effect, "rate"), (one.mix_effect, "share"))
        if round(100 * effect)
    ]
    return f"{labels_text(one.labels)} ({' and '.join(effects) or 'no effect'})"


def _links(alert: Alert, place: Place) -> Iterator[tuple[str, str]]:
    if url := chart_url(alert, place):
        yield "Chart", url
    if url := runbook_url(alert.finding, place):
        yield "Runbook", url


def rendered(said: Wording, markup: Markup, newline: str = "\n") -> str:
    """All of it in a channel's markup."""
    parts = [markup.bold(said.headline)]
    if said.summary:
        parts.append(markup.text(said.summary))
    parts += [f"{markup.text(line.name)}: {markup.text(line.text)}" for line in said.lines]
    if said.links:
        parts.append(" · ".join(markup.link(name, url) for name, url in said.links))
    return newline.join(parts)
