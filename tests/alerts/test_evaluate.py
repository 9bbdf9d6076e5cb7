"""Evaluation of all rules at one as-of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

from alerts.correlation.memory import INHIBIT_AFTER_FAULT_MS, CorrelationMemory
from alerts.detection.detector import Observation
from alerts.detection.inputs import DetectionInputs, HealthReading, Table, TableQuery, empty_panes, table_queries
from alerts.detection.panes import CellPanes, ScopeValue
from alerts.detection.schedule import effective_rule
from alerts.detection.sequential import SequentialMemory, breaches
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.findings import (
    CONDITION_BY_REASON,
    Condition,
    Evaluation,
    ExpectedRange,
    Finding,
    FindingReason,
    Series,
    Severity,
)
from alerts.memory import EvaluationMemory, from_bytes, to_bytes
from alerts.rule_states import RuleCondition
from alerts.rules.detect import AnyDetector, HealthCheck, ReferencePeriod
from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.rules.rule import Rules, RuleScope
from alerts.shop import ShopInfo
from alerts.statistics.baseline import HOUR, MinutePart
from alerts.wording.sentences import sentence
from consumers.contract.events import Phase, Promotion
from streams.model.windows import Window
from streams.panes.cells import Cells
from streams.panes.counters import COUNTER_IDS
from streams.panes.keys import pane_keys
from streams.panes.scopes import Scope
from tests.alerts.dense_panes import DensePanes

START_S = 1_762_776_000
APP, WEB = ("channel", "app"), ("channel", "web")
DROP = """
rules:
  - name: drop
    title: Fewer checkouts become orders
    for_each: [all, channel]
    detect: {kind: sequential, count: orders_created, per: checkouts, lag: 15s}
    money: shortfall
"""
CARTS = """
rules:
  - name: carts
    title: Fewer products go into the cart
    detect:
      {kind: sequential, count: cart_adds, per: product_views, lag: 0s, loss: orders_created, loss_lag: 75s}
    money: shortfall
"""
LOW = """
rules:
  - name: sold-out
    title: Sold out
    for_each: [sku]
    promoted: true
    when: {running: true}
    detect: {kind: threshold, value: stock_available, window: 15m, below: 1, clear: 5}
    during:
      - when: {phases: [opening]}
        detect: {below: 10, clear: 20}
