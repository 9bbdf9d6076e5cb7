"""A page from counts to its text: half of the app's orders are lost."""

from __future__ import annotations

import re

import numpy as np
import pytest

from alerts.detection.inputs import DetectionInputs
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.memory import EvaluationMemory
from alerts.notify.markup import PLAIN
from alerts.notify.message import NotificationMessage
from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.rules.rule import Rules
from alerts.state.notices import NoticeKind
from alerts.state.notification import NotificationContext
from alerts.state.policy import Timing
from alerts.state.update import update_alerts, watched
from tests.alerts.builders import to
from tests.alerts.dense_panes import DensePanes
from tests.alerts.notify.notices import PLACE

START_S = 1_762_776_000
APP, WEB = ("channel", "app"), ("channel", "web")
COUNTERS = ("product_views", "cart_adds", "checkouts", "orders_created", "orders_paid", "gmv")
FAULT_S = 180
AMOUNT = 12_000
"""Minor units of an order."""


def counted(start_s: int, seconds: int, rng: np.random.Generator, *, lost_in_app: float = 0.0) -> DensePanes:
    """The funnel of two channels, of which one loses some of its orders."""
    table = np.zeros((seconds, 3, len(COUNTERS)), np.int32)
    for row, lost in ((1, lost_in_app), (2, 0.0)):
        views = rng.poisson(120 if row == 1 else 80, seconds)
        carts = rng.binomial(views, 0.2)
        checkouts = rng.binomial(carts, 0.5)
        orders = rng.binomial(checkouts, 0.8 * (1 - lost))
        paid = rng.binomial(orders, 0.9)
        table[:, row] = np.stack((views, carts, checkouts, orders, paid, paid * AMOUNT), axis=1)
    table[:, 0] = table[:, 1:].sum(axis=1)
    return DensePanes(start_s, [WHOLE_SHOP, APP, WEB], COUNTERS, table)


@pytest.fixture(scope="module")
def texts() -> dict[NoticeKind, str]:
    """The last message of each kind."""
    rules = read_rules(default_text()).rules
    assert rules is not None
    rules = Rules(rules=tuple(rule for rule in rules.rules if rule.name in ("order-drop", "conversion-drop")))
    rng, memory, alerts, sent = np.random.default_rng(7), EvaluationMemory(), {}, {}
    context = NotificationContext(to("chat", repeat_interval_ms=120_000))
    panes = counted(START_S, 2400, rng)
    _, memory = evaluate(rules, DetectionInputs(panes.end_s * 1000, panes), memory)
    for step in range(120):
        panes = counted(panes.end_s, 5, rng, lost_in_app=0.5 if step < FAULT_S // 5 else 0.0)
        now_ms = panes.end_s * 1000
        evaluation, memory = evaluate(rules, DetectionInputs(now_ms, panes), memory, watched(alerts))
        update = update_alerts(alerts, evaluation, timing=lambda _: Timing(), acks={}, context=context, now_ms=now_ms)
        alerts = update.apply_to(alerts)
        for notice in update.notices:
            sent[notice.kind] = NotificationMessage((notice,), PLACE, now_ms).body(PLAIN, 10_000)
    return sent


def test_the_first_message_has_the_counts_and_the_loss(texts: dict[NoticeKind, str]) -> None:
    headline, numbers, *lines = texts[NoticeKind.FIRING].splitlines()
    assert re.fullmatch(r"\[FIRING, \w+\] Fewer checkouts become orders: channel app", headline)
    assert re.fullmatch(
        r"\d+ orders a minute, expected [\d,]+ to [\d,]+ \(\d+ % fewer\); [\d.]+ % of the checkouts, usually [\d.]+ %",
        numbers,
    )
    assert "Stage: checkout to order" in lines
    assert any(re.fullmatch(r"Since: 20:\d\d:\d\d \(Asia/Shanghai\), \d+ s ago", line) for line in lines)


def test_a_later_message_names_the_loss_so_far_the_cause_and_what_is_explained(texts: dict[NoticeKind, str]) -> None:
    lines = dict(line.split(": ", 1) for line in texts[NoticeKind.REMINDER].splitlines() if ": " in line)
    lost, a_minute = (float(amount.replace(",", "")) for amount in re.findall(r"CNY ([\d,]+)", lines["Lost"]))
    orders_a_minute = 60 * 120 * 0.2 * 0.5 * 0.8 * 0.5
    assert a_minute == pytest.approx(orders_a_minute * 0.9 * AMOUNT / 100, rel=0.35)
    minutes = re.search(r"(\d+) min", lines["Since"])
    assert minutes is not None
    assert lost == pytest.approx(int(minutes[1]) * orders_a_minute * 0.9 * AMOUNT / 100, rel=0.35)
    assert lines["Likely causes"].startswith("channel app: ")
    assert "Conversion dropped" in lines["Also explained by this"]


def test_the_end_has_duration_and_loss(texts: dict[NoticeKind, str]) -> None:
    text = texts[NoticeKind.RESOLVED]
    assert text.startswith("[RESOLVED] Fewer checkouts become orders: channel app\n")
    assert re.search(r"^Lasted: \d min( \d+ s)?, until 20:\d\d:\d\d \(Asia/Shanghai\)$", text, re.MULTILINE)
    assert re.search(r"^Lost: about CNY [\d,]+$", text, re.MULTILINE)
