"""One incident for each SKU: soon sold out, sold out, oversold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from alerts.detection.detector import Breach, Observation, RevenueRate
from alerts.detection.inputs import DetectionInputs, Table, empty_panes
from alerts.detection.schedule import EffectiveRule
from alerts.detection.stock import StockMemory, breaches, share_of_orders
from alerts.evaluate import evaluate
from alerts.findings import Condition, Finding, FindingReason, Series, Severity
from alerts.memory import EvaluationMemory, from_bytes, to_bytes
from alerts.rules.loader import default_text, load
from alerts.rules.rule import Rules, RuleScope
from consumers.contract.events import Promotion
from streams.model.windows import Window

START_S = 1_762_776_000
RULES = load(default_text(), "default").rules
STOCK = Rules(rules=tuple(rule for rule in RULES.rules if rule.name == "stock-out"))
SALE = Promotion(
    promotion_id="d11",
    name="Sale",
    starts_at=START_S * 1000,
    ends_at=(START_S + 36_000) * 1000,
    timezone="Asia/Shanghai",
    skus=("s-1", "s-2"),
)
SHOP_GMV = 100_000.0
"""The shop's GMV, minor units a minute."""


@dataclass
class Shelf:
    """Evaluations of the default stock rule in a shop of `SHOP_GMV`."""

    memory: EvaluationMemory = field(default_factory=EvaluationMemory)
    sale: Promotion = SALE
    minute: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """# SKU: (units, GMV) of the last minute"""

    def __post_init__(self) -> None:
        self.memory.revenue = RevenueRate(seconds=3600, gmv=60 * SHOP_GMV, paid=600)

    def at(self, second: int, stock: Mapping[str, tuple[float, float, float]] | None) -> dict[str, Finding]:
        """The findings by SKU. `stock`: # SKU: (units available, units sold a minute, GMV a minute)"""
        tables = {}
        if stock is not None:
            available, units, gmv = (np.array([row[i] for row in stock.values()]) for i in range(3))
            numbers = {"stock_available": available, "units": 15 * units, "gmv": 15 * gmv}
            units, gmv = (np.array([row[i] for row in self.minute.values()]) for i in (0, 1))
            tables = {
                (Window.M15, RuleScope.SKU): Table(tuple(stock), numbers),
                (Window.M1, RuleScope.SKU): Table(tuple(self.minute), {"units": units, "gmv": gmv}),
            }
        inputs = DetectionInputs(
            (START_S + second) * 1000, empty_panes(START_S + second), tables=tables, promotions={"d11": self.sale}
        )
        watched = [Series("stock-out", (("sku", sku),)) for sku in stock or {}]
        evaluation, self.memory = evaluate(STOCK, inputs, self.memory, watched)
        return {dict(found.series.labels)["sku"]: found for found in evaluation.findings}

    def play(self, begin: int, end: int, stock: Mapping[str, tuple[float, float, float]]) -> dict[str, Finding]:
        """The last of evaluations every ten seconds."""
        found = {}
        for second in range(begin, end, 10):
            found = self.at(second, stock)
        return found


def test_one_incident_goes_from_soon_to_out_to_oversold() -> None:
    shelf = Shelf()
    seen = []
    for second in range(0, 1800, 10):
        left = 200 - second / 6  # ten a minute
        found = shelf.at(second, {"s-1": (left, 10, 2000)})["s-1"]
        if found.condition is Condition.BREACHED and (not seen or seen[-1][0] != found.stage):
            seen.append((found.stage, found.title, found.severity, found.is_forecast))
    assert seen == [
        (1, "A SKU will soon be sold out", Severity.WARNING, True),
        (2, "A SKU is sold out", Severity.WARNING, False),
        (3, "A SKU is oversold", Severity.WARNING, False),
    ]
    assert found.series == Series("stock-out", (("sku", "s-1"),))


def test_soon_waits_for_a_minute_and_out_does_not() -> None:
    shelf = Shelf()
    assert shelf.at(0, {"s-1": (100, 10, 2000)})["s-1"].reason is FindingReason.WITHIN
    assert shelf.at(50, {"s-1": (92, 10, 2000)})["s-1"].reason is FindingReason.WITHIN
    assert shelf.at(60, {"s-1": (90, 10, 2000)})["s-1"].summary == ("90 units left, for about 9 min")
    assert Shelf().at(0, {"s-1": (0, 10, 2000)})["s-1"].title == "A SKU is sold out"


def test_few_sales_forecast_nothing() -> None:
    assert Shelf().play(0, 300, {"s-1": (10, 0.6, 100)})["s-1"].reason is FindingReason.WITHIN


