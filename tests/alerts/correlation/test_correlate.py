"""One incident, one page: which breach inhibits which."""

from __future__ import annotations

from dataclasses import replace

from alerts.correlation.correlate import CorrelationResult, correlate
from alerts.correlation.memory import (
    INHIBIT_AFTER_FAULT_MS,
    INHIBIT_AFTER_ROOT_MS,
    ActiveIncident,
    CorrelationMemory,
)
from alerts.detection.detector import Breach, RevenueRate
from alerts.detection.panes import ScopeValue
from alerts.detection.schedule import EffectiveRule
from alerts.detection.series import WHOLE_SHOP, to_labels
from alerts.findings import Condition, Finding, FindingReason, Labels, Series, Severity
from alerts.rules.loader import default_text, load

RULES = {
    rule.name: EffectiveRule(rule, True, rule.severity, rule.detect)
    for rule in load(default_text(), "default").rules.rules
}
SHOP = RevenueRate(seconds=60.0, gmv=1_000_000.0, paid=100.0)
APP, WEB = ("channel", "app"), ("channel", "web")


MINUTE_MS = 60_000


def wrong(
    rule: str,
    label: ScopeValue = WHOLE_SHOP,
    *,
    money: float | None = None,
    by: ScopeValue | None = None,
    labels: Labels | None = None,
    since_ms: int = 0,
) -> Breach:
    labels = to_labels(label) if labels is None else labels
    return Breach(
        rule, label, labels, FindingReason.EVIDENCE, money_per_minute=money, explained_by=by, since_ms=since_ms
    )  # fmt: skip


def correlated(
    *breaches: Breach,
    memory: CorrelationMemory | None = None,
    at_ms: int = 0,
    silent_topics: frozenset[str] = frozenset(),
) -> CorrelationResult:
    places = {name: place for place, name in enumerate(RULES)}
    ordered = sorted(breaches, key=lambda one: places[one.rule])
    return correlate(ordered, RULES, memory or CorrelationMemory(), SHOP, at_ms, silent_topics)


def findings_of(
    *breaches: Breach,
    memory: CorrelationMemory | None = None,
    at_ms: int = 0,
    silent_topics: frozenset[str] = frozenset(),
) -> dict[str, Finding]:
    found = correlated(*breaches, memory=memory, at_ms=at_ms, silent_topics=silent_topics)
    return {str(finding.series): finding for finding in found.findings}


def pages(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.condition is Condition.BREACHED]


def test_the_whole_inhibits_its_parts() -> None:
    found = findings_of(wrong("conversion-drop"), wrong("conversion-drop", APP), wrong("conversion-drop", WEB))
    assert pages(found) == ["conversion-drop"]
    assert found['conversion-drop{channel="app"}'].reason is FindingReason.PARENT
    assert str(found['conversion-drop{channel="app"}'].inhibited_by) == "conversion-drop"


def test_one_part_that_explains_the_whole_is_the_root() -> None:
    found = findings_of(wrong("conversion-drop", by=APP), wrong("conversion-drop", APP), wrong("conversion-drop", WEB))
    assert pages(found) == ['conversion-drop{channel="app"}']
    assert found["conversion-drop"].reason is FindingReason.CHILD


def test_the_first_rule_in_the_file_is_and_stays_the_root() -> None:
    memory = CorrelationMemory()
    assert pages(findings_of(wrong("conversion-drop"), memory=memory)) == ["conversion-drop"]
    found = findings_of(wrong("conversion-drop"), wrong("order-drop"), memory=memory, at_ms=1000)
    assert pages(found) == ["conversion-drop"], "the first root stays, though another is listed first"
    assert pages(findings_of(wrong("conversion-drop"), wrong("order-drop"))) == ["order-drop"]


STEP_MS = 10_000
PART = 'conversion-drop{channel="app"}'


def test_an_inhibited_part_pages_ten_minutes_after_the_incident_ended() -> None:
    memory = CorrelationMemory()
    ends_ms = INHIBIT_AFTER_ROOT_MS + 7 * STEP_MS
    for at_ms in range(0, ends_ms, STEP_MS):
        findings_of(
            wrong("conversion-drop"), wrong("conversion-drop", APP), wrong("order-drop"), memory=memory, at_ms=at_ms
        )
    until_ms = ends_ms - STEP_MS + INHIBIT_AFTER_ROOT_MS
    for at_ms in range(ends_ms, until_ms, STEP_MS):
        found = findings_of(wrong("conversion-drop", APP), memory=memory, at_ms=at_ms)
        assert pages(found) == [], f"{(at_ms - ends_ms) // 1000} s after"
        assert str(found[PART].inhibited_by) != PART
    assert pages(findings_of(wrong("conversion-drop", APP), memory=memory, at_ms=until_ms)) == [], "it is tested again"
    assert pages(findings_of(wrong("conversion-drop", APP), memory=memory, at_ms=until_ms + STEP_MS)) == [PART]


