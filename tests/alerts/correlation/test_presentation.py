"""How notes are presented."""

from __future__ import annotations

from dataclasses import replace

from alerts.correlation.presentation import describe_note
from alerts.detection.detector import Breach
from alerts.findings import FindingReason, Measure

NOTE = Breach("conversion-drop", ("all", ""), (), FindingReason.NOTHING_LOST, is_note=True)
MEASURE = Measure(("orders_created",), ("product_views",))


def test_a_note_names_what_rose_without_the_other() -> None:
    title, reason = describe_note(MEASURE, NOTE)
    assert title == "More product views without more orders"
    assert reason == "nothing is lost; a crowd, a crawler or a campaign?"


def test_a_loss_of_records_is_named_as_one() -> None:
    title, reason = describe_note(Measure(("cart_adds",), ("product_views",)), replace(NOTE, is_tracking_loss=True))
    assert title == "Fewer products put into carts are recorded"
    assert reason == "the events that follow have not fallen; are clicks not recorded?"
