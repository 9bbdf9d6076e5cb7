"""The text of messages, and the escaping of values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.findings import Contributor, ExplainedSeries, FindingReason, Series, Severity
from alerts.notify.markup import FULL_WIDTH_MARKDOWN, HTML, LARK_MARKDOWN, PLAIN, SLACK, Markup
from alerts.notify.message import NotificationMessage, worst_first
from alerts.notify.message_text import alert_facts
from alerts.payloads import alert_payload
from tests.alerts.builders import finding
from tests.alerts.notify.notices import NOW_MS, PLACE, many, message, noticed
from tests.alerts.state.alert_play import Play

REPOSITORY = Path(__file__).parents[3]
MARKUPS = (PLAIN, HTML, SLACK, FULL_WIDTH_MARKDOWN, LARK_MARKDOWN)

CHART = (
    "https://pulse.example/?series=conversion_rate&window=5m&scope=channel&value=app"
    "&start=1794351600000&since=1794355170000"
)

CAUSED = replace(
    finding(),
    contributors=(
        Contributor((("channel", "app"), ("region", "east")), 0.8, 0.05, 0.01, 0.04),
        Contributor((("channel", "web"),), 0.0, 0.15, 0.04, 0.04),
    ),
    explains=(
        ExplainedSeries(Series("payment-failures", (("channel", "app"),)), "More payments fail"),
        ExplainedSeries(Series("payment-drop"), "Fewer orders are paid"),
    ),
)


CAUSES = (
    "channel app, region east: 85 % of the change, by rate; "
    "channel web: 15 % of the change, by mix (its share of product views changed)"
)


def test_the_text_has_all_facts_in_order_of_importance() -> None:
    assert message(CAUSED).body(PLAIN, 10_000).splitlines() == [
        "[FIRING, critical] Conversion dropped: channel app",
        "412 orders a minute, expected 780 to 860 (50 % fewer); 2.1 % of the product views, usually 4 %",
        "Since: 07:59:30 (Asia/Shanghai), 30 s ago",
        "Stage: product view to order",
        "Lost: CNY 6,170 so far, CNY 12,300 a minute",
        f"Likely causes: {CAUSES}",
        "Also explained by this: More payments fail (channel app); Fewer orders are paid (whole shop)",
        'Rule: conversion-drop{channel="app"}',
        f"Acknowledge: salepulse alerts ack {noticed(finding())[0].alert.fingerprint}",
        f"Chart: {CHART} · Runbook: https://wiki.example/conversion",
    ]


def test_the_age_of_a_page_is_in_whole_seconds() -> None:
    began_ms = NOW_MS - 1_630
    (notice,) = noticed(replace(finding(), since_ms=began_ms))
    facts = alert_facts(notice.alert, PLACE, NOW_MS)
    assert next(fact.text for fact in facts if fact.name == "Since").endswith(", 2 s ago")


def test_the_example_in_the_docs_is_a_message() -> None:
    example = (REPOSITORY / "docs" / "receivers.md").read_text().partition("```text\n")[2].partition("```")[0]
    assert message(CAUSED).body(PLAIN, 10_000).startswith(example)


def test_a_note_is_one_sentence_and_asks_for_nothing() -> None:
    text = message(replace(finding(severity=Severity.INFO), money_per_minute=None)).body(PLAIN, 10_000)
    assert text.startswith("[NOTE] Conversion dropped: channel app\n412 orders a minute, ")
    assert "Acknowledge" not in text
    assert "Lost" not in text


def test_the_chart_extends_until_the_alert_is_resolved() -> None:
    assert f"Chart: {CHART} ·" in message().body(PLAIN, 10_000)
    ended = CHART.replace("&since=", "&end=1794355200000&since=")
    assert f"Chart: {ended} ·" in message(over=True).body(PLAIN, 10_000)


def test_an_end_has_its_duration_and_reason() -> None:
    text = message(over=True).body(PLAIN, 10_000)
    assert text.startswith("[RESOLVED] Conversion dropped: channel app")
    assert "Lasted: 4 min 30 s, until 08:04:00 (Asia/Shanghai)" in text
    assert "Ended by: it is as expected again" in text
    assert "Acknowledge" not in text


def test_an_end_has_the_current_and_worst_value_and_the_loss() -> None:
    lines = message(over=True).body(PLAIN, 10_000).splitlines()
    assert lines[1] == "3.9 % of the product views now; at worst 2.1 %, expected at least 3.6 %"
    assert "Lost: about CNY 6,170" in lines


def test_an_update_names_the_former_alert() -> None:
    play = Play()
    part = finding()
    play.at(0, part)
    held = finding(reason=FindingReason.PARENT, inhibited_by=finding(labels={}).series)
    play.at(1, replace(finding(labels={}), continues=part.series), held)
    text = NotificationMessage(play.notices[-1:], PLACE, NOW_MS).body(PLAIN, 10_000)
    assert text.startswith("[UPDATED, critical] Conversion dropped")
    assert 'Before: reported as conversion-drop{channel="app"}' in text


def test_a_relative_runbook_without_a_base_is_shown_as_written() -> None:
    notices = noticed(finding(runbook="docs/runbooks.md#conversion-drop"))
    message = NotificationMessage(notices, replace(PLACE, runbooks=""), NOW_MS)
    assert "Runbook: docs/runbooks.md#conversion-drop" in message.body(PLAIN, 10_000).splitlines()


def test_a_runbook_may_be_a_path() -> None:
    assert "https://wiki.example/runbooks/conv%20drop#app" in message(finding(runbook="/conv drop#app")).body(
        PLAIN, 10_000
    )
    assert "javascript" not in message(finding(runbook="javascript:alert(1)")).body(HTML, 10_000).replace(
        "runbooks/javascript", ""
    )


EVIL = 'x](https://evil.example) <!channel> <@all> <at id=all></at> <img src=x onerror=1> *b* `c` @13800000000 "q"\n[y'


@pytest.mark.parametrize("markup", MARKUPS, ids=lambda markup: markup.name)
def test_a_value_cannot_link_mention_or_format(markup: Markup) -> None:
    text = message(finding(labels={"channel": EVIL}, summary=EVIL, title=EVIL)).body(markup, 100_000)
    forbidden = {
        PLAIN.name: ("\n[y",),
        HTML.name: ("<img", "<at"),
        SLACK.name: ("<!channel>", "<@all>"),
        FULL_WIDTH_MARKDOWN.name: ("](https://evil", "<at", "<@", "`c`", "*b*", "@138"),
        LARK_MARKDOWN.name: ("](https://evil", "<at", "<@", "`c`", "*b*"),
    }
    for sign in forbidden[markup.name]:
        assert sign not in text


@given(
    st.integers(1, 60), st.integers(0, 20), st.integers(700, 20_000), st.sampled_from(MARKUPS), st.text(max_size=128)
)
def test_a_message_stays_within_its_limit_with_a_line_for_each_critical_alert(
    others: int, critical: int, most: int, markup: Markup, name: str
) -> None:
    most = max(most, 700 + 700 * critical)
    found = [*many(critical, Severity.CRITICAL)]
    found += [finding(labels={"sku": f"{name}{i}"}, severity=Severity.WARNING) for i in range(others)]
    text = message(*found).body(markup, most)
    assert len(text.encode()) <= most
    assert all(markup.text(f"SKU s-{i}") in text for i in range(critical))


def test_the_id_of_a_message_identifies_its_notices() -> None:
    both = noticed(finding(), finding(labels={"channel": "web"}))
    one = NotificationMessage(worst_first(both), PLACE, NOW_MS)
    assert one.id == NotificationMessage(worst_first(both[::-1]), PLACE, NOW_MS + 5).id
    assert one.id != NotificationMessage(both[:1], PLACE, NOW_MS).id


def test_the_payload_has_the_same_facts() -> None:
    alert = noticed(CAUSED)[0].alert
    payload = alert_payload(alert, PLACE)
    assert (payload.state, payload.rule, payload.labels) == ("firing", "conversion-drop", {"channel": "app"})
    assert (payload.segment, payload.stage) == ("channel app", "product view to order")
    assert payload.summary.startswith("Conversion dropped (channel app): 412 orders a minute, expected 780 to 860")
    assert payload.events is not None
    assert payload.events.expected == (780.2, 860.0)
    assert [explained.title for explained in payload.explains] == ["More payments fail", "Fewer orders are paid"]
    assert payload.interval == (0.036, None)
    assert payload.contributors[0].labels == {"channel": "app", "region": "east"}