def test_another_rule_of_the_incident_is_inhibited_until_ten_minutes_after_its_root() -> None:
    """The incident ends just before the first evaluation that held the other back would be ten minutes old."""
    memory = CorrelationMemory()
    ends_ms = INHIBIT_AFTER_ROOT_MS - STEP_MS
    for at_ms in range(0, ends_ms, STEP_MS):
        found = findings_of(wrong("order-drop"), wrong("cart-drop"), memory=memory, at_ms=at_ms)
        assert pages(found) == ["order-drop"]
    paged = [
        at_ms
        for at_ms in range(ends_ms, ends_ms + 2 * INHIBIT_AFTER_ROOT_MS, STEP_MS)
        if pages(findings_of(wrong("cart-drop"), memory=memory, at_ms=at_ms))
    ]
    assert paged[0] == ends_ms + INHIBIT_AFTER_ROOT_MS, "its test started again one evaluation before"


def test_another_value_that_started_at_another_time_is_a_separate_incident() -> None:
    app = wrong("order-drop", APP)
    assert len(pages(findings_of(app, wrong("cart-drop", WEB, since_ms=400_000)))) == 2
    assert pages(findings_of(app, wrong("cart-drop", WEB, since_ms=20_000))) == ['order-drop{channel="app"}']
    campaigns = [wrong("ads-dear", ("campaign", name)) for name in "ab"]
    assert len(pages(findings_of(*campaigns))) == 2, "campaigns are no parts of a whole that is watched"


def test_a_whole_that_costs_far_more_takes_over_the_page_of_a_part() -> None:
    memory = CorrelationMemory()
    part, whole = wrong("order-drop", APP, money=60_000), wrong("conversion-drop", money=100_000)
    assert findings_of(part, memory=memory)['order-drop{channel="app"}'].continues is None
    for _ in range(3):
        found = findings_of(part, whole, memory=memory)
        assert pages(found) == ["conversion-drop"]
        assert str(found["conversion-drop"].continues) == 'order-drop{channel="app"}'
        assert found['order-drop{channel="app"}'].continues is None


def test_a_whole_continues_the_page_of_its_part() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop", APP), memory=memory)
    found = findings_of(wrong("order-drop"), wrong("order-drop", APP), wrong("order-drop", WEB), memory=memory)
    assert pages(found) == ["order-drop"]
    assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'


def test_a_successor_continues_the_page_with_the_same_severity() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop", APP, money=500_000), memory=memory, at_ms=MINUTE_MS)
    for _ in range(2):
        found = findings_of(wrong("order-drop"), memory=memory, at_ms=MINUTE_MS)
        assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'
        assert found["order-drop"].severity is Severity.CRITICAL


def test_a_whole_becomes_the_root_when_its_part_no_longer_explains_it() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop", by=APP), wrong("order-drop", APP), memory=memory)
    for _ in range(2):
        found = findings_of(wrong("order-drop"), wrong("order-drop", APP), wrong("cart-drop"), memory=memory)
        assert pages(found) == ["order-drop"]
        assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'


def test_a_breach_that_outlasts_the_root_is_inhibited() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop"), memory=memory)
    for at_ms in (20_000, INHIBIT_AFTER_ROOT_MS - 1):
        found = findings_of(wrong("conversion-drop", APP), memory=memory, at_ms=at_ms)
        assert pages(found) == []
        assert str(found['conversion-drop{channel="app"}'].inhibited_by) == "order-drop"
    last = correlated(wrong("conversion-drop", APP), memory=memory, at_ms=INHIBIT_AFTER_ROOT_MS)
    assert last.released == {Series("conversion-drop", (APP,))}, "its test starts again"
    found = findings_of(wrong("conversion-drop", APP), memory=memory, at_ms=INHIBIT_AFTER_ROOT_MS + 1000)
    assert pages(found) == ['conversion-drop{channel="app"}']


def test_a_breach_that_begins_after_the_root_has_ended_is_another_incident() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop"), memory=memory)
    findings_of(memory=memory, at_ms=1000)
    found = findings_of(wrong("conversion-drop", APP, since_ms=400_000), memory=memory, at_ms=420_000)
    assert pages(found) == ['conversion-drop{channel="app"}']
    assert found['conversion-drop{channel="app"}'].continues is None