"""
SALE = Promotion(
    promotion_id="d11",
    name="Sale",
    starts_at=START_S * 1000,
    ends_at=(START_S + 7200) * 1000,
    timezone="Asia/Shanghai",
    phases=(Phase(name="opening", starts_at=START_S * 1000, ends_at=(START_S + 600) * 1000),),
    skus=("s-1", "s-2"),
)


def rules_of(text: str) -> Rules:
    rules = read_rules(text).rules
    assert rules is not None, read_rules(text).errors
    return rules


def counted(seconds: int, kept: dict[ScopeValue, float], seed: int = 1, rate: float = 20.0) -> DensePanes:
    """Checkouts of two channels, and the share of orders `kept`."""
    rng = np.random.default_rng(seed)
    table = np.zeros((seconds, 3, 3), np.int32)
    for row, label in enumerate((APP, WEB), start=1):
        checkouts = rng.poisson(rate / 2, seconds)
        table[:, row, 0] = checkouts
        table[:, row, 1] = rng.binomial(checkouts, 0.8 * kept.get(label, 1.0))
        table[:, row, 2] = table[:, row, 1] * 1000
    table[:, 0] = table[:, 1:].sum(axis=1)
    return DensePanes(START_S, [WHOLE_SHOP, APP, WEB], ("checkouts", "orders_created", "gmv"), table)


def after(panes: DensePanes, end_s: int) -> DensePanes:
    """The same panes, starting at another second."""
    return replace(panes, start_s=end_s)


def played(
    rules: Rules, parts: Iterable[DensePanes], memory: EvaluationMemory | None = None
) -> tuple[Evaluation, EvaluationMemory]:
    memory = memory or EvaluationMemory()
    evaluation = None
    for part in parts:
        evaluation, memory = evaluate(rules, DetectionInputs(part.end_s * 1000, part), memory)
    assert evaluation is not None
    return evaluation, memory


def found(evaluation: Evaluation) -> dict[str, Finding]:
    return {str(finding.series): finding for finding in evaluation.findings}


def test_a_drop_everywhere_is_one_root() -> None:
    calm = counted(1800, {})
    bad = after(counted(60, {APP: 0.5, WEB: 0.5}, seed=2), calm.end_s)
    evaluation, _ = played(rules_of(DROP), [calm, bad])
    standing = [finding for finding in evaluation.findings if finding.condition is Condition.BREACHED]
    assert [str(finding.series) for finding in standing] == ["drop"]
    (finding,) = standing
    assert finding.value is not None
    assert finding.value < 0.7
    assert finding.expected == pytest.approx(0.8, rel=0.05)
    assert finding.since_ms == pytest.approx(calm.end_s * 1000, abs=15_000)
    assert finding.money_per_minute == pytest.approx(60 * 8 * 1000, rel=0.5), "half of 16 orders a second are lost"
    assert finding.chart is not None
    assert (finding.chart.name, finding.chart.window, finding.chart.scope) == ("order_rate", Window.M1, Scope.ALL)


def test_carts_that_are_lost_are_priced_before_their_orders_are_missing() -> None:
    """Half of the carts are lost; most of their orders would come only a minute later."""
    rng, seconds, start = np.random.default_rng(1), 1800 + 80, 1800
    views = rng.poisson(1600, seconds)
    kept = np.where(np.arange(seconds) < start, 1.0, 0.5)
    carts = rng.binomial(views, 0.1 * kept)
    orders = np.zeros(seconds, np.int64)
    for second, came in enumerate(carts):
        at = second + rng.exponential(75.0, rng.binomial(came, 0.5)).astype(np.int64)
        np.add.at(orders, at[at < seconds], 1)
    table = np.stack((views, carts, orders, 1000 * orders), axis=1).astype(np.int32)[:, None]
    panes = DensePanes(START_S, [WHOLE_SHOP], ("product_views", "cart_adds", "orders_created", "gmv"), table)
    rules, memory, end_s = rules_of(CARTS), EvaluationMemory(), START_S
    for end_s in (START_S + 1800, *range(START_S + 1802, panes.end_s, 2)):
        part = replace(panes, start_s=end_s - 1800 if end_s == START_S + 1800 else end_s - 2)
        part = replace(part, table=table[part.start_s - START_S : end_s - START_S])
        evaluation, memory = evaluate(rules, DetectionInputs(end_s * 1000, part), memory)
        paged = [one for one in evaluation.findings if one.condition is Condition.BREACHED]
        if paged:
            break
    assert paged[0].money_per_minute == pytest.approx(60 * 40 * 1000, rel=0.25), "half of 80 orders a second"


def test_a_drop_in_one_channel_is_its_finding() -> None:
    calm = counted(1800, {})
    bad = after(counted(60, {APP: 0.4}, seed=2), calm.end_s)
    findings = found(played(rules_of(DROP), [calm, bad])[0])
    assert findings['drop{channel="app"}'].condition is Condition.BREACHED
    assert findings["drop"].reason is FindingReason.CHILD
    assert findings["drop"].contributors[0].labels == (APP,)


def test_a_named_part_without_an_alarm_of_its_own_reports_no_sums_since_a_start() -> None:
    """They would be those of another time."""
    calm = counted(1800, {})
    rules, bad = rules_of(DROP), after(counted(60, {APP: 0.4}, seed=2), calm.end_s)
    _, memory = played(rules, [calm, bad])
    drop = memory.rules["drop"]
    assert isinstance(drop, SequentialMemory)
    assert drop.explaining_part == APP
    inputs = DetectionInputs(bad.end_s * 1000, empty_panes(bad.end_s))
    observation = Observation(inputs, {}, (), (), frozenset(), memory.revenue, {})
    for has_alarm in (True, False):
        drop.state.alarm[drop.places.of[APP]] = has_alarm
        named = [one for one in breaches(drop, effective_rule(rules.rules[0], {}, 0), observation) if one.labels]
        assert [one.labels for one in named] == [(APP,)]
        assert [one.mean is not None and one.money_lost is not None for one in named] == [has_alarm]
        assert named[0].money_per_minute is not None


@pytest.mark.parametrize("cut_s", [1, 7, 10, 60])
def test_results_do_not_depend_on_the_ranges_of_panes(cut_s: int) -> None:
    calm = counted(1200, {})
    bad = after(counted(60, {APP: 0.5, WEB: 0.5}, seed=2), calm.end_s)
    parts = [
        DensePanes(bad.start_s + i, bad.labels, bad.counters, bad.table[i : i + cut_s]) for i in range(0, 60, cut_s)
    ]
    assert found(played(rules_of(DROP), [calm, *parts])[0])["drop"].condition is Condition.BREACHED


def test_memory_survives_serialization() -> None:
    rules, calm = rules_of(DROP), counted(1800, {})
    bad = after(counted(60, {APP: 0.5, WEB: 0.5}, seed=2), calm.end_s)
    _, memory = played(rules, [calm])
    read = from_bytes(to_bytes(memory))
    assert read is not None
    assert to_bytes(read) == to_bytes(memory)
    assert found(played(rules, [bad], read)[0]).keys() == found(played(rules, [bad], memory)[0]).keys()


def test_the_memory_of_every_detector_can_be_stored() -> None:
    rules = rules_of(default_text())
    assert {type(rule.detect) for rule in rules.rules} == set(get_args(AnyDetector))
    _, memory = played(rules, [counted(60, {})])
    assert memory.rules.keys() == {rule.name for rule in rules.rules}
    read = from_bytes(to_bytes(memory))
    assert read is not None
    assert to_bytes(read) == to_bytes(memory)


def test_every_reason_has_a_condition() -> None:
    assert CONDITION_BY_REASON.keys() == set(FindingReason)


@pytest.mark.parametrize("version", [3, 4])
def test_a_memory_of_a_former_version_is_read(version: int) -> None:
    memory = from_bytes((Path(__file__).parent / f"memory_version_{version}.msgpack").read_bytes())
    assert memory is not None
    assert memory.evaluated_until_s is None
    assert [type(one).__name__ for one in memory.rules.values()] == ["ThresholdMemory"]
    assert memory.signatures.keys() == memory.rules.keys()
    assert "lagging" not in memory.rules, "a fault that lasts would prevent that the last hour is learned"
    fault = Series("lagging", (("topic", "orders"),))
    assert memory.correlation == CorrelationMemory(reported={fault: Severity.WARNING}), "no page is sent twice"
    read = from_bytes(to_bytes(memory))
    assert read is not None
    assert to_bytes(read) == to_bytes(memory)


@pytest.mark.parametrize("version", [3, 4])
def test_counters_of_a_former_version_are_learned_again(version: int) -> None:
    memory = from_bytes((Path(__file__).parent / f"memory_version_{version}.msgpack").read_bytes())
    assert memory is not None
    rules = rules_of(DROP.replace("[all, channel]", "[all]").replace("    money: shortfall\n", ""))
    _, memory = evaluate(rules, DetectionInputs((START_S + 20) * 1000, counted(20, {})), memory)
    assert memory.evaluated_until_s == START_S + 20
    assert isinstance(memory.rules["drop"], SequentialMemory)


def test_a_memory_that_cannot_be_read_is_none() -> None:
    assert from_bytes(b"") is None
    assert from_bytes(b"\x92\x63\xc0") is None
    assert from_bytes(to_bytes(EvaluationMemory())[:-3]) is None


def test_observed_panes_are_not_observed_again() -> None:
    rules, calm = rules_of(DROP), counted(600, {})
    _, memory = played(rules, [calm])
    before = to_bytes(memory)
    _, memory = played(rules, [calm], memory)
    assert to_bytes(memory) == before


def test_watched_series_always_have_a_finding() -> None:
    rules, calm = rules_of(DROP), counted(1800, {})
    watched = {
        Series("drop"),
        Series("drop", (("channel", "gone"),)),
        Series("another-rule"),
    }
    evaluation, _ = evaluate(rules, DetectionInputs(calm.end_s * 1000, calm), EvaluationMemory(), watched)
    findings = found(evaluation)
    assert findings["drop"].reason is FindingReason.WITHIN
    assert findings['drop{channel="gone"}'].reason is FindingReason.GONE
    assert "another-rule" not in findings


def test_before_learning_the_reason_is_learning() -> None:
    rules, calm = rules_of(DROP), counted(60, {})
    evaluation, _ = evaluate(rules, DetectionInputs(calm.end_s * 1000, calm), EvaluationMemory(), {Series("drop")})
    assert found(evaluation)["drop"].reason is FindingReason.LEARNING
    (status,) = evaluation.rules
    assert (status.condition, status.watching, status.learning) == (RuleCondition.LEARNING, 0, 3)


def test_a_changed_detector_starts_with_an_empty_memory() -> None:
    calm = counted(1800, {})
    _, memory = played(rules_of(DROP), [calm])
    other = rules_of(DROP.replace("per: checkouts", "per: cart_adds"))
    evaluation, _ = evaluate(
        other, DetectionInputs(calm.end_s * 1000, empty_panes(calm.end_s)), memory, {Series("drop")}
    )
    assert found(evaluation)["drop"].reason in (FindingReason.LEARNING, FindingReason.GONE)


def stock(at_s: int, units: dict[str, float], *, running: bool = True) -> DetectionInputs:
    table = Table(tuple(units), {"stock_available": np.array(list(units.values())), "gmv": np.full(len(units), 9000.0)})
    return DetectionInputs(
        (START_S + at_s) * 1000,
        empty_panes(START_S + at_s),
        {(Window.M15, RuleScope.SKU): table},
        promotions={"d11": SALE} if running else {},
    )


def test_only_skus_on_promotion_are_watched_while_it_runs() -> None:
    evaluation, _ = evaluate(rules_of(LOW), stock(900, {"s-1": 0, "s-2": 50, "s-9": 0}), EvaluationMemory())
    assert list(found(evaluation)) == ['sold-out{sku="s-1"}']
    evaluation, _ = evaluate(
        rules_of(LOW), stock(900, {"s-1": 0}, running=False), EvaluationMemory(), {Series("sold-out")}
    )
    assert found(evaluation)["sold-out"].reason is FindingReason.NOT_IN_FORCE


def test_overrides_apply_during_a_phase() -> None:
    evaluation, memory = evaluate(rules_of(LOW), stock(60, {"s-1": 8}), EvaluationMemory())
    assert list(found(evaluation)) == ['sold-out{sku="s-1"}']
    evaluation, _ = evaluate(rules_of(LOW), stock(700, {"s-1": 8}), memory)
    assert list(found(evaluation)) == [], "after the opening, 8 are enough"


def test_a_series_without_a_number_is_unchanged_and_counted() -> None:
    _, memory = evaluate(rules_of(LOW), stock(900, {"s-1": 0}), EvaluationMemory())
    evaluation, _ = evaluate(rules_of(LOW), stock(910, {"s-1": float("nan")}), memory)
    assert list(found(evaluation)) == ['sold-out{sku="s-1"}']
    assert evaluation.rules[0].no_data == 1


def test_without_a_table_every_alert_continues() -> None:
    _, memory = evaluate(rules_of(LOW), stock(900, {"s-1": 0}), EvaluationMemory())
    without = replace(stock(910, {}), tables={})
    evaluation, memory = evaluate(rules_of(LOW), without, memory)
    assert list(found(evaluation)) == ['sold-out{sku="s-1"}']
    evaluation, _ = evaluate(rules_of(LOW), stock(920, {"s-1": 9}), memory)
    assert list(found(evaluation)) == []


FEW = "rules: [{name: late, title: Late, for_each: [region], detect: {kind: threshold, value: ship_within_48h_rate, "
FEW += "window: 1h, below: 90%, least: [orders_paid, 20]}}]"
FEW_OR_FAULT = (
    f"{FEW[:-1]}, {{name: stale, title: Stale, category: data, detect: {{kind: health, check: partition_stale}}}}]"
)


def shipped(second: float, orders: int, rate: float = 0.5) -> DetectionInputs:
    """A region's share of orders dispatched in time in the last hour."""
    table = Table(("east",), {"ship_within_48h_rate": np.array([rate]), "orders_paid": np.array([float(orders)])})
    return DetectionInputs(round(second * 1000), empty_panes(0), {(Window.H1, RuleScope.REGION): table})


