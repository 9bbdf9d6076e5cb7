"""Events that are not recorded, as data faults."""

from __future__ import annotations

from dataclasses import replace

from alerts.detection.detector import Breach
from alerts.detection.tracking import tracking_losses
from alerts.findings import FindingReason
from tests.alerts.correlation.sized import RULES, breach

EFFECTIVE = RULES["clicks-not-recorded"]


def note(rule: str, where: str = "", *, tracking: bool = True) -> Breach:
    found = breach(rule, where, fall=0.4)
    return replace(found, reason=FindingReason.NOTHING_LOST, is_note=True, is_tracking_loss=tracking)


def test_each_part_is_one_breach_of_the_rule_without_a_loss() -> None:
    found = [note("cart-drop", "channel app"), note("checkout-drop", "channel app"), note("checkout-drop")]
    losses = list(tracking_losses(EFFECTIVE, found, RULES))
    assert [(loss.rule, loss.labels) for loss in losses] == [
        ("clicks-not-recorded", (("channel", "app"),)),
        ("clicks-not-recorded", ()),
    ]
    assert losses[0].numbers == "40 % fewer cart adds than usual, and what follows them has not fallen"
    assert all((loss.is_note, loss.money_per_minute, loss.share) == (False, None, 0.0) for loss in losses)


def test_other_notes_drops_and_scopes_are_no_tracking_loss() -> None:
    found = [
        note("checkout-drop", tracking=False),
        breach("checkout-drop", fall=0.4),
        note("conversion-drop", "region west"),
    ]
    assert list(tracking_losses(EFFECTIVE, found, RULES)) == []