def test_another_value_does_not_continue_the_page_of_a_cleared_one() -> None:
    for at_ms in (1000, 30_000):
        memory = CorrelationMemory()
        findings_of(wrong("order-drop", APP), memory=memory)
        if at_ms > 1000:
            findings_of(memory=memory, at_ms=1000)
        found = findings_of(wrong("cart-drop", WEB, since_ms=at_ms), memory=memory, at_ms=at_ms)
        assert pages(found) == ['cart-drop{channel="web"}']
        assert found['cart-drop{channel="web"}'].continues is None


def test_a_forecast_that_comes_true_is_one_page() -> None:
    memory, minute_ms = CorrelationMemory(), 60_000
    ahead, late = wrong("shipping-breach-ahead"), wrong("overdue-shipments")
    assert pages(findings_of(ahead, memory=memory)) == ["shipping-breach-ahead"]
    found = findings_of(ahead, late, memory=memory, at_ms=minute_ms)
    assert pages(found) == ["shipping-breach-ahead"], "the forecast is the root"
    assert found["overdue-shipments"].reason is FindingReason.SAME_INCIDENT
    for minutes in (2, 3):
        found = findings_of(late, memory=memory, at_ms=minutes * minute_ms)
        assert pages(found) == ["overdue-shipments"], "the end is not notified"
        assert str(found["overdue-shipments"].continues) == "shipping-breach-ahead"
    assert pages(findings_of(ahead, late, memory=memory, at_ms=4 * minute_ms)) == ["overdue-shipments"]
    found = findings_of(ahead, memory=memory, at_ms=5 * minute_ms)
    assert str(found["shipping-breach-ahead"].continues) == "overdue-shipments"


def test_the_whole_takes_over_from_a_part_if_neither_loss_is_known() -> None:
    memory = CorrelationMemory()
    part = wrong("overdue-shipments", ("region", "SP"))
    assert pages(findings_of(part, memory=memory)) == ['overdue-shipments{region="SP"}']
    found = findings_of(part, wrong("shipping-breach-ahead"), memory=memory, at_ms=1000)
    assert pages(found) == ["shipping-breach-ahead"]
    assert str(found["shipping-breach-ahead"].continues) == 'overdue-shipments{region="SP"}'


def test_an_incident_of_another_kind_opens_a_page() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("refund-surge"), memory=memory)
    assert findings_of(wrong("refund-surge"), wrong("order-drop"), memory=memory)["order-drop"].continues is None


def test_a_data_fault_inhibits_business_alerts() -> None:
    fault = wrong("input-lagging", labels=(("partition", "0"), ("topic", "orders")))
    memory = CorrelationMemory()
    found = findings_of(fault, wrong("order-silence"), wrong("conversion-drop"), memory=memory)
    assert pages(found) == ['input-lagging{partition="0",topic="orders"}']
    assert found["conversion-drop"].reason is FindingReason.DATA_FAULT
    afterwards = findings_of(wrong("conversion-drop"), memory=memory, at_ms=INHIBIT_AFTER_FAULT_MS - 1)
    assert pages(afterwards) == [], "numbers of those minutes are wrong, too"
    assert pages(findings_of(wrong("conversion-drop"), memory=memory, at_ms=2 * INHIBIT_AFTER_FAULT_MS)) == [
        "conversion-drop"
    ]


def test_a_fault_of_one_topic_does_not_inhibit_rules_on_others() -> None:
    fault = wrong("input-lagging", labels=(("partition", "0"), ("topic", "clicks")))
    found = findings_of(fault, wrong("payment-failures"), wrong("conversion-drop"))
    assert "payment-failures" in pages(found)
    assert found["conversion-drop"].reason is FindingReason.DATA_FAULT


def test_an_alert_reported_before_the_data_fault_continues() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("conversion-drop"), memory=memory)
    fault = wrong("input-stale", labels=(("partition", "0"), ("topic", "orders")))
    assert "conversion-drop" in pages(findings_of(fault, wrong("conversion-drop"), memory=memory, at_ms=1000))


def test_one_silent_producer_explains_missing_orders_but_all_of_them_do_not() -> None:
    silent = wrong("producer-silent", ("source", "orders/oms-1"))
    one = findings_of(silent, wrong("conversion-drop"))
    assert pages(one) == ['producer-silent{source="oms-1",topic="orders"}']
    all_of_them = findings_of(silent, wrong("order-silence"), silent_topics=frozenset({"orders"}))
    assert "order-silence" in pages(all_of_them)


def test_a_reported_whole_is_not_replaced_by_a_part_when_the_incident_ends() -> None:
    memory = CorrelationMemory()
    assert pages(findings_of(wrong("order-drop"), wrong("order-drop", APP), memory=memory)) == ["order-drop"]
    found = findings_of(wrong("order-drop", by=APP), wrong("order-drop", APP), memory=memory, at_ms=60_000)
    assert pages(found) == ["order-drop"]