def test_a_series_with_too_little_data_for_a_window_is_stale() -> None:
    rules, series = rules_of(FEW), Series("late", (("region", "east"),))
    _, memory = evaluate(rules, shipped(10, 20), EvaluationMemory())
    evaluation, memory = evaluate(rules, shipped(3609, 19), memory, {series})
    assert found(evaluation)[str(series)].condition is Condition.BREACHED, "within the hour it stays as it was"
    evaluation, memory = evaluate(rules, shipped(3610, 19), memory, {series})
    over = found(evaluation)[str(series)]
    assert (over.reason, over.condition, over.value) == (FindingReason.STALE, Condition.OK, None)
    assert evaluation.rules[0].no_data == 1
    evaluation, memory = evaluate(rules, shipped(3620, 20), from_bytes(to_bytes(memory)) or EvaluationMemory())
    assert found(evaluation)[str(series)].since_ms == 3_620_000, "it starts again with enough data"


def test_a_value_between_the_limits_is_reported_with_its_clear_limit() -> None:
    rules = rules_of(FEW.replace("below: 90%,", "below: 90%, clear: 95%,"))
    summaries, memory = [], EvaluationMemory()
    for second, orders, rate in ((10, 20, 0.85), (20, 20, 0.93), (30, 19, 0.97)):
        evaluation, memory = evaluate(rules, shipped(second, orders, rate), memory)
        summaries.append(sentence(evaluation.findings[0], ShopInfo()))
    assert summaries == [
        "Late (region east): 85 % of the orders due were dispatched in time, limit 90 %",
        "Late (region east): 93 % of the orders due were dispatched in time; fired below 90 %, ends at 95 % or more",
        "Late (region east): 97 % of the orders due were dispatched in time; fired below 90 %, too few events now",
    ]


