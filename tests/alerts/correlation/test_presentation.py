"""How breaches without a loss are presented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.correlation.presentation import describe_no_loss
from alerts.detection.detector import Breach
from alerts.findings import FindingReason, Measure

NO_LOSS = Breach("conversion-drop", ("all", ""), (), FindingReason.NOTHING_LOST, has_no_loss=True)
MEASURE = Measure(("orders_created",), ("product_views",))


def test_a_drop_without_a_loss_names_what_rose_without_the_other() -> None:
    title, reason = describe_no_loss(MEASURE, NO_LOSS, rise=False)
    assert title == "More product views without more orders"
    assert reason == "nothing is lost; a crowd, a crawler or a campaign?"


@pytest.mark.parametrize(
    ("measure", "title", "reason"),
    [
        (
            Measure(("payments_failed",), ("payments_failed", "orders_paid")),
            "A larger ratio of failed payments to paid orders",
            "failed payments have not clearly risen; are paid orders fewer, or late?",
        ),
        (
            Measure(("orders_refunded",), ("orders_paid",)),
            "A larger ratio of refunds to paid orders",
            "refunds have not clearly risen; are paid orders fewer, or late?",
        ),
    ],
)
def test_a_rise_without_a_loss_does_not_say_that_payments_rose(measure: Measure, title: str, reason: str) -> None:
    assert describe_no_loss(measure, NO_LOSS, rise=True) == (title, reason)


def test_a_loss_of_records_is_named_as_one() -> None:
    carts = Measure(("cart_adds",), ("product_views",))
    title, reason = describe_no_loss(carts, replace(NO_LOSS, is_tracking_loss=True), rise=False)
    assert title == "Fewer products put into carts are recorded"
    assert reason == "the events that follow have not fallen; are clicks not recorded?"