@pytest.mark.parametrize(
    ("gmv", "severity"),
    [
        (100, Severity.INFO),
        (299, Severity.INFO),
        (300, Severity.WARNING),
        (2999, Severity.WARNING),
        (3000, Severity.CRITICAL),
    ],
)
def test_severity_is_the_share_of_the_shops_gmv(gmv: float, severity: Severity) -> None:
    found = Shelf().at(0, {"s-1": (0, 10, gmv)})["s-1"]
    assert (found.severity, found.money_per_minute) == (severity, gmv)


def test_a_forecast_is_never_critical() -> None:
    found = Shelf().play(0, 120, {"s-1": (100, 10, 50_000)})["s-1"]
    assert (found.severity, found.money_per_minute, found.is_forecast) == (Severity.WARNING, 50_000, True)


def test_without_revenue_the_rules_severity_applies() -> None:
    shelf = Shelf()
    shelf.memory.revenue = RevenueRate()
    assert shelf.at(0, {"s-1": (0, 10, 50_000)})["s-1"].severity is Severity.WARNING


def test_before_the_first_gmv_of_a_shop_a_stock_out_is_not_critical() -> None:
    shelf = Shelf()
    shelf.memory.revenue = RevenueRate(seconds=60)
    assert shelf.at(0, {"s-1": (0, 0, 0)})["s-1"].severity is Severity.WARNING


def test_the_loss_is_what_was_sold_before_the_stock_out() -> None:
    """The window's own GMV falls to nothing within 15 minutes."""
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    assert shelf.play(60, 1800, {"s-1": (0, 0, 0)})["s-1"].money_per_minute == 2000


def test_a_sku_that_sells_out_in_a_minute_loses_what_that_minute_sold() -> None:
    """In a live room or at an opening, the mean of 15 minutes is far too low."""
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (90, 0.1, 20)})
    shelf.minute = {"s-1": (80, 16_000)}
    found = shelf.at(60, {"s-1": (0, 6, 1087)})["s-1"]
    assert (found.severity, found.money_per_minute) == (Severity.CRITICAL, 16_000)
    shelf.minute = {"s-1": (0, 0)}
    assert shelf.at(120, {"s-1": (0, 6, 1087)})["s-1"].money_per_minute == 16_000
    shelf.minute = {"s-2": (19, 3800)}
    assert shelf.at(130, {"s-2": (0, 2, 400)})["s-2"].money_per_minute == 400, "too few units to tell"


def test_units_of_cancelled_orders_neither_end_nor_restart_the_incident() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    shelf.at(60, {"s-1": (0, 10, 2000)})
    rng = np.random.default_rng(1)
    found = [shelf.at(70 + 10 * i, {"s-1": (float(rng.integers(-2, 5)), 1, 200)})["s-1"] for i in range(360)]
    assert {one.condition for one in found} == {Condition.BREACHED}
    assert {one.stage for one in found} == {2}, "oversold by a unit or two is the same stock-out"


def test_a_restocked_sku_stays_out_until_its_stock_lasts() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    shelf.at(60, {"s-1": (0, 10, 2000)})
    found = shelf.at(70, {"s-1": (300, 10, 2000)})["s-1"]
    assert (found.stage, found.money_per_minute) == (2, 0)
    assert (found.title, found.summary) == ("A SKU is in stock again", "300 units left, for about 30 min")
    assert shelf.play(80, 670, {"s-1": (900, 10, 2000)})["s-1"].condition is Condition.BREACHED
    assert shelf.play(670, 690, {"s-1": (900, 10, 2000)})["s-1"].reason is FindingReason.WITHIN


@pytest.mark.parametrize(("is_reported", "severity"), [(True, Severity.WARNING), (False, Severity.INFO)])
def test_an_incident_that_is_over_when_it_can_be_reported_is_a_note(is_reported: bool, severity: Severity) -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    assert shelf.at(60, {"s-1": (0, 10, 2000)})["s-1"].severity is Severity.WARNING
    if not is_reported:  # a data fault inhibited it
        shelf.memory.correlation.reported.clear()
    assert shelf.at(70, {"s-1": (300, 10, 2000)})["s-1"].severity is severity


def test_a_break_in_the_recovery_starts_it_again() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    shelf.at(60, {"s-1": (0, 10, 2000)})
    shelf.play(70, 600, {"s-1": (900, 10, 2000)})
    shelf.at(600, {"s-1": (0, 10, 2000)})
    assert shelf.play(610, 1200, {"s-1": (900, 10, 2000)})["s-1"].condition is Condition.BREACHED


def test_many_oversold_units_of_a_sold_out_sku_are_the_next_stage() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    found = shelf.at(60, {"s-1": (-40, 10, 2000)})["s-1"]  # of 200 each: 8,000 of the shop's 1,500,000 in 15 minutes
    assert (found.stage, found.severity) == (3, Severity.WARNING)
    assert shelf.at(70, {"s-1": (-400, 10, 2000)})["s-1"].severity is Severity.CRITICAL