def test_a_health_reading_between_the_limits_is_reported_with_both() -> None:
    rules = rules_of(
        "rules: [{name: refused, title: Refused, category: data, "
        "detect: {kind: health, check: dead_letter_rate, above: 1%, clear: 0.5%}}]"
    )
    findings, memory, topic = [], EvaluationMemory(), (("topic", "orders"),)
    for at_ms, rate in ((0, 0.02), (1000, 0.0059)):
        facts = (HealthReading(HealthCheck.REFUSED, rate, topic),)
        evaluation, memory = evaluate(rules, DetectionInputs(at_ms, empty_panes(0), health_readings=facts), memory)
        findings.append(evaluation.findings[0])
    assert [sentence(finding, ShopInfo()) for finding in findings] == [
        "Refused (topic orders): 2 % of the messages rejected, limit 1 %",
        "Refused (topic orders): 0.59 % of the messages rejected; fired above 1 %, ends at 0.5 % or less",
    ]
    assert [finding.interval for finding in findings] == [ExpectedRange(None, 0.01), ExpectedRange(None, 0.005)]


USUAL = FEW.replace("below: 90%,", "below: 90%, clear: 95%, beyond_usual: 20%,")
DAY_S = 86_400.0


def late_by_day(
    rates: Iterable[float], memory: EvaluationMemory | None = None, first: int = 0
) -> tuple[list[bool], EvaluationMemory]:
    """Whether each of some days is breached; the memory is serialized in between."""
    rules, answers, memory = rules_of(USUAL), [], memory or EvaluationMemory()
    for day, rate in enumerate(rates, first):
        evaluation, memory = evaluate(rules, shipped((day + 0.5) * DAY_S, 20, rate), memory)
        memory = from_bytes(to_bytes(memory)) or EvaluationMemory()
        answers.append(bool(found(evaluation)))
    return answers, memory


