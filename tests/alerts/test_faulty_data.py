"""Falls of orders during faults of the data: which page, and how soon."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from alerts.detection.inputs import DetectionInputs, HealthReading
from alerts.detection.panes import ScopeValue
from alerts.detection.sequential import SequentialMemory
from alerts.detection.series import WHOLE_SHOP
from alerts.evaluate import evaluate
from alerts.findings import Condition
from alerts.memory import EvaluationMemory
from alerts.rules.detect import HealthCheck
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules
from alerts.statistics.steps import WindowPart
from tests.alerts.dense_panes import DensePanes

START_S = 1_762_776_000
WARM_S = 1800
CHECKOUTS, ORDERS, PAID, FAILED, GMV = range(5)
COUNTERS = ("checkouts", "orders_created", "orders_paid", "payments_failed", "gmv")
SOURCES: list[ScopeValue] = [("source", f"orders/oms-{number}") for number in range(4)]
CHECKOUTS_A_S = 4.2
ORDERS_A_CHECKOUT = 0.8
"""200 orders a minute."""
PAYS = 0.92
LAG_S = 15.0
RULES = ("order-silence", "order-drop", "payment-drop", "payment-failures", "duplicates", "dead-letters")
Readings = Callable[[int], tuple[HealthReading, ...]]


def rules(*names: str) -> Rules:
    every = load(default_text(), "default").rules
    return every.model_copy(update={"rules": tuple(rule for rule in every.rules if rule.name in names)})


def sale(
    seconds: int,
    *,
    kept: tuple[int, float] = (0, 1.0),
    pays: tuple[int, float] = (0, PAYS),
    silent_from_s: int | None = None,
) -> DensePanes:
    """Counts by second: `WARM_S` calm ones, then `seconds`.

    From a second on, this share of orders is `kept`, this share of those `pays`, or one of four producers is silent.
    """
    rng, total = np.random.default_rng(1), WARM_S + seconds
    table = np.zeros((total, 1 + len(SOURCES), len(COUNTERS)), np.int32)
    table[:, 0, CHECKOUTS] = rng.poisson(CHECKOUTS_A_S, total)
    at = np.repeat(np.arange(total), table[:, 0, CHECKOUTS])
    at = (at + rng.gamma(3.0, LAG_S / 3, len(at))).astype(np.int64)
    at = at[(at < total) & (rng.random(len(at)) < ORDERS_A_CHECKOUT)]
    at = at[(at - WARM_S < kept[0]) | (rng.random(len(at)) < kept[1])]
    source, is_paid = (
        rng.integers(4, size=len(at)),
        rng.random(len(at)) < np.where(at - WARM_S < pays[0], PAYS, pays[1]),
    )
    for column, chosen in ((ORDERS, at >= 0), (PAID, is_paid), (FAILED, ~is_paid)):
        np.add.at(table[:, :, column], (at[chosen], 1 + source[chosen]), 1)
    if silent_from_s is not None:
        table[WARM_S + silent_from_s :, 1] = 0
    table[:, 1:, GMV] = 9000 * table[:, 1:, PAID]
    table[:, 0, ORDERS:] = table[:, 1:, ORDERS:].sum(axis=1)
    return DensePanes(START_S, [WHOLE_SHOP, *SOURCES], COUNTERS, table)


def first_pages(
    panes: DensePanes, used: Rules, readings: Readings = lambda second: (), *, every_s: int = 1
) -> dict[str, int]:
    """Of each series that is reported, seconds since the end of the calm time."""
    memory = EvaluationMemory()
    pages: dict[str, int] = {}
    edges = [0, *range(WARM_S - 60, len(panes.table) + 1, every_s)]
    for start, end in pairwise(edges):
        part = DensePanes(START_S + start, panes.labels, panes.counters, panes.table[start:end])
        inputs = DetectionInputs((START_S + end) * 1000, part, health_readings=readings(end - WARM_S))
        evaluation, memory = evaluate(used, inputs, memory)
        for finding in evaluation.findings:
            if finding.condition is Condition.BREACHED:
                pages.setdefault(str(finding.series), end - WARM_S)
    return pages


def share(check: HealthCheck, value: float, topic: str) -> Readings:
    return lambda second: (HealthReading(check, value if second >= 0 else 0.0, (("topic", topic),)),)


TWICE = share(HealthCheck.REPEATED, 0.3, "orders")
MALFORMED = share(HealthCheck.REFUSED, 0.02, "clicks")
REFUSED = share(HealthCheck.REFUSED, 0.1, "orders")


@pytest.mark.parametrize("fault", [TWICE, MALFORMED, REFUSED], ids=["twice", "malformed clicks", "refused orders"])
@pytest.mark.parametrize(("kept", "within_s"), [(0.2, 40), (0.0, 20)])
def test_a_fall_of_orders_pages_in_time_during_a_fault(fault: Readings, kept: float, within_s: int) -> None:
    pages = first_pages(sale(200, kept=(120, kept)), rules(*RULES), fault)
    of_orders = [at_s for name, at_s in pages.items() if name.startswith("order-")]
    assert of_orders, pages
    assert 120 < min(of_orders) <= 120 + within_s


@pytest.mark.parametrize("fault", [TWICE, MALFORMED], ids=["twice", "malformed clicks"])
def test_a_fault_alone_pages_no_business_rule(fault: Readings) -> None:
    pages = first_pages(sale(300), rules(*RULES), fault)
    assert {name.partition("{")[0] for name in pages} <= {"duplicates", "dead-letters"}


def test_refused_orders_page_no_business_rule() -> None:
    pages = first_pages(sale(400, kept=(0, 0.9)), rules(*RULES), REFUSED)
    assert {name.partition("{")[0] for name in pages} == {"dead-letters"}


def test_a_silent_producer_does_not_hide_that_payments_fail() -> None:
    panes = sale(500, pays=(300, 0.1 * PAYS), silent_from_s=0)
    pages = first_pages(panes, rules(*RULES, "producer-silent"))
    business = {name: at_s for name, at_s in pages.items() if not name.startswith("producer-silent")}
    assert 'producer-silent{source="oms-0",topic="orders"}' in pages
    assert len(business) == 1, "one page of payments"
    assert 300 < min(business.values()) <= 340


def test_payments_that_were_tried_again_are_not_expected_afterwards() -> None:
    """For ten minutes, most payments fail, and each is tried three times."""
    panes, rng, at = sale(2100), np.random.default_rng(2), slice(WARM_S + 60, WARM_S + 660)
    paid = panes.table[at, 1:, PAID]
    lost = rng.binomial(paid, 0.9)
    paid -= lost
    panes.table[at, 1:, FAILED] += 3 * lost
    panes.table[:, 0, ORDERS:] = panes.table[:, 1:, ORDERS:].sum(axis=1)
    pages = first_pages(panes, rules("payment-failures", "payment-drop"), every_s=5)
    assert set(pages) == {"payment-failures"}


@pytest.mark.parametrize(("refused", "is_discarded"), [(0.02, False), (0.2, True)])
def test_the_end_of_a_fault_that_loses_little_discards_no_evidence(refused: float, is_discarded: bool) -> None:
    memory, panes, recent = EvaluationMemory(), sale(220, kept=(0, 1 - refused)), []
    used = rules("order-drop", "dead-letters")
    for start, end in pairwise([0, *range(WARM_S, WARM_S + 221, 10)]):
        part = DensePanes(START_S + start, panes.labels, panes.counters, panes.table[start:end])
        readings = share(HealthCheck.REFUSED, refused, "orders")(0 if end <= WARM_S + 20 else -1)
        inputs = DetectionInputs((START_S + end) * 1000, part, health_readings=readings)
        _, memory = evaluate(used, inputs, memory)
        drop = memory.rules["order-drop"]
        assert isinstance(drop, SequentialMemory)
        recent.append(float(drop.state.recent[0, WindowPart.COUNT]))
    assert (recent[-2] < 0.6 * recent[-3]) is is_discarded, "sums start again three minutes after the fault"
