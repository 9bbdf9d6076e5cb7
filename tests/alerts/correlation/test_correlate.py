"""One incident, one page: what holds back what."""

from __future__ import annotations

from dataclasses import replace

from alerts.correlation.candidates import CorrelationMemory
from alerts.correlation.correlate import INHIBIT_AFTER_FAULT_MS, INHIBIT_AFTER_ROOT_MS, correlate
from alerts.detection.breach import Breach
from alerts.detection.panes import ScopeValue
from alerts.detection.revenue import RevenueRate
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


def told(
    *judged: Breach,
    memory: CorrelationMemory | None = None,
    at_ms: int = 0,
    silent_topics: frozenset[str] = frozenset(),
) -> dict[str, Finding]:
    places = {name: place for place, name in enumerate(RULES)}
    ordered = sorted(judged, key=lambda one: places[one.rule])
    found = correlate(ordered, RULES, memory or CorrelationMemory(), SHOP, at_ms, silent_topics)
    return {str(finding.series): finding for finding in found}


def pages(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.condition is Condition.BREACHED]


def test_the_whole_holds_back_its_parts() -> None:
    found = told(wrong("conversion-drop"), wrong("conversion-drop", APP), wrong("conversion-drop", WEB))
    assert pages(found) == ["conversion-drop"]
    assert found['conversion-drop{channel="app"}'].reason is FindingReason.PARENT
    assert str(found['conversion-drop{channel="app"}'].inhibited_by) == "conversion-drop"


def test_one_part_that_explains_the_whole_tells_of_it() -> None:
    found = told(wrong("conversion-drop", by=APP), wrong("conversion-drop", APP), wrong("conversion-drop", WEB))
    assert pages(found) == ['conversion-drop{channel="app"}']
    assert found["conversion-drop"].reason is FindingReason.CHILD


def test_of_rules_of_one_incident_the_first_in_the_file_tells_and_goes_on_telling() -> None:
    memory = CorrelationMemory()
    assert pages(told(wrong("conversion-drop"), memory=memory)) == ["conversion-drop"]
    found = told(wrong("conversion-drop"), wrong("order-drop"), memory=memory, at_ms=1000)
    assert pages(found) == ["conversion-drop"], "who began to tell goes on, though another would come first"
    assert pages(told(wrong("conversion-drop"), wrong("order-drop"))) == ["order-drop"]


STEP_MS = 10_000
PART = 'conversion-drop{channel="app"}'


def test_what_was_held_back_pages_ten_minutes_after_the_incident_ended_and_not_before() -> None:
    memory = CorrelationMemory()
    ends_ms = INHIBIT_AFTER_ROOT_MS + 7 * STEP_MS
    for at_ms in range(0, ends_ms, STEP_MS):
        told(wrong("conversion-drop"), wrong("conversion-drop", APP), wrong("order-drop"), memory=memory, at_ms=at_ms)
    until_ms = ends_ms - STEP_MS + INHIBIT_AFTER_ROOT_MS
    for at_ms in range(ends_ms, until_ms, STEP_MS):
        found = told(wrong("conversion-drop", APP), memory=memory, at_ms=at_ms)
        assert pages(found) == [], f"{(at_ms - ends_ms) // 1000} s after"
        assert str(found[PART].inhibited_by) != PART
    assert pages(told(wrong("conversion-drop", APP), memory=memory, at_ms=until_ms)) == [PART]


def test_another_rule_of_the_incident_is_held_back_for_ten_minutes_after_what_told_of_it_and_no_longer() -> None:
    """The incident ends just before the first evaluation that held the other back would be ten minutes old."""
    memory = CorrelationMemory()
    ends_ms = INHIBIT_AFTER_ROOT_MS - STEP_MS
    for at_ms in range(0, ends_ms, STEP_MS):
        found = told(wrong("order-drop"), wrong("cart-drop"), memory=memory, at_ms=at_ms)
        assert pages(found) == ["order-drop"]
    paged = [
        at_ms
        for at_ms in range(ends_ms, ends_ms + 2 * INHIBIT_AFTER_ROOT_MS, STEP_MS)
        if pages(told(wrong("cart-drop"), memory=memory, at_ms=at_ms))
    ]
    assert paged[0] == ends_ms - STEP_MS + INHIBIT_AFTER_ROOT_MS