def test_beyond_usual_shifts_a_limit_that_is_never_kept() -> None:
    week = [0.7, 0.7, 0.7, 0.7, 0.7, 0.4, 0.2]
    early, memory = late_by_day(week * 3)
    assert all(early), "of less than three weeks nothing is usual: the limit alone counts"
    later, memory = late_by_day(week, memory, first=21)
    assert not any(later), "each day is as it always is"
    later, memory = late_by_day([0.7, 0.51, 0.49, 0.55, 0.65, 0.3, 0.2], memory, first=28)
    assert later == [False, False, True, True, False, False, False], "below 50 %, and right again within half of it"
    evaluation, _ = evaluate(rules_of(USUAL), shipped(35.5 * DAY_S, 20, 0.4), memory)
    (far,) = evaluation.findings
    assert "40 % of the orders due were dispatched in time, limit 50 %" in sentence(far, ShopInfo())


def test_beyond_usual_leaves_a_kept_limit() -> None:
    _, memory = late_by_day([0.99] * 28)
    assert late_by_day([0.91, 0.89, 0.94, 0.96], memory, first=28)[0] == [False, True, True, False]


def test_a_level_that_lasts_for_weeks_becomes_usual() -> None:
    _, memory = late_by_day([0.99] * 28)
    days, _ = late_by_day([0.5] * 28, memory, first=28)
    assert days.index(False) == 21, "three of the last four weeks were so"


