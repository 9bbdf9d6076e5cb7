"""The text of one alert for all channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alerts.findings import FindingReason, Severity
from alerts.notify.markup import Markup, one_line, truncated
from alerts.shop import ShopInfo, chart_url, runbook_url
from alerts.state.alert import AlertState, Status
from alerts.state.notices import Notice, NoticeKind
from alerts.wording.amounts import format_amount, format_estimate, format_length, format_time
from alerts.wording.sentences import (
    describe_causes,
    describe_expected,
    describe_explained,
    describe_loss,
    describe_measured,
    describe_numbers,
)
from alerts.wording.terms import describe_segment, describe_stage

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
    if notice.kind is NoticeKind.RESOLVED:
        summary = _resolved_summary(alert, shop)
    else:
        summary = describe_numbers(alert.finding, shop)
    return MessageText(
        headline(notice),
        truncated(one_line(summary), _LONGEST),
        alert_facts(alert, shop, notice.created_ms),
        tuple(_links(alert, shop)),
    )


def headline(notice: Notice) -> str:
    """Format as `[FIRING, critical] Conversion dropped: channel app`; an alert of severity info is a note."""
    alert = notice.alert
    if notice.kind is NoticeKind.RESOLVED:
        state = "RESOLVED"
    elif alert.severity is Severity.INFO:
        state = "NOTE"
    else:
        state = f"{notice.kind.upper()}, {alert.severity}"
    segment = describe_segment(alert.finding)
    title = alert.finding.title or alert.series.rule
    return truncated(one_line(f"[{state}] {title}{': ' if segment else ''}{segment}"), _LONGEST)


def alert_facts(alert: AlertState, shop: ShopInfo, now_ms: int) -> tuple[MessageFact, ...]:
    """The lines of a message about an alert."""
    facts = (fact for fact in _facts(alert, shop, now_ms) if fact.text)
    return tuple(MessageFact(fact.name, truncated(one_line(fact.text), _LONGEST)) for fact in facts)


def _facts(alert: AlertState, shop: ShopInfo, now_ms: int) -> Iterator[MessageFact]:
    finding = alert.finding
    began_ms = finding.since_ms or alert.fired_ms or alert.since_ms
    zone = f" ({shop.timezone})"
    is_over = alert.status is Status.RESOLVED
    if is_over:
        ended_ms = alert.resolved_ms or now_ms
        until = format_time(ended_ms, shop, began_ms)
        yield MessageFact("Lasted", f"{_whole_seconds(ended_ms - began_ms)}, until {until}{zone}")
        yield MessageFact("Ended by", _RESOLUTION_TEXT.get(alert.over, alert.over))
    since = format_time(began_ms, shop, now_ms) + zone
    yield MessageFact("Since", since if is_over else f"{since}, {_whole_seconds(now_ms - began_ms)} ago")
    yield MessageFact("Stage", describe_stage(finding.measure))
    if not is_over:
        name = "At stake" if finding.is_forecast else "Lost"
        yield MessageFact(name, describe_loss(finding, alert.lost, shop))
    elif alert.lost is not None:
        yield MessageFact("Lost", f"about {format_estimate(alert.lost, shop)}")
    yield MessageFact("Likely causes", describe_causes(finding))
    yield MessageFact("Also explained by this", describe_explained(finding))
    if alert.log.continues is not None:
        yield MessageFact("Before", f"reported as {alert.log.continues}")
    yield MessageFact("Rule", str(alert.series))
    if alert.status is Status.FIRING and alert.severity is not Severity.INFO:
        yield MessageFact("Acknowledge", f"salepulse alerts ack {alert.fingerprint}")
    if finding.runbook and runbook_url(finding, shop) is None:  # a relative path without a base
        yield MessageFact("Runbook", finding.runbook)


def _whole_seconds(length_ms: int) -> str:
    """A duration as people say it; 0 if it is negative, because clocks differ."""
    return format_length(1000 * round(max(0, length_ms) / 1000))


def _resolved_summary(alert: AlertState, shop: ShopInfo) -> str:
    """Summarize a resolved alert: the value now and at worst. Duration and loss are separate facts."""
    finding = alert.finding
    if finding.reason is FindingReason.SILENT:
        return describe_numbers(finding, shop)
    now = "" if alert.now is None else describe_measured(finding, alert.now, shop)
    parts = [f"{now} now"] if now else []
    worst = "" if alert.worst is None or alert.worst == alert.now else describe_measured(finding, alert.worst, shop)
    if worst and alert.worst is not None:
        parts.append(f"at worst {format_amount(alert.worst, finding.unit, shop) if now else worst}")
    if parts and (expected := describe_expected(finding, shop)):
        parts[-1] += f", expected {expected}"
    return "; ".join(parts) or "it is over"


_RESOLUTION_TEXT = {
    "within": "it is as expected again",
    "not_in_force": "its rule is not in force any more",
    "gone": "it is not watched any more",
    "new_normal": "this is what is now expected",
    "stale": "there was too little data for a whole window",
}


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
