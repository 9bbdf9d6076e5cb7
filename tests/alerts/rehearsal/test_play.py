"""The pages of rules over a sale."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from alerts.detection.inputs import DetectionInputs, empty_panes
from alerts.findings import Evaluation, FindingReason, Severity
from alerts.memory import EvaluationMemory
from alerts.rehearsal.play import play
from alerts.rules.file import read_rules
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules
from streams.simulate import SimulationConfig
from tests.alerts.builders import evaluation, finding
from tests.alerts.dense_panes import IDLE_AFTER_S, SETTLE_S, DensePanes, snapshots
from tests.bench.counts_simulator import CountsSimulator

RULES = """
rules:
  - name: order-silence
    title: No orders come in
    incident: orders
    keep_firing_for: 10s
    detect: {kind: silence, count: orders_created, after: 5s, least_expected: 30}
"""
START_S = 1_762_776_000
STOPS_S, LASTS_S = 600, 60
SHANGHAI_LUNCH_MS = 1_762_704_000_000 + 41_400_000


def rules_of(text: str) -> Rules:
    rules = read_rules(text).rules
    assert rules is not None
    return rules


def stopped() -> DensePanes:
    """Twenty orders per second, none for a minute, and twenty again."""
    table = np.zeros((900, 1, 2), np.int32)
    table[:, 0, 0], table[:, 0, 1] = 100, 20
    table[STOPS_S : STOPS_S + LASTS_S, 0, 1] = 0
    return DensePanes(START_S, [("all", "")], ("page_views", "orders_created"), table)


def test_the_as_of_waits_for_a_topic_that_stops() -> None:
    seen = list(snapshots(stopped(), every_s=1, promotions={}))
    ends = [one.panes.end_s - START_S for one in seen]
    nows = [one.as_of_ms // 1000 - START_S for one in seen]
    missing = [now for now, end in zip(nows, ends, strict=True) if end > STOPS_S - SETTLE_S]
    assert missing[0] >= STOPS_S + IDLE_AFTER_S
    assert all(one.panes.start_s == before.panes.end_s for before, one in pairwise(seen))


def test_a_stop_pages_within_fifteen_seconds_and_resolves() -> None:
    played = play(rules_of(RULES), snapshots(stopped(), every_s=2, promotions={}))
    (page,) = played.pages
    fired_s = page.fired_ms // 1000 - START_S
    assert STOPS_S < fired_s <= STOPS_S + 15
    assert page.resolved_ms is not None
    assert STOPS_S + LASTS_S < page.resolved_ms // 1000 - START_S <= STOPS_S + LASTS_S + 20


def test_the_start_may_be_evaluated_less_often_without_loss() -> None:
    seen = list(snapshots(stopped(), every_s=2, seldom_until_s=300, promotions={}))
    nows = [one.as_of_ms // 1000 - START_S for one in seen]
    assert [now - before for before, now in pairwise(nows) if now <= 290] == [10] * 28
    assert {now - before for before, now in pairwise(nows) if 302 < now < STOPS_S} == {2}
    assert all(one.panes.start_s == before.panes.end_s for before, one in pairwise(seen))


def test_an_incident_that_grows_is_one_page() -> None:
    """First the app loses its orders, then the whole shop half of them."""
    rng = np.random.default_rng(4)
    labels = [("all", ""), ("channel", "app"), ("channel", "web")]
    table = np.zeros((1500, 3, 2), np.int32)
    table[:, 1:, 0] = rng.poisson((12, 48), (1500, 2))
    table[:, 1:, 1] = rng.poisson((4, 16), (1500, 2))
    table[1200:, 1, 1] = 0
    table[1210:, 2, 1] //= 2
    table[:, 0] = table[:, 1:].sum(axis=1)
    rules = """
rules:
  - name: drop
    title: Fewer orders
    incident: orders
    for_each: [all, channel]
    detect: {kind: sequential, count: orders_created, per: page_views, least_effect: 10%}
"""
    panes = DensePanes(START_S, labels, ("page_views", "orders_created"), table)
    played = play(rules_of(rules), snapshots(panes, every_s=2, promotions={}))
    (page,) = played.pages
    assert str(page.series) == 'drop{channel="app"}'
    assert page.fired_ms // 1000 - START_S >= 1200
    assert ("drop", FindingReason.PARENT) in played.inhibited, "the whole was the root then"
    (transfer,) = page.transfers
    assert (str(transfer.finding.series), transfer.at_ms > page.fired_ms) == ("drop", True)


def test_the_remains_of_a_stop_in_its_parts_are_no_second_page() -> None:
    warm_s, lasts_s = 2400, 90
    config = SimulationConfig(
        seed=6,
        duration_s=warm_s + lasts_s + 300,
        start_ms=SHANGHAI_LUNCH_MS,
        compress=False,
        promotion=None,
        incidents=(f"order_stop@+{warm_s}s/{lasts_s}s",),
    )
    seen = snapshots(CountsSimulator(config, 40).panes(), every_s=2, seldom_until_s=warm_s - 120, promotions={})
    (page,) = play(load(default_text(), "default").rules, seen).pages
    assert page.series.rule in ("order-drop", "order-silence")


def test_a_note_that_becomes_severe_is_a_page_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    severities = [Severity.INFO, Severity.INFO, Severity.WARNING, Severity.CRITICAL]
    found = {second: finding(severity=severity, at_ms=second * 1000) for second, severity in enumerate(severities, 1)}

    def scripted(*given: Any, **_: Any) -> tuple[Evaluation, EvaluationMemory]:
        at_ms = given[1].as_of_ms
        return evaluation(found[at_ms // 1000], at_ms=at_ms), EvaluationMemory()

    monkeypatch.setattr("alerts.rehearsal.play.evaluate", scripted)
    rule = "{name: conversion-drop, title: Drop, detect: {kind: silence, count: orders_created, after: 5s}}"
    seen = (DetectionInputs(second * 1000, empty_panes(second)) for second in found)
    (page,) = play(rules_of(f"rules: [{rule}]"), seen).pages
    assert (page.fired_ms, page.finding.severity) == (3000, Severity.WARNING)