def test_unreliable_numbers_do_not_become_stale() -> None:
    rules, series = rules_of(FEW_OR_FAULT), Series("late", (("region", "east"),))
    _, memory = evaluate(rules, shipped(10, 20), EvaluationMemory(), {series})
    fault = (HealthReading(HealthCheck.STALE, 1.0),)
    for second in (20, 9000):
        evaluation, memory = evaluate(rules, replace(shipped(second, 5), health_readings=fault), memory, {series})
    assert found(evaluation)[str(series)].reason is FindingReason.BEYOND


def test_a_data_fault_pauses_the_time_to_stale() -> None:
    rules, series = rules_of(FEW_OR_FAULT), Series("late", (("region", "east"),))
    _, memory = evaluate(rules, shipped(0.001, 20), EvaluationMemory(), {series})
    _, memory = evaluate(rules, shipped(1800, 5), memory, {series})
    fault = (HealthReading(HealthCheck.STALE, 1.0),)
    for second in (5400, 9000):
        _, memory = evaluate(rules, replace(shipped(second, 5), health_readings=fault), memory, {series})
    explained_s = 9000 + INHIBIT_AFTER_FAULT_MS // 1000
    reasons = {}
    for second in (explained_s, explained_s + 1, explained_s + 1799, explained_s + 1800, explained_s + 1801):
        evaluation, memory = evaluate(rules, shipped(second, 5), memory, {series})
        reasons[second - explained_s] = found(evaluation)[str(series)].reason
    assert reasons == {
        0: FindingReason.BEYOND,
        1: FindingReason.BEYOND,
        1799: FindingReason.BEYOND,
        1800: FindingReason.BEYOND,
        1801: FindingReason.STALE,
    }


def test_a_value_that_returns_starts_again() -> None:
    rules = rules_of(FEW)
    _, memory = evaluate(rules, shipped(10, 20), EvaluationMemory())
    nothing = DetectionInputs(20_000, empty_panes(0), {(Window.H1, RuleScope.REGION): Table((), {})})
    _, memory = evaluate(rules, nothing, memory)
    evaluation, _ = evaluate(rules, shipped(30, 5), memory)
    assert found(evaluation) == {}


def test_evaluated_series_are_counted_by_rule() -> None:
    evaluation, memory = evaluate(rules_of(FEW), shipped(10, 20, rate=1.0), EvaluationMemory())
    assert evaluation.rules[0].watching == 1
    evaluation, _ = evaluate(rules_of(FEW), shipped(20, 19), memory)
    assert evaluation.rules[0].watching == 0


def test_a_change_uses_the_first_available_reference() -> None:
    rules = rules_of(
        "rules: [{name: dear, title: Dear, for_each: [campaign], detect: {kind: change, value: cpc, window: 15m, "
        "direction: rise, by: 50%, against: [yesterday, recent]}}]"
    )
    key = (Window.M15, RuleScope.CAMPAIGN)
    now = Table(("a", "b"), {"cpc": np.array([200.0, 200.0])})
    before = Table(("a",), {"cpc": np.array([100.0])})
    snapshot = DetectionInputs(0, empty_panes(0), {key: now}, {(*key, ReferencePeriod.YESTERDAY): (before,)})
    findings = found(evaluate(rules, snapshot, EvaluationMemory())[0])
    assert list(findings) == ['dear{campaign="a"}'], "of b nothing is known to compare with"
    assert findings['dear{campaign="a"}'].expected == 100.0


