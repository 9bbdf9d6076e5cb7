"""What on-call reads about each default rule has no form that people do not write."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from alerts.correlation.presentation import measure_of
from alerts.detection.health import unit_of_check
from alerts.findings import (
    Contributor,
    EventRate,
    ExpectedRange,
    ExplainedSeries,
    Finding,
    FindingReason,
    Series,
)
from alerts.notify.markup import PLAIN
from alerts.notify.message import NotificationMessage
from alerts.notify.receivers import ReceiversFile
from alerts.payloads import alert_payload
from alerts.rules.detect import (
    ChangeDetector,
    HealthCheck,
    HealthCheckDetector,
    SequentialDetector,
    ShareDetector,
    SilenceDetector,
    StockDetector,
    ThresholdDetector,
)
from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.rules.rule import Rule
from alerts.rules.values import unit_of
from alerts.shop import ShopInfo
from alerts.wording.sentences import sentence
from alerts.wording.terms import describe_stage, describe_value
from streams.panes.counters import Unit
from tests.alerts.builders import T0
from tests.alerts.notify.notices import noticed

RULES = read_rules(default_text()).rules
assert RULES is not None
SHOP = ShopInfo(url="https://pulse.example", timezone="Asia/Shanghai", currency="CNY")

FORBIDDEN = re.compile(
    r"\d\.?\d*e[+-]?\d|\bfen\b|\bminor\b|\.\d{4,}|\b(?:None|nan|inf)\b|\b0\.00 ?%|\d%|"
    r"\b(?:1[3-9]\d|12[1-9]|[2-9]\d\d|\d{1,3}(?:,\d{3})+|\d{4,})(?:\.\d+)? s\b",
    re.IGNORECASE,
)
"""Exponents, minor units, long decimals, missing values, 0.00 % and seconds above 120."""
NUMBERS = (0.0, 0.0000123, 0.0213, 1.0, 47.123456, 3060.0, 1_234_567.891)
RECEIVERS = [
    {"name": "d", "type": "dingtalk", "url": "https://a.example"},
    {"name": "f", "type": "feishu", "url": "https://a.example"},
    {"name": "c", "type": "wecom", "url": "https://a.example"},
    {"name": "s", "type": "slack", "url": "https://a.example"},
    {"name": "p", "type": "pagerduty", "routing_key": "r" * 32},
    {"name": "w", "type": "webhook", "url": "https://a.example", "secret": "whsec_" + "AAAA" * 8},
    {"name": "m", "type": "alertmanager", "url": "https://a.example"},
]


def unit_of_rule(rule: Rule) -> Unit:
    match rule.detect:
        case ThresholdDetector(value=name) | ChangeDetector(value=name):
            return unit_of(name)
        case HealthCheckDetector(check=check):
            return unit_of_check(check)
        case SilenceDetector():
            return Unit.COUNT
        case _:
            return Unit.RATIO


def reasons(rule: Rule) -> tuple[FindingReason, ...]:
    match rule.detect:
        case SequentialDetector() | ShareDetector():
            return (FindingReason.EVIDENCE,)
        case SilenceDetector():
            return (FindingReason.SILENT,)
        case ChangeDetector():
            return (FindingReason.CHANGED,)
        case _:
            return (FindingReason.BEYOND,)


def breaches(rule: Rule) -> Iterator[Finding]:
    """Findings of a rule with small, usual and large numbers, with and without each part."""
    for number, (reason, scope) in itertools.product(NUMBERS, itertools.product(reasons(rule), rule.for_each)):
        is_sequential = isinstance(rule.detect, SequentialDetector)
        labels = () if scope == "all" else ((str(scope), "v1"),)
        bare = Finding(
            series=Series(rule.name, labels),
            reason=reason,
            severity=rule.severity,
            category=rule.category,
            as_of_ms=T0,
            since_ms=T0 - round(number * 1000) - 130_000,
            unit=unit_of_rule(rule),
            value=number,
            measure=measure_of(rule.detect),
            incident=rule.incident_key,
            title=rule.title,
            summary=f"{number:,.0f} units left" if isinstance(rule.detect, StockDetector) else "",
            runbook=rule.runbook,
        )
        yield replace(bare, value=None)
        yield replace(bare, interval=ExpectedRange(None, number / 3), fired_beyond=number * 2)
        yield replace(
            bare,
            expected=number / 3 + 0.1,
            interval=ExpectedRange(number / 4, number / 2),
            rate=EventRate(number, ExpectedRange(number / 3, number / 2)) if is_sequential else None,
            money_per_minute=round(number * 1234),
            money_lost=round(number * 123_456),
            contributors=(Contributor((("channel", "app"),), 0.123456, 0.7, number, number / 7),),
            explains=(ExplainedSeries(Series("order-drop"), "Fewer checkouts become orders"),),
        )


def text_of(body: bytes) -> str:
    """The text in a request, without what programs read."""
    data = json.loads(body)
    if isinstance(data, list):
        data = [alert["annotations"] for alert in data]
    elif "data" in data:
        data = [data["text"], data["data"]["summary"]]
    elif "payload" in data:
        data = [data["payload"]["summary"], data["payload"]["custom_details"]]
    elif "event_action" in data:
        return ""
    text = json.dumps(data, ensure_ascii=False)
    return re.sub(r"https?://[^\s\"]*|alerts ack \w+|fingerprint\": \"\w+", "", text)


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_no_message_has_a_form_that_people_do_not_write(rule: Rule) -> None:
    receivers = ReceiversFile.model_validate({"receivers": RECEIVERS}).receivers
    for finding in breaches(rule):
        for over in (False, True):
            for notice in noticed(finding, over=over):
                message = NotificationMessage((notice,), SHOP, notice.created_ms)
                texts = [message.body(PLAIN, 100_000), alert_payload(notice.alert, SHOP).summary]
                texts += [text_of(request.body) for one in receivers for request in one.requests(message)]
                for text in texts:
                    readable = re.sub(r"https?://\S*|alerts ack \w+|Chart: \S*", "", text)
                    found = FORBIDDEN.search(readable)
                    assert found is None, f"{found} in {readable}"


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_number_of_the_default_rules_has_words(rule: Rule) -> None:
    measure = measure_of(rule.detect)
    if isinstance(rule.detect, SequentialDetector | SilenceDetector):
        assert rule.name == "producer-silent" or describe_stage(measure)
    else:
        assert measure.count[0].replace("_", " ") not in describe_value(measure, "5")


@pytest.mark.parametrize("check", list(HealthCheck))
def test_each_health_check_has_words(check: HealthCheck) -> None:
    measure = measure_of(HealthCheckDetector(kind="health", check=check))
    assert check.value.replace("_", " ") not in describe_value(measure, "5")


def test_a_sentence_names_segment_counts_and_band() -> None:
    rule = next(rule for rule in RULES.rules if rule.name == "order-drop")
    finding = replace(
        next(breaches(rule)),
        series=Series("order-drop", (("channel", "app"),)),
        value=0.41,
        expected=0.8,
        rate=EventRate(0.4, ExpectedRange(0.75, 0.85)),
    )
    assert sentence(finding, SHOP) == (
        "Fewer checkouts become orders (channel app): 24 orders an hour, expected 45 to 51 (50 % fewer); "
        "41 % of the checkouts, usually 80 %"
    )


def test_a_note_has_its_ratio_and_its_reason() -> None:
    rule = next(rule for rule in RULES.rules if rule.name == "conversion-drop")
    note = replace(next(breaches(rule)), value=0.021, expected=0.04, summary="nothing is lost")
    assert sentence(note, SHOP) == (
        "Conversion dropped (whole shop): 2.1 % of the product views, usually 4 %; nothing is lost"
    )
