"""Sold-out SKUs inhibit only falls of orders that they account for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.detection.detector import Breach, MeanValue
from alerts.findings import FindingReason, Severity
from tests.alerts.correlation.sized import GMV_PER_MINUTE, Correlated, breach

PAGE = 'stock-out{sku="phones-0"}'


def sold_out(share: float, at_s: int = 0, *, sku: str = "phones-0") -> Breach:
    """A SKU that had this share of the shop's orders and revenue."""
    return Breach(
        "stock-out",
        ("sku", sku),
        (("sku", sku),),
        FindingReason.BEYOND,
        value=0.0,
        since_ms=1000 * at_s,
        money_per_minute=share * GMV_PER_MINUTE,
        severity=Severity.WARNING,
        stage=2,
        weight=share,
    )


def drop(where: str = "", *, fall: float, at_s: int, rule: str = "conversion-drop") -> Breach:
    found = breach(rule, where, fall=fall, at_s=at_s)
    return replace(found, mean=MeanValue(found.value or 0.0, 0.02))


@pytest.mark.parametrize("where", ["", "channel app", "region east"])
@pytest.mark.parametrize("rule", ["conversion-drop", "order-drop"])
def test_a_fall_by_the_share_of_a_sold_out_sku_is_no_page(rule: str, where: str) -> None:
    sale = Correlated()
    sale.at(600, sold_out(0.08), drop(where, fall=0.1, at_s=400, rule=rule))
    assert sale.pages == [PAGE]


def test_skus_account_for_a_fall_together() -> None:
    sale = Correlated()
    fall = drop(fall=0.15, at_s=400)
    assert "conversion-drop" not in sale.at(600, sold_out(0.08), sold_out(0.06, sku="beauty-0"), fall)
    assert "conversion-drop" in Correlated().at(600, sold_out(0.05), drop(fall=0.18, at_s=400))


@pytest.mark.parametrize(
    ("stock", "fall"),
    [
        (sold_out(0.08), drop(fall=0.3, at_s=400)),
        (sold_out(0.08, 600), drop(fall=0.1, at_s=400)),
        (sold_out(0.08), drop(fall=0.1, at_s=11_000)),
        (replace(sold_out(0.08), severity=Severity.INFO), drop(fall=0.1, at_s=400)),
        (replace(sold_out(0.08), is_forecast=True, stage=1), drop(fall=0.1, at_s=400)),
        (sold_out(0.08), drop("category phones", fall=0.8, at_s=60)),
        (sold_out(0.08), drop("category phones", fall=0.4, at_s=1200)),
        (sold_out(0.08), drop(fall=0.1, at_s=400, rule="payment-drop")),
        (sold_out(0.08), drop(fall=0.1, at_s=400, rule="cart-drop")),
    ],
    ids=[
        "more is missing",
        "it began before",
        "it is usual by now",
        "the SKU is a note",
        "not sold out yet",
        "more is missing in a category",
        "the category fell later",
        "payments",
        "carts",
    ],
)
def test_other_falls_page(stock: Breach, fall: Breach) -> None:
    sale = Correlated()
    sale.at(11_100, stock, fall)
    assert any(page.startswith(fall.rule) for page in sale.pages)


def test_skus_that_lose_too_little_for_a_page_need_none() -> None:
    small = replace(sold_out(0.015), money_per_minute=0.002 * GMV_PER_MINUTE, severity=Severity.INFO)
    sale = Correlated()
    sale.at(300, small, drop("category beauty", fall=0.012, at_s=60))
    assert sale.pages == [PAGE]


def test_a_category_that_falls_as_its_sku_is_sold_out_is_no_page() -> None:
    sale = Correlated()
    sale.at(300, sold_out(0.08), drop("category phones", fall=0.4, at_s=60))
    assert sale.pages == [PAGE]


def test_a_fall_that_ends_after_its_sku_is_in_stock_again_is_tested_again() -> None:
    sale, fall = Correlated(), drop(fall=0.1, at_s=400)
    sale.at(600, sold_out(0.08), fall)
    back = replace(sold_out(0.08), value=300.0, money_per_minute=0.0, severity=Severity.INFO, weight=0.0)
    assert sale.at(700, back, fall) == [PAGE]
    assert "conversion-drop" in sale.at(800, back, drop(fall=0.1, at_s=720)), "a new fall is another incident"


def test_a_fall_stays_accounted_for_when_its_sku_is_oversold() -> None:
    sale, fall = Correlated(), drop(fall=0.1, at_s=60)
    sale.at(600, sold_out(0.08), fall)
    oversold = replace(sold_out(0.08, 690), stage=3)
    assert sale.at(700, oversold, fall) == [PAGE]
    assert "conversion-drop" in sale.at(710, oversold, drop(fall=0.4, at_s=60)), "more is missing"


def test_a_fall_that_was_reported_stays_reported_and_one_that_outlives_the_stock_is_tested_again() -> None:
    sale = Correlated()
    fall = drop(fall=0.1, at_s=400)
    sale.at(500, fall)
    assert "conversion-drop" in sale.at(600, sold_out(0.08, 350), fall)
    sale = Correlated()
    sale.at(600, sold_out(0.08), fall)
    assert sale.at(700, fall) == []
    assert sale.pages == [PAGE]