def test_a_reference_with_too_few_events_is_ignored() -> None:
    rules = rules_of(
        "rules: [{name: dear, title: Dear, for_each: [campaign], detect: {kind: change, value: cpc, window: 15m, "
        "direction: rise, by: 50%, against: [yesterday], least: [ad_clicks, 20]}}]"
    )
    key = (Window.M15, RuleScope.CAMPAIGN)
    now = Table(("a", "b"), {"cpc": np.array([200.0, 200.0]), "ad_clicks": np.array([90.0, 90.0])})
    before = Table(("a", "b"), {"cpc": np.array([100.0, 100.0]), "ad_clicks": np.array([19.0, 20.0])})
    snapshot = DetectionInputs(0, empty_panes(0), {key: now}, {(*key, ReferencePeriod.YESTERDAY): (before,)})
    assert list(found(evaluate(rules, snapshot, EvaluationMemory())[0])) == ['dear{campaign="b"}']
    assert TableQuery(*key, frozenset({"cpc", "ad_clicks"}), ReferencePeriod.YESTERDAY) in table_queries(rules)


def test_a_scope_without_values_has_no_findings() -> None:
    rules = rules_of(
        "rules: [{name: dear, title: Dear, for_each: [campaign], detect: {kind: change, value: cpc, window: 15m, "
        "direction: rise, by: 50%, against: [yesterday, recent]}}]"
    )
    key = (Window.M15, RuleScope.CAMPAIGN)
    nothing, before = Table((), {}), Table(("a",), {"cpc": np.array([100.0])})
    for past in ((before,), (nothing,), ()):
        snapshot = DetectionInputs(0, empty_panes(0), {key: nothing}, {(*key, ReferencePeriod.YESTERDAY): past})
        assert found(evaluate(rules, snapshot, EvaluationMemory())[0]) == {}


def test_missing_health_readings_change_nothing() -> None:
    rules = rules_of("rules: [{name: down, title: Down, category: data, detect: {kind: health, check: store_down}}]")
    at = empty_panes(0)
    evaluation, memory = evaluate(
        rules, DetectionInputs(0, at, health_readings=(HealthReading(HealthCheck.STORE_DOWN, 1.0),)), EvaluationMemory()
    )
    assert list(found(evaluation)) == ["down"]
    evaluation, memory = evaluate(rules, DetectionInputs(1000, at, health_readings=None), memory)
    assert list(found(evaluation)) == ["down"]
    evaluation, _ = evaluate(
        rules, DetectionInputs(2000, at, health_readings=(HealthReading(HealthCheck.STORE_DOWN, 0.0),)), memory
    )
    assert list(found(evaluation)) == []


def test_an_unknown_health_reading_changes_nothing() -> None:
    rules = rules_of(
        "rules: [{name: stale, title: Stale, category: data, detect: {kind: health, check: partition_stale}}]"
    )
    at, unknown = empty_panes(0), (HealthReading(HealthCheck.STALE, float("nan")),)
    evaluation, memory = evaluate(rules, DetectionInputs(0, at, health_readings=unknown), EvaluationMemory())
    assert list(found(evaluation)) == []
    evaluation, memory = evaluate(rules, DetectionInputs(1000, at, health_readings=unknown), memory, {Series("stale")})
    (finding,) = evaluation.findings
    assert (finding.condition, finding.value) == (Condition.UNKNOWN, None), "an alert of before is not over"
    evaluation, memory = evaluate(
        rules, DetectionInputs(2000, at, health_readings=(HealthReading(HealthCheck.STALE, 2.0),)), memory
    )
    assert list(found(evaluation)) == ["stale"]
    evaluation, memory = evaluate(rules, DetectionInputs(3000, at, health_readings=unknown), memory)
    assert list(found(evaluation)) == ["stale"]
    evaluation, _ = evaluate(
        rules, DetectionInputs(4000, at, health_readings=(HealthReading(HealthCheck.STALE, 0.0),)), memory
    )
    assert list(found(evaluation)) == []


