"""A data fault inhibits only what it can account for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.correlation.data_faults import is_tracking_fault, remember_faults
from alerts.correlation.memory import CorrelationMemory
from alerts.detection.detector import Breach, MeanValue
from alerts.findings import Category, ExpectedRange, FindingReason, Labels, Severity
from tests.alerts.correlation.sized import RULES, Correlated, breach

ORDERS: Labels = (("topic", "orders"),)


def fault(
    rule: str, labels: Labels = ORDERS, *, share: float | None = None, value: float | None = None, at_s: int = 0
) -> Breach:
    return Breach(rule, ("fact", rule), labels, FindingReason.BEYOND, value=value, share=share, since_ms=1000 * at_s)


SILENT = fault("producer-silent", (("source", "oms-2"), ("topic", "orders")), share=0.25)


def test_events_that_come_twice_inhibit_nothing() -> None:
    sale = Correlated()
    twice = fault("duplicates", value=0.3)
    sale.at(60, twice)
    assert "order-drop" in sale.at(90, twice, breach("order-drop", fall=0.3, at_s=80))
    assert not sale.memory.faults


def test_rejected_messages_inhibit_falls_up_to_their_share() -> None:
    refused = fault("dead-letters", value=0.3)
    for fall, pages in ((0.3, False), (0.4, False), (0.5, True), (0.8, True)):
        sale = Correlated()
        assert ("order-drop" in sale.at(30, refused, breach("order-drop", fall=fall))) is pages, fall


@pytest.mark.parametrize("rule", ["order-drop", "conversion-drop"])
def test_malformed_clicks_do_not_inhibit_falls_of_orders(rule: str) -> None:
    """Fewer clicks make more orders a click, not fewer."""
    refused = fault("dead-letters", (("topic", "clicks"),), value=0.9)
    assert rule in Correlated().at(60, refused, breach(rule, fall=0.8, at_s=50))


def test_a_silent_producer_does_not_hide_that_most_payments_fail() -> None:
    sale = Correlated()
    sale.at(10, SILENT, breach("payment-drop", fall=0.27), breach("conversion-drop", fall=0.25))
    assert sale.pages == ['producer-silent{source="oms-2",topic="orders"}'], "its share is missing"
    sale.at(320, SILENT, breach("payment-failures", fall=0.9, at_s=300), breach("payment-drop", fall=0.9, at_s=300))
    assert sale.pages == ['producer-silent{source="oms-2",topic="orders"}', "payment-failures"]


def test_two_silent_producers_account_for_both_shares() -> None:
    other = fault("producer-silent", (("source", "oms-3"), ("topic", "orders")), share=0.25)
    assert "conversion-drop" in Correlated().at(30, SILENT, breach("conversion-drop", fall=0.5))
    assert "conversion-drop" not in Correlated().at(30, SILENT, other, breach("conversion-drop", fall=0.5))


def test_a_part_that_one_producer_serves_may_lose_all_as_the_fault_begins() -> None:
    silent = fault("producer-silent", (("source", "mini-sdk"), ("topic", "clicks")), share=0.25)
    assert len(Correlated().at(30, silent, breach("checkout-drop", "channel mini", fall=1.0, at_s=10))) == 1
    assert len(Correlated().at(330, silent, breach("checkout-drop", "channel mini", fall=1.0, at_s=300))) == 2


def test_a_fault_of_unknown_size_inhibits_all_alerts_of_its_topic() -> None:
    stale = fault("input-stale", ())
    assert Correlated().at(30, stale, breach("order-drop", fall=0.9)) == ["input-stale"]


def test_a_past_loss_of_records_inhibits_nothing() -> None:
    """It is reported until an operator clears it."""
    sale, lost = Correlated(), fault("incomplete-history", value=3)
    assert "order-drop" in sale.at(3600, lost, breach("order-drop", fall=0.9, at_s=3500))
    assert not sale.memory.faults, "what comes in is learned"


def test_a_fall_that_began_before_the_fault_pages() -> None:
    lagging = fault("input-lagging", at_s=300)
    assert "order-drop" in Correlated().at(310, lagging, breach("order-drop", fall=0.3, at_s=100))


def test_parts_may_seem_to_begin_earlier_before_the_fault_than_the_whole() -> None:
    silent = replace(SILENT, since_ms=200_000)
    assert "order-drop" in Correlated().at(220, silent, breach("order-drop", fall=0.25))
    assert 'order-drop{channel="app"}' not in Correlated().at(
        220, silent, breach("order-drop", "channel app", fall=0.25)
    )


def test_a_fault_inhibits_until_three_minutes_after_its_end() -> None:
    sale = Correlated()
    drop = breach("conversion-drop", fall=0.25, at_s=20)
    sale.at(60, SILENT, drop)
    assert sale.at(240, drop) == []
    assert sale.at(241, drop) == ["conversion-drop"]


def test_a_fall_that_grows_beyond_the_share_pages_at_once() -> None:
    sale = Correlated()
    sale.at(60, SILENT, breach("order-drop", fall=0.25))
    assert "order-drop" in sale.at(61, SILENT, breach("order-drop", fall=0.7))


def test_a_sold_out_sku_pages_during_a_silent_producer() -> None:
    sold_out = Breach("stock-out", ("sku", "s-1"), (("sku", "s-1"),), FindingReason.BEYOND, value=0.0, since_ms=50_000)
    assert 'stock-out{sku="s-1"}' in Correlated().at(60, SILENT, sold_out)


def test_a_suspected_fault_is_no_page_and_inhibits_only_while_it_is_suspected() -> None:
    suspected, fall = replace(SILENT, is_suspected=True), breach("order-drop", fall=0.25)
    for at_s, pages in ((10, []), (20, []), (30, ["order-drop"])):
        sale = Correlated()
        remember_faults([suspected], RULES, (), sale.memory, 10_000)
        assert sale.at(at_s, fall) == pages


def test_the_end_of_a_suspected_fault_discards_no_evidence() -> None:
    suspected, memory = replace(SILENT, is_suspected=True), CorrelationMemory()
    remember_faults([suspected], RULES, (), memory, 10_000)
    assert not memory.expire(60_000)
    assert not memory.faults
    remember_faults([suspected], RULES, (), memory, 70_000)
    remember_faults([SILENT], RULES, (), memory, 80_000)
    assert memory.expire(400_000)


def untracked(fall: float = 0.6) -> Breach:
    """Checkouts of the app that are not recorded; orders go on."""
    return replace(breach("checkout-drop", "channel app", fall=fall), has_no_loss=True, is_tracking_loss=True)


def test_orders_without_their_clicks_are_a_data_fault() -> None:
    sale = Correlated()
    assert sale.at(100, untracked()) == ['checkout-drop{channel="app"}']
    finding = sale.findings['checkout-drop{channel="app"}']
    assert (finding.category, finding.severity) == (Category.DATA, Severity.WARNING)
    assert finding.title == "Tracking is lost: orders without their clicks"
    assert finding.incident == "tracking"


def test_lost_clicks_of_a_producer_with_a_fault_are_one_incident() -> None:
    drop = fault("producer-share-drop", (("source", "app-sdk"), ("topic", "clicks")), share=0.3)
    sale = Correlated()
    sale.at(100, drop, untracked(), breach("order-drop", "channel web", fall=0.6, at_s=90))
    assert sale.pages == ['producer-share-drop{source="app-sdk",topic="clicks"}', 'order-drop{channel="web"}']


def test_a_loss_of_tracking_is_a_fault_once_it_is_large_and_lasts() -> None:
    assert is_tracking_fault(untracked(0.5), 90_000)
    assert not is_tracking_fault(untracked(0.5), 89_000)
    assert not is_tracking_fault(untracked(0.3), 600_000), "a crowd has ended"
    assert not is_tracking_fault(replace(untracked(), is_tracking_loss=False), 600_000)


def test_a_silent_producer_and_a_reported_part_account_for_the_whole_together() -> None:
    sale, web = Correlated(), breach("order-drop", "channel web", fall=0.6)
    sale.at(30, web)
    sale.at(150, web, breach("order-drop", fall=0.1, at_s=20))
    silent = replace(SILENT, since_ms=300_000)
    assert "order-drop" not in sale.at(390, silent, web, breach("order-drop", fall=0.32, at_s=20))
    assert "order-drop" in sale.at(400, silent, web, breach("order-drop", fall=0.9, at_s=20))


def test_a_second_loss_during_a_fault_pages_once_the_last_minutes_show_it() -> None:
    sale = Correlated()
    web = replace(
        breach("order-drop", "channel web", fall=0.7), interval=ExpectedRange(0.35, 0.65), mean=MeanValue(0.35, 0.03)
    )
    assert len(sale.at(400, SILENT, web)) == 1, "a few orders are no measure"
    assert len(sale.at(410, SILENT, replace(web, lately=MeanValue(0.15, 0.06)))) == 2


def test_the_whole_shop_waits_for_the_part_whose_clicks_are_not_recorded() -> None:
    whole = replace(breach("checkout-drop", fall=0.5), has_no_loss=True, is_tracking_loss=True)
    assert not is_tracking_fault(whole, 90_000)
    assert is_tracking_fault(whole, 105_000)
    sale = Correlated()
    sale.at(90, untracked(1.0))
    assert sale.at(110, untracked(1.0), whole) == ['checkout-drop{channel="app"}']


def test_clicks_that_are_lost_in_the_whole_shop_are_not_unrecorded_in_a_part() -> None:
    sale, whole = Correlated(), breach("checkout-drop", fall=0.3)
    sale.at(60, whole)
    assert sale.at(100, whole, untracked()) == ["checkout-drop"]