def test_a_silent_topic_is_one_incident_for_all_producers() -> None:
    sources = [
        wrong("producer-silent", ("source", f"clicks/web-{i}"), labels=(("source", f"web-{i}"), ("topic", "clicks")))
        for i in range(3)
    ]
    still = frozenset({"clicks"})
    assert len(pages(findings_of(*sources, silent_topics=still))) == 1, "the first of them tells"
    assert len(pages(findings_of(*sources))) == 3, "others of the topic go on: each is a fault of its own"
    assert pages(findings_of(*sources, wrong("click-silence"), silent_topics=still)) == ["click-silence"]
    memory = CorrelationMemory()
    assert pages(findings_of(sources[1], memory=memory)) == [str_of(1)]
    assert pages(findings_of(*sources, memory=memory, silent_topics=still, at_ms=1000)) == [str_of(1)], (
        "the first root stays"
    )


def str_of(source: int) -> str:
    return f'producer-silent{{source="web-{source}",topic="clicks"}}'


def test_consequences_of_an_incident_are_inhibited() -> None:
    """Orders that waited for the end of a stop are given up all at once: the cancellations are no incident."""
    memory = CorrelationMemory()
    findings_of(wrong("order-silence"), memory=memory)
    found = findings_of(wrong("cancellation-surge"), memory=memory, at_ms=60_000)
    assert str(found["cancellation-surge"].inhibited_by) == "order-silence"


def test_a_large_loss_is_critical_and_listed_first() -> None:
    found = findings_of(wrong("order-drop", APP, money=1_000), wrong("refund-surge", money=500_000), at_ms=MINUTE_MS)
    assert next(iter(found)) == "refund-surge"
    assert found["refund-surge"].severity is Severity.CRITICAL
    assert found['order-drop{channel="app"}'].severity is Severity.WARNING


def test_a_critical_alert_stays_critical() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("refund-surge", money=500_000), memory=memory, at_ms=MINUTE_MS)
    found = findings_of(wrong("refund-surge", money=1_000), memory=memory, at_ms=MINUTE_MS)
    assert found["refund-surge"].severity is Severity.CRITICAL


def test_a_partial_loss_is_critical_only_once_it_has_lasted_a_minute() -> None:
    assert findings_of(wrong("refund-surge", money=500_000))["refund-surge"].severity is Severity.WARNING
    total = replace(wrong("order-drop", money=500_000), value=0.0, expected=0.8)
    assert findings_of(total)["order-drop"].severity is Severity.CRITICAL


def test_an_ended_incident_is_reported_once_with_its_root_and_start() -> None:
    memory = CorrelationMemory()
    findings_of(wrong("order-drop", APP, since_ms=50_000), memory=memory, at_ms=60_000)
    findings_of(
        wrong("order-drop", since_ms=40_000, money=9e5),
        wrong("order-drop", APP, since_ms=50_000),
        memory=memory,
        at_ms=70_000,
    )
    found = correlated(wrong("order-drop", since_ms=65_000, money=9e5), memory=memory, at_ms=80_000)
    assert found.ended_incidents == {}
    ended = {"orders": ActiveIncident(Series("order-drop"), 40_000)}
    assert correlated(memory=memory, at_ms=90_000).ended_incidents == ended
    assert correlated(memory=memory, at_ms=100_000).ended_incidents == {}


def test_a_root_that_no_longer_applies_does_not_end_its_incident() -> None:
    switched_off = RULES | {"order-drop": replace(RULES["order-drop"], enabled=False)}
    taken_out = {name: rule for name, rule in RULES.items() if name != "order-drop"}
    for rules in (switched_off, taken_out):
        memory = CorrelationMemory()
        findings_of(wrong("order-drop", since_ms=40_000), memory=memory, at_ms=60_000)
        assert correlate([], rules, memory, SHOP, 70_000).ended_incidents == {}


def test_the_memory_drops_what_has_expired() -> None:
    memory = CorrelationMemory()
    fault = wrong("input-lagging", labels=(("partition", "0"), ("topic", "orders")))
    findings_of(fault, wrong("conversion-drop"), wrong("order-drop", APP), memory=memory)
    assert memory.faults
    assert memory.reported
    assert memory.inhibited
    for at_ms in (INHIBIT_AFTER_ROOT_MS, 2 * INHIBIT_AFTER_ROOT_MS):
        findings_of(memory=memory, at_ms=at_ms)
    assert memory == CorrelationMemory()