def test_the_view_is_queried_once_per_window_and_scope() -> None:
    asked = table_queries(rules_of(default_text()))
    of_skus = [ask for ask in asked if ask.scope is RuleScope.SKU and ask.window is Window.M15]
    assert len(of_skus) == 1
    assert of_skus[0].names == {"stock_available", "units", "gmv"}
    assert ReferencePeriod.RECENT not in {ask.against for ask in asked}


def test_cells_and_dense_panes_give_the_same_counts() -> None:
    dense = counted(20, {})
    seconds, rows, columns = np.nonzero(dense.table)
    ids = np.array([COUNTER_IDS[name] for name in dense.counters])
    keys = pane_keys(START_S + seconds, rows, ids[columns])
    order = np.argsort(keys)
    cells = Cells(keys[order], dense.table[seconds, rows, columns].astype(np.int64)[order])
    view = CellPanes(START_S, START_S + 20, dense.labels, cells)
    wanted = np.array([2, -1, 0])
    for names in (("checkouts",), ("checkouts", "orders_created")):
        expected = dense.counts(names, wanted, START_S + 3, START_S + 9)
        assert (view.counts(names, wanted, START_S + 3, START_S + 9) == expected).all()
        assert expected[1] == 0


def test_steps_without_expectation_are_coalesced_without_a_difference() -> None:
    """Orders of a shop without checkouts."""
    rules, dense = rules_of(DROP), counted(1800, {})
    dense.table[:, :, dense.counters.index("checkouts")] = 0
    by_minute, at_once = EvaluationMemory(), EvaluationMemory()
    for start_s in range(0, 1800, 60):
        part = DensePanes(START_S + start_s, dense.labels, dense.counters, dense.table[start_s : start_s + 60])
        findings, by_minute = evaluate(rules, DetectionInputs((START_S + start_s) * 1000, part), by_minute)
        assert not found(findings)
    findings, at_once = evaluate(rules, DetectionInputs((START_S + 1800) * 1000, dense), at_once)
    assert not found(findings)
    counted_in = []
    for memory in (by_minute, at_once):
        held = memory.rules["drop"]
        assert isinstance(held, SequentialMemory)
        baseline = held.state.baseline
        counted_in.append(
            (baseline.decayed[:, HOUR] + baseline.pending.sum(axis=1) + baseline.minute)[:, MinutePart.COUNT]
        )
        assert not held.state.alarm.any()
    assert (counted_in[0] == counted_in[1]).all()
    assert counted_in[0][0] == dense.table[:, 0, dense.counters.index("orders_created")].sum()


def test_of_the_former_correlation_memory_what_was_reported_is_read() -> None:
    """Version 5 had a memory for each series."""
    reported, inhibited = Series("drop", (("channel", "app"),)), Series("other")
    former = EvaluationMemory()
    _, plain = msgspec.msgpack.decode(to_bytes(former))
    entries = [[_series_of_version_5(reported), "critical"], [_series_of_version_5(inhibited), None]]
    plain["v"]["correlation"] = {
        "~": "CorrelationMemory",
        "v": {
            "topic_faults": {"~": "dict", "v": []},
            "incidents": {"~": "dict", "v": []},
            "series": {
                "~": "dict",
                "v": [
                    [
                        series,
                        {"~": "SeriesMemory", "v": {"reported": severity and {"~": "severity", "v": severity}}},
                    ]
                    for series, severity in entries
                ],
            },
        },
    }
    read = from_bytes(msgspec.msgpack.encode([5, plain]))
    assert read is not None
    assert read.correlation == CorrelationMemory(reported={reported: Severity.CRITICAL})


def _series_of_version_5(series: Series) -> dict[str, object]:
    labels = [{"~": "tuple", "v": list(pair)} for pair in series.labels]
    return {"~": "Series", "v": {"rule": series.rule, "labels": {"~": "tuple", "v": labels}}}