def test_another_value_of_the_dimension_is_an_incident_of_its_own_where_it_began_at_another_time() -> None:
    app = wrong("order-drop", APP)
    assert len(pages(told(app, wrong("cart-drop", WEB, since_ms=400_000)))) == 2
    assert pages(told(app, wrong("cart-drop", WEB, since_ms=20_000))) == ['order-drop{channel="app"}']
    campaigns = [wrong("ads-dear", ("campaign", name)) for name in "ab"]
    assert len(pages(told(*campaigns))) == 2, "campaigns are no parts of a whole that is watched"


def test_what_costs_the_whole_shop_far_more_takes_over_from_a_part_and_goes_on_with_its_page() -> None:
    memory = CorrelationMemory()
    part, whole = wrong("order-drop", APP, money=60_000), wrong("conversion-drop", money=100_000)
    assert told(part, memory=memory)['order-drop{channel="app"}'].continues is None
    for _ in range(3):
        found = told(part, whole, memory=memory)
        assert pages(found) == ["conversion-drop"]
        assert str(found["conversion-drop"].continues) == 'order-drop{channel="app"}'
        assert found['order-drop{channel="app"}'].continues is None


def test_a_whole_goes_on_with_the_page_of_the_part_that_was_told_first_within_its_own_rule() -> None:
    memory = CorrelationMemory()
    told(wrong("order-drop", APP), memory=memory)
    found = told(wrong("order-drop"), wrong("order-drop", APP), wrong("order-drop", WEB), memory=memory)
    assert pages(found) == ["order-drop"]
    assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'


def test_what_takes_over_as_the_first_is_right_again_goes_on_with_its_page_and_is_no_milder() -> None:
    memory = CorrelationMemory()
    told(wrong("order-drop", APP, money=500_000), memory=memory)
    for _ in range(2):
        found = told(wrong("order-drop"), memory=memory)
        assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'
        assert found["order-drop"].severity is Severity.CRITICAL


def test_a_whole_that_was_held_back_by_its_part_tells_of_it_once_the_part_explains_it_no_longer() -> None:
    memory = CorrelationMemory()
    told(wrong("order-drop", by=APP), wrong("order-drop", APP), memory=memory)
    for _ in range(2):
        found = told(wrong("order-drop"), wrong("order-drop", APP), wrong("cart-drop"), memory=memory)
        assert pages(found) == ["order-drop"]
        assert str(found["order-drop"].continues) == 'order-drop{channel="app"}'


def test_what_is_wrong_still_as_the_first_has_been_right_for_a_while_goes_on_with_its_page() -> None:
    memory = CorrelationMemory()
    told(wrong("order-drop"), memory=memory)
    told(memory=memory, at_ms=20_000)
    found = told(wrong("conversion-drop", APP), memory=memory, at_ms=30_000)
    assert str(found['conversion-drop{channel="app"}'].continues) == "order-drop"
    later = CorrelationMemory()
    told(wrong("order-drop"), memory=later)
    told(memory=later, at_ms=1000)
    found = told(wrong("conversion-drop", APP), memory=later, at_ms=INHIBIT_AFTER_ROOT_MS)
    assert found['conversion-drop{channel="app"}'].continues is None


def test_another_value_of_the_dimension_goes_on_with_nobodys_page_once_the_first_is_right_again() -> None:
    for at_ms in (1000, 30_000):
        memory = CorrelationMemory()
        told(wrong("order-drop", APP), memory=memory)
        if at_ms > 1000:
            told(memory=memory, at_ms=1000)
        found = told(wrong("cart-drop", WEB, since_ms=at_ms), memory=memory, at_ms=at_ms)
        assert pages(found) == ['cart-drop{channel="web"}']
        assert found['cart-drop{channel="web"}'].continues is None