def test_a_sku_outside_promotions_is_reported_only_if_oversold() -> None:
    shelf = Shelf()
    assert shelf.at(0, {"other": (0, 10, 2000)})["other"].condition is Condition.OK
    found = shelf.at(10, {"other": (-1, 0.1, 20)})["other"]
    assert (found.title, found.severity) == ("A SKU is oversold", Severity.INFO)
    assert found.summary == "1 unit more is ordered than there are"
    assert shelf.play(20, 600, {"other": (0, 0, 0)})["other"].condition is Condition.BREACHED
    assert shelf.play(600, 700, {"other": (0, 0, 0)})["other"].condition is Condition.OK


def test_few_oversold_units_outside_promotions_are_a_note_in_any_shop() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"other": (500, 10, 20_000)})
    assert shelf.at(60, {"other": (-4, 10, 20_000)})["other"].severity is Severity.INFO
    assert shelf.at(70, {"other": (-5, 10, 20_000)})["other"].severity is Severity.CRITICAL, "a fifth of the shop"


def test_the_incident_ends_with_the_promotion() -> None:
    shelf = Shelf()
    shelf.at(0, {"s-1": (0, 10, 2000)})
    assert shelf.at(36_000, {"s-1": (0, 10, 2000)})["s-1"].reason is FindingReason.GONE


def test_without_a_table_nothing_changes() -> None:
    shelf = Shelf()
    shelf.at(0, {"s-1": (0, 10, 2000)})
    assert shelf.at(10, None)["s-1"].condition is Condition.BREACHED


def test_each_sku_is_its_own_incident() -> None:
    found = Shelf().at(0, {"s-1": (0, 10, 2000), "s-2": (0, 10, 1000)})
    assert [one.condition for one in found.values()] == [Condition.BREACHED] * 2


def test_the_memory_survives_a_restart() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 10, 2000)})
    shelf.at(60, {"s-1": (0, 10, 2000)})
    restored = from_bytes(to_bytes(shelf.memory))
    assert restored is not None
    found = Shelf(restored).at(70, {"s-1": (3, 0, 0)})["s-1"]
    assert (found.stage, found.condition) == (2, Condition.BREACHED)


def test_a_sku_that_was_sold_out_before_it_was_seen_has_the_severity_of_the_rule() -> None:
    found = Shelf().at(0, {"s-1": (0, 0, 0)})["s-1"]
    assert (found.severity, found.money_per_minute) == (Severity.WARNING, None)


def test_a_sku_that_sold_nothing_is_a_note() -> None:
    shelf = Shelf()
    shelf.at(0, {"s-1": (5, 0, 0)})
    assert shelf.at(10, {"s-1": (0, 0, 0)})["s-1"].severity is Severity.INFO


def test_without_a_table_an_incident_continues() -> None:
    shelf = Shelf()
    since_ms = shelf.at(0, {"s-1": (0, 10, 2000)})["s-1"].since_ms
    shelf.at(10, None)
    assert shelf.at(20, {"s-1": (0, 10, 2000)})["s-1"].since_ms == since_ms


def test_a_sold_out_sku_has_a_share_of_the_orders_until_it_is_in_stock_again() -> None:
    shelf = Shelf()
    shelf.play(0, 60, {"s-1": (500, 0.8, 2000)})
    shares = []
    for second, available in ((60, 0), (70, 4), (80, 300)):
        shelf.at(second, {"s-1": (available, 0.8, 2000)})
        shares.append(only_breach(shelf).weight)
    assert shares == [pytest.approx(0.08, rel=0.05), pytest.approx(0.08, rel=0.05), 0.0]


def only_breach(shelf: Shelf) -> Breach:
    memory, rule = shelf.memory.rules["stock-out"], STOCK.rules[0]
    assert isinstance(memory, StockMemory)
    inputs = DetectionInputs(START_S * 1000, empty_panes(START_S))
    observation = Observation(inputs, {}, (), (), frozenset(SALE.skus or ()), shelf.memory.revenue, {})
    (breach,) = breaches(memory, EffectiveRule(rule, True, rule.severity, rule.detect), observation)
    return breach


def test_a_sold_out_sku_had_its_units_as_its_share_of_the_orders() -> None:
    shop = RevenueRate(seconds=3600, gmv=60 * SHOP_GMV, paid=600)
    assert share_of_orders(0.8, shop) == pytest.approx(0.08), "of ten orders a minute"
    assert share_of_orders(40, shop) == 1.0, "several units an order"
    assert share_of_orders(float("nan"), shop) is None
    assert share_of_orders(0.8, RevenueRate()) is None
