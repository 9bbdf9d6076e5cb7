"""Whether each rule watches, learns, is inhibited, has no data or is off, and what it lacks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from alerts.detection import series
from alerts.detection.inputs import DetectionInputs, HealthReading, Table, empty_panes
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.memory import EvaluationMemory
from alerts.rule_states import NO_RULE_STATES, RuleCondition, RuleStatus, next_states
from alerts.rules.detect import HealthCheck
from alerts.rules.file import read_rules
from alerts.rules.rule import Rules, RuleScope
from consumers.contract.events import Promotion
from streams.model.windows import Window
from tests.alerts.builders import T0, status
from tests.alerts.dense_panes import DensePanes

START_S = 1_762_776_000
SALE = Promotion(
    promotion_id="d11",
    name="Sale",
    starts_at=START_S * 1000,
    ends_at=(START_S + 7200) * 1000,
    timezone="Asia/Shanghai",
    skus=("s-1",),
)
DROP = """{name: drop, title: Drop, detect: {kind: sequential, count: orders_created, per: checkouts, lag: 15s,
  least_baseline: 3000}}"""
REFUNDS = """{name: refunds, title: Refunds, detect: {kind: sequential, count: orders_refunded, per: orders_paid,
  direction: rise, lag: 30m, least_baseline: 50}}"""
SILENCE = "{name: silence, title: Silence, detect: {kind: silence, count: orders_created, after: 5s}}"
STOCK = """{name: sold-out, title: Sold out, for_each: [sku], promoted: true, when: {running: true},
  detect: {kind: threshold, value: stock_available, window: 15m, below: 1}}"""
LATE = """{name: late, title: Late, for_each: [region],
  detect: {kind: threshold, value: ship_within_48h_rate, window: 1h, below: 90%, least: [orders_due, 100]}}"""
CLOCK = (
    "{name: clock, title: Clock, category: data, detect: {kind: health, check: source_clock_ahead_seconds, above: 2}}"
)
STALE = "{name: stale, title: Stale, category: data, detect: {kind: health, check: partition_stale, above: 0}}"


def rules_of(*rules: str) -> Rules:
    rules_read = read_rules(f"rules: [{', '.join(rules)}]")
    assert rules_read.rules is not None, rules_read.errors
    return rules_read.rules


def counted(seconds: int) -> DensePanes:
    """Ten checkouts a second, eight orders of them, of which six are paid and one in a hundred refunded."""
    names = ("checkouts", "orders_created", "orders_paid", "orders_refunded", "gmv")
    table = np.zeros((seconds, 1, len(names)), np.int32)
    table[:, 0] = (10, 8, 6, 0, 600)
    table[::17, 0, 3] = 1
    return DensePanes(START_S, [WHOLE_SHOP], names, table)


def status_of(rules: Rules, inputs: DetectionInputs) -> RuleStatus:
    evaluation, _ = evaluate(rules, inputs, EvaluationMemory())
    return evaluation.rules[-1]


def after(seconds: int) -> DetectionInputs:
    panes = counted(seconds)
    return DetectionInputs(panes.end_s * 1000, panes)


def nothing(*readings: HealthReading, running: bool = False, table: Table | None = None) -> DetectionInputs:
    tables = {} if table is None else {(Window.H1, RuleScope.REGION): table}
    promotions = {"d11": SALE} if running else {}
    return DetectionInputs(
        (START_S + 60) * 1000, empty_panes(START_S), tables, health_readings=readings, promotions=promotions
    )


def test_a_sequential_rule_learns_until_its_baseline_is_sufficient() -> None:
    learning = status_of(rules_of(DROP), after(540))
    assert (learning.condition, learning.learning) == (RuleCondition.LEARNING, 1)
    assert learning.lacks.endswith(" of 3,000 orders_created in the baseline")
    watching = status_of(rules_of(DROP), after(1800))
    assert (watching.condition, watching.watching, watching.lacks) == (RuleCondition.WATCHING, 1, "")


def test_a_long_lag_is_waited_for() -> None:
    early, later = (status_of(rules_of(REFUNDS), after(seconds)) for seconds in (1800, 2700))
    assert early.condition is RuleCondition.LEARNING
    minutes = [int(one.lacks.partition(" min until the lag is known")[0].rpartition(" ")[2]) for one in (early, later)]
    assert minutes[0] - minutes[1] == pytest.approx(15, abs=1), "it passes as time does"


def test_a_rule_without_any_event_has_no_data() -> None:
    assert status_of(rules_of(DROP), nothing()).condition is RuleCondition.NO_DATA
    silence = status_of(rules_of(SILENCE), nothing())
    assert (silence.condition, silence.lacks) == (RuleCondition.NO_DATA, "no numbers yet")


def test_a_silence_rule_learns_until_it_has_events() -> None:
    learning = status_of(rules_of(SILENCE), after(5))
    assert (learning.condition, learning.lacks) == (RuleCondition.LEARNING, "40 of 60 events")
    assert status_of(rules_of(SILENCE), after(10)).condition is RuleCondition.WATCHING


def test_a_rule_for_promotions_is_off_between_them() -> None:
    off = status_of(rules_of(STOCK), nothing())
    assert (off.condition, off.lacks) == (RuleCondition.OFF, "applies while a promotion is running")
    no_data = status_of(rules_of(STOCK), nothing(running=True))
    assert (no_data.condition, no_data.lacks) == (RuleCondition.NO_DATA, "no sku on promotion")


def test_a_disabled_rule_is_off() -> None:
    assert status_of(rules_of(SILENCE[:-1] + ", enabled: false}"), after(60)).condition is RuleCondition.OFF


def test_too_few_events_for_a_limit_are_no_data() -> None:
    columns = {"ship_within_48h_rate": np.array([0.95, 0.5]), "orders_due": np.array([500.0, 40.0])}
    one = status_of(rules_of(LATE), nothing(table=Table(("east", "west"), columns)))
    assert (one.condition, one.watching, one.no_data) == (RuleCondition.WATCHING, 1, 1)
    assert one.lacks == "no ship_within_48h_rate in 1h, or fewer than 100 orders_due"


def test_a_rule_says_that_it_watches_no_further_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_SERIES", 2)
    columns = {"ship_within_48h_rate": np.array([0.95] * 3), "orders_due": np.array([500.0] * 3)}
    regions = nothing(table=Table(("east", "north", "west"), columns))
    evaluation, memory = evaluate(rules_of(LATE), regions, EvaluationMemory())
    assert (evaluation.rules[0].condition, evaluation.rules[0].watching) == (RuleCondition.WATCHING, 2)
    assert evaluation.rules[0].lacks == "series beyond the first 20,000, which are not watched"
    assert memory.rules_at_limit() == {"late"}


def test_a_check_that_reads_only_what_is_wrong_watches_without_readings() -> None:
    assert status_of(rules_of(CLOCK), nothing()).condition is RuleCondition.WATCHING
    unknown = status_of(rules_of(STALE), nothing(HealthReading(HealthCheck.STALE, math.nan)))
    assert (unknown.condition, unknown.lacks) == (RuleCondition.NO_DATA, "no reading of partition_stale")
    known = status_of(rules_of(STALE), nothing(HealthReading(HealthCheck.STALE, 0.0)))
    assert (known.condition, known.lacks) == (RuleCondition.WATCHING, "")


def test_a_rule_whose_breach_another_alert_explains_is_inhibited() -> None:
    panes = counted(2400)
    panes.table[1800:, 0, 1:] = 0
    pages = "{name: orders, title: Orders, incident: orders, detect: {kind: silence, count: orders_created, after: 5s}}"
    rules = rules_of(pages, DROP.replace("title: Drop", "title: Drop, incident: orders"))
    memory = EvaluationMemory()
    for end_s in (1800, 1830, 1860):
        part = DensePanes(
            START_S + (0 if end_s == 1800 else end_s - 30),
            panes.labels,
            panes.counters,
            panes.table[0 if end_s == 1800 else end_s - 30 : end_s],
        )
        evaluation, memory = evaluate(rules, DetectionInputs(part.end_s * 1000, part), memory)
    orders, drop = evaluation.rules
    assert orders.condition is RuleCondition.WATCHING
    assert (drop.condition, drop.inhibited_by) == (RuleCondition.INHIBITED, ("orders",))


def test_a_fault_that_loses_a_whole_topic_inhibits_its_rules() -> None:
    rules = rules_of(STALE, DROP)
    calm, memory = evaluate(rules, after(1800), EvaluationMemory())
    assert [one.condition for one in calm.rules[1:]] == [RuleCondition.WATCHING]
    at_s = START_S + 1810
    readings = (HealthReading(HealthCheck.STALE, 1.0),)
    fault = DetectionInputs(at_s * 1000, empty_panes(START_S + 1800), health_readings=readings)
    stale, drop = evaluate(rules, fault, memory)[0].rules
    assert (stale.condition, stale.inhibited_by) == (RuleCondition.WATCHING, ())
    assert (drop.condition, drop.inhibited_by) == (RuleCondition.INHIBITED, ("stale",))


def test_a_state_keeps_its_start_while_its_condition_stays() -> None:
    first = next_states(NO_RULE_STATES, [status(), status("other")], T0)
    second = next_states(first, [replace(status(), lacks="less"), status("other", RuleCondition.OFF)], T0 + 1000)
    assert [state.since_ms for state in second.rules] == [T0, T0 + 1000]
    assert [state.status.lacks for state in second.rules] == ["less", ""]