def test_what_was_told_ahead_and_comes_true_is_one_page_and_so_is_what_is_ahead_again() -> None:
    memory, minute_ms = CorrelationMemory(), 60_000
    ahead, late = wrong("shipping-breach-ahead"), wrong("overdue-shipments")
    assert pages(told(ahead, memory=memory)) == ["shipping-breach-ahead"]
    found = told(ahead, late, memory=memory, at_ms=minute_ms)
    assert pages(found) == ["shipping-breach-ahead"], "it said so two days ago"
    assert found["overdue-shipments"].reason is FindingReason.SAME_INCIDENT
    for minutes in (2, 3):
        found = told(late, memory=memory, at_ms=minutes * minute_ms)
        assert pages(found) == ["overdue-shipments"], "nobody is told that it is over"
        assert str(found["overdue-shipments"].continues) == "shipping-breach-ahead"
    assert pages(told(ahead, late, memory=memory, at_ms=4 * minute_ms)) == ["overdue-shipments"]
    found = told(ahead, memory=memory, at_ms=5 * minute_ms)
    assert str(found["shipping-breach-ahead"].continues) == "overdue-shipments"


def test_the_whole_takes_over_from_a_part_where_nobody_knows_what_either_costs() -> None:
    memory = CorrelationMemory()
    part = wrong("overdue-shipments", ("region", "SP"))
    assert pages(told(part, memory=memory)) == ['overdue-shipments{region="SP"}']
    found = told(part, wrong("shipping-breach-ahead"), memory=memory, at_ms=1000)
    assert pages(found) == ["shipping-breach-ahead"]
    assert str(found["shipping-breach-ahead"].continues) == 'overdue-shipments{region="SP"}'


def test_an_incident_of_another_kind_goes_on_with_nobodys_page() -> None:
    memory = CorrelationMemory()
    told(wrong("refund-surge"), memory=memory)
    assert told(wrong("refund-surge"), wrong("order-drop"), memory=memory)["order-drop"].continues is None


def test_a_fault_of_the_data_pages_its_owner_and_nobody_else() -> None:
    fault = wrong("input-lagging", labels=(("partition", "0"), ("topic", "orders")))
    memory = CorrelationMemory()
    found = told(fault, wrong("order-silence"), wrong("conversion-drop"), memory=memory)
    assert pages(found) == ['input-lagging{partition="0",topic="orders"}']
    assert found["conversion-drop"].reason is FindingReason.DATA_FAULT
    afterwards = told(wrong("conversion-drop"), memory=memory, at_ms=INHIBIT_AFTER_FAULT_MS - 1)
    assert pages(afterwards) == [], "numbers of those minutes are wrong, too"
    assert pages(told(wrong("conversion-drop"), memory=memory, at_ms=2 * INHIBIT_AFTER_FAULT_MS)) == ["conversion-drop"]


def test_a_fault_of_one_topic_does_not_hide_what_rests_on_others() -> None:
    fault = wrong("input-lagging", labels=(("partition", "0"), ("topic", "clicks")))
    found = told(fault, wrong("payment-failures"), wrong("conversion-drop"))
    assert "payment-failures" in pages(found)
    assert found["conversion-drop"].reason is FindingReason.DATA_FAULT


def test_what_was_told_before_the_fault_goes_on() -> None:
    memory = CorrelationMemory()
    told(wrong("conversion-drop"), memory=memory)
    fault = wrong("input-stale", labels=(("partition", "0"), ("topic", "orders")))
    assert "conversion-drop" in pages(told(fault, wrong("conversion-drop"), memory=memory, at_ms=1000))


def test_one_silent_producer_explains_missing_orders_but_all_of_them_do_not() -> None:
    silent = wrong("producer-silent", ("source", "orders/oms-1"))
    one = told(silent, wrong("conversion-drop"))
    assert pages(one) == ['producer-silent{source="oms-1",topic="orders"}']
    all_of_them = told(silent, wrong("order-silence"), silent_topics=frozenset({"orders"}))
    assert "order-silence" in pages(all_of_them)


