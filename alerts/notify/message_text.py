"""The text of one alert for all channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from alerts.findings import Contributor, Finding, Labels
from alerts.notify.markup import Markup, one_line, truncated
from alerts.shop import ShopInfo, chart_url, runbook_url
from alerts.state.alert import AlertState, Status
from alerts.state.notices import Notice, NoticeKind
from consumers.times import format_duration
from streams.panes.counters import Unit

MAX_CONTRIBUTORS = 3
_LONGEST = 400
"""Maximum characters of a line."""


@dataclass(frozen=True, slots=True)
class MessageFact:
    """A line of a message: a name and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of an alert, without markup."""

    headline: str
    """One line with the most important facts."""
    summary: str
    lines: tuple[MessageFact, ...]
    links: tuple[tuple[str, str], ...]
    """(name, URL) pairs."""


def message_text(notice: Notice, shop: ShopInfo) -> MessageText:
    """Compose the text of a notice."""
    alert = notice.alert
    summary = _resolved_summary(alert, shop) if notice.kind is NoticeKind.RESOLVED else alert.finding.summary
    return MessageText(
        headline(notice),
        truncated(one_line(summary), _LONGEST),
        tuple(_lines(notice, shop)),
        tuple(_links(alert, shop)),
    )


def headline(notice: Notice) -> str:
    """Format as `[FIRING, critical] Conversion dropped: channel app`."""
    alert = notice.alert
    state = "RESOLVED" if notice.kind is NoticeKind.RESOLVED else f"{notice.kind.upper()}, {alert.severity}"
    about = format_labels(alert.series.labels)
    title = alert.finding.title or alert.series.rule
    return truncated(one_line(f"[{state}] {title}{': ' if about else ''}{about}"), _LONGEST)


def format_labels(labels: Labels) -> str:
    """Format as `channel app, region east`."""
    return ", ".join(f"{name} {value}" for name, value in labels)


def format_number(value: float | None, unit: Unit, shop: ShopInfo) -> str:
    """Format a number with its unit.

    >>> shop = ShopInfo()
    >>> format_number(0.0213, Unit.RATIO, shop), format_number(1_234_500, Unit.MONEY, shop)
    ('2.13 %', '12,345.00 CNY')
    """
    if value is None:
        return "none"
    match unit:
        case Unit.RATIO:
            return f"{100 * value:.3g} %"
        case Unit.MONEY:
            return format_money(round(value), shop)
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


def format_money(minor: int, shop: ShopInfo) -> str:
    """Format minor units in the currency."""
    digits = shop.currency_exponent
    return f"{minor / 10**digits:,.{digits}f} {shop.currency}"


def format_time(at_ms: int, shop: ShopInfo) -> str:
    """Format a time in the shop's time zone.

    >>> format_time(1_794_355_200_000, ShopInfo(timezone="Asia/Shanghai"))
    '2026-11-11 08:00:00 Asia/Shanghai'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(shop.timezone)):%Y-%m-%d %H:%M:%S} " + (
        shop.timezone
    )


def _lines(notice: Notice, shop: ShopInfo) -> Iterator[MessageFact]:
    alert, finding = notice.alert, notice.alert.finding
    began_ms = finding.since_ms or alert.fired_ms or alert.since_ms
    if alert.status is Status.RESOLVED:
        ended_ms = alert.resolved_ms or notice.created_ms
        yield MessageFact("Lasted", f"{format_duration(ended_ms - began_ms)}, until {format_time(ended_ms, shop)}")
        yield MessageFact("Ended by", _RESOLUTION_TEXT.get(alert.over, alert.over))
    yield MessageFact("Since", format_time(began_ms, shop))
    if finding.expected is not None or finding.interval is not None:
        if alert.status is not Status.RESOLVED:
            yield MessageFact("Actual", format_number(finding.value, finding.unit, shop))
        yield MessageFact("Expected", _expected(finding, shop))
    if finding.contributors:
        parts = "; ".join(_contributor(contributor) for contributor in finding.contributors[:MAX_CONTRIBUTORS])
        yield MessageFact("Cause", truncated(one_line(parts), _LONGEST))
    if finding.money_per_minute is not None and alert.status is not Status.RESOLVED:
        yield MessageFact("At stake", f"{format_money(finding.money_per_minute, shop)} a minute")
    if alert.lost is not None and notice.kind is not NoticeKind.FIRING:
        yield MessageFact("Lost", f"about {format_money(round(alert.lost), shop)}")
    if alert.log.continues is not None:
        yield MessageFact("Before", f"reported as {truncated(one_line(str(alert.log.continues)), _LONGEST)}")
    yield MessageFact("Rule", truncated(one_line(str(alert.series)), _LONGEST))
    if alert.status is Status.FIRING:
        yield MessageFact("Acknowledge", f"salepulse alerts ack {alert.fingerprint}")
    if finding.runbook and runbook_url(finding, shop) is None:  # a relative path without a base
        yield MessageFact("Runbook", truncated(one_line(finding.runbook), _LONGEST))


def _resolved_summary(alert: AlertState, shop: ShopInfo) -> str:
    """Summarize a resolved alert: the value now and at worst. Duration and loss are separate facts."""
    finding, about = alert.finding, format_labels(alert.series.labels)
    parts = []
    if alert.now is not None:
        parts.append(f"now {format_number(alert.now, finding.unit, shop)}")
    if alert.worst is not None:
        parts.append(f"at worst {format_number(alert.worst, finding.unit, shop)}")
    if parts and (expected := _expected(finding, shop)):
        parts[-1] += f", expected {expected}"
    return f"{finding.title or alert.series.rule}{' in ' if about else ''}{about}: {'; '.join(parts) or 'it is over'}"


_RESOLUTION_TEXT = {
    "within": "it is as expected again",
    "not_in_force": "its rule is not in force any more",
    "gone": "it is not watched any more",
    "new_normal": "this is what is now expected",
    "stale": "there was too little data for a whole window",
}


def _expected(finding: Finding, shop: ShopInfo) -> str:
    limits = [] if finding.expected is None else [format_number(finding.expected, finding.unit, shop)]
    if (range_ := finding.interval) is not None:
        low = None if range_.low is None else format_number(range_.low, finding.unit, shop)
        high = None if range_.high is None else format_number(range_.high, finding.unit, shop)
        if low and high:
            limits.append(f"{low} to {high}")
        elif low or high:
            limits.append(f"at least {low}" if low else f"at most {high}")
    return ", ".join(limits)


def _contributor(contributor: Contributor) -> str:
    effects = [
        f"{round(100 * effect)} % by its {name}"
        for effect, name in ((contributor.rate_effect, "rate"), (contributor.mix_effect, "share"))
        if round(100 * effect)
    ]
    return f"{format_labels(contributor.labels)} ({' and '.join(effects) or 'no effect'})"


def _links(alert: AlertState, shop: ShopInfo) -> Iterator[tuple[str, str]]:
    if url := chart_url(alert, shop):
        yield "Chart", url
    if url := runbook_url(alert.finding, shop):
        yield "Runbook", url


def render(message: MessageText, markup: Markup, newline: str = "\n") -> str:
    """Render with a channel's markup."""
    parts = [markup.bold(message.headline)]
    if message.summary:
        parts.append(markup.text(message.summary))
    parts += [f"{markup.text(line.name)}: {markup.text(line.text)}" for line in message.lines]
    if message.links:
        parts.append(" · ".join(markup.link(name, url) for name, url in message.links))
    return newline.join(parts)
