"""Bounds of delays from the rates of a recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alerts.detection.series import WHOLE_SHOP
from alerts.findings import Category
from alerts.rehearsal.bounds import bernoulli_bound_s, poisson_bound_s
from alerts.rehearsal.incident_rates import BEFORE_S, BoundFormula, IncidentRates
from alerts.rehearsal.truth import ActualIncident
from tests.alerts.dense_panes import DensePanes

START_S = 1_762_776_000
ONSET_S = START_S + 2 * BEFORE_S
ORDERS = ActualIncident("conversion_drop", ONSET_S * 1000, (ONSET_S + 600) * 1000, size=0.2, stage="order")
APP = ("channel", "app")
OMS = ("source", "orders/oms-1")


def seconds(start_s: int, end_s: int, of_app: int) -> DensePanes:
    """Ten checkouts a second, eight orders of them; in the app, this many checkouts and no order."""
    table = np.zeros((end_s - start_s, 3, 4), np.int32)
    table[:, 0] = (10, 8, 6, 600)
    table[:, 1, 0] = of_app
    table[:, 2, 1] = 2
    return DensePanes(start_s, [WHOLE_SHOP, APP, OMS], ("checkouts", "orders_created", "orders_paid", "gmv"), table)


def rates(*incidents: ActualIncident) -> IncidentRates:
    taken = IncidentRates(incidents)
    taken.take(seconds(START_S, START_S + BEFORE_S, 9))  # too long before
    taken.take(seconds(START_S + BEFORE_S, ONSET_S + 30, 5))
    return taken


def test_a_share_has_the_bound_of_trials() -> None:
    bound = rates(ORDERS).bound(ORDERS)
    assert bound is not None
    assert bound.formula is BoundFormula.BERNOULLI
    assert bound.seconds == pytest.approx(bernoulli_bound_s(10, 0.8, 0.64))


def test_a_silent_producer_has_the_bound_of_counts() -> None:
    facts = frozenset({("source", "oms-1"), ("topic", "orders")})
    silent = replace(ORDERS, kind="producer_silent", facts=facts, category=Category.DATA, size=None, stage="")
    bound = rates(silent).bound(silent)
    assert bound is not None
    assert bound.formula is BoundFormula.POISSON
    assert bound.seconds == pytest.approx(poisson_bound_s(2, 0.0))


def test_a_loss_that_is_not_stated_is_the_share_of_what_was_sold_before() -> None:
    assert rates(ORDERS).lost_per_minute(ORDERS) == pytest.approx(0.2 * 600 * 60)
    stop = replace(ORDERS, kind="order_stop", size=None, stage="")
    assert rates(stop).lost_per_minute(stop) == pytest.approx(600 * 60)
    clicks = replace(ORDERS, kind="click_stop", stage="", facts=frozenset({("topic", "clicks")}))
    assert rates(clicks).lost_per_minute(clicks) is None, "the shop sells as before"


def test_of_failed_payments_most_are_made_in_another_attempt() -> None:
    """8 % of the attempts fail, then half of the others, too: 74 % of the orders are paid within three attempts."""
    failing = replace(ORDERS, kind="payment_failures", size=0.5, stage="")
    taken = IncidentRates((failing,))
    start_s, end_s = ONSET_S - 600, ONSET_S
    table = np.tile(np.array([8, 92, 92_000], np.int32), (end_s - start_s, 1, 1))
    taken.take(DensePanes(start_s, [WHOLE_SHOP], ("payments_failed", "orders_paid", "gmv"), table))
    assert taken.lost_per_minute(failing) == pytest.approx(0.26 * 60 * 92_000, rel=0.02)


@pytest.mark.parametrize(
    "incident",
    [
        replace(ORDERS, facts=frozenset({APP})),
        replace(ORDERS, facts=frozenset({("channel", "web")})),
        replace(ORDERS, facts=frozenset({APP, ("region", "west")})),
        replace(ORDERS, size=None),
        replace(ORDERS, kind="gateway of a bank down"),
        replace(ORDERS, start_ms=START_S * 1000),
    ],
    ids=["nothing counted", "no such series", "two dimensions", "size unknown", "kind unknown", "no time before"],
)
def test_without_a_rate_there_is_no_bound(incident: ActualIncident) -> None:
    taken = rates(incident)
    assert taken.bound(incident) is None