def test_a_whole_that_is_told_of_is_not_replaced_by_a_part_when_the_incident_ends() -> None:
    memory = CorrelationMemory()
    assert pages(told(wrong("order-drop"), wrong("order-drop", APP), memory=memory)) == ["order-drop"]
    found = told(wrong("order-drop", by=APP), wrong("order-drop", APP), memory=memory, at_ms=60_000)
    assert pages(found) == ["order-drop"]


def test_a_topic_that_stands_still_is_one_incident_and_not_one_of_each_producer() -> None:
    sources = [
        wrong("producer-silent", ("source", f"clicks/web-{i}"), labels=(("source", f"web-{i}"), ("topic", "clicks")))
        for i in range(3)
    ]
    still = frozenset({"clicks"})
    assert len(pages(told(*sources, silent_topics=still))) == 1, "the first of them tells"
    assert len(pages(told(*sources))) == 3, "others of the topic go on: each is a fault of its own"
    assert pages(told(*sources, wrong("click-silence"), silent_topics=still)) == ["click-silence"]
    memory = CorrelationMemory()
    assert pages(told(sources[1], memory=memory)) == [str_of(1)]
    assert pages(told(*sources, memory=memory, silent_topics=still, at_ms=1000)) == [str_of(1)], (
        "who told first goes on"
    )


def str_of(source: int) -> str:
    return f'producer-silent{{source="web-{source}",topic="clicks"}}'


def test_what_follows_from_an_incident_of_another_kind_is_held_back() -> None:
    """Orders that waited for the end of a stop are given up all at once: the cancellations are no news."""
    memory = CorrelationMemory()
    told(wrong("order-silence"), memory=memory)
    found = told(wrong("cancellation-surge"), memory=memory, at_ms=60_000)
    assert str(found["cancellation-surge"].inhibited_by) == "order-silence"


def test_money_makes_it_critical_and_comes_first() -> None:
    found = told(wrong("order-drop", APP, money=1_000), wrong("refund-surge", money=500_000))
    assert next(iter(found)) == "refund-surge"
    assert found["refund-surge"].severity is Severity.CRITICAL
    assert found['order-drop{channel="app"}'].severity is Severity.WARNING


def test_what_was_critical_stays_so_while_it_lasts() -> None:
    memory = CorrelationMemory()
    told(wrong("refund-surge", money=500_000), memory=memory)
    assert told(wrong("refund-surge", money=1_000), memory=memory)["refund-surge"].severity is Severity.CRITICAL


def test_an_incident_that_is_over_is_told_once_by_whom_and_since_when() -> None:
    memory = CorrelationMemory()
    told(wrong("order-drop", APP, since_ms=50_000), memory=memory, at_ms=60_000)
    told(
        wrong("order-drop", since_ms=40_000, money=9e5),
        wrong("order-drop", APP, since_ms=50_000),
        memory=memory,
        at_ms=70_000,
    )
    told(wrong("order-drop", since_ms=65_000, money=9e5), memory=memory, at_ms=80_000)
    assert memory.ended_incidents == {}
    told(memory=memory, at_ms=90_000)
    assert memory.ended_incidents == {"orders": (Series("order-drop"), 40_000)}
    told(memory=memory, at_ms=100_000)
    assert memory.ended_incidents == {}


def test_what_told_of_an_incident_and_is_not_in_force_any_more_says_nothing_of_its_end() -> None:
    switched_off = RULES | {"order-drop": replace(RULES["order-drop"], enabled=False)}
    taken_out = {name: rule for name, rule in RULES.items() if name != "order-drop"}
    for rules in (switched_off, taken_out):
        memory = CorrelationMemory()
        told(wrong("order-drop", since_ms=40_000), memory=memory, at_ms=60_000)
        correlate([], rules, memory, SHOP, 70_000)
        assert memory.ended_incidents == {}
