"""KPIs from sums: null for a denominator of zero; and the current promotion."""

from __future__ import annotations

import pytest

from streams.model.kpis import KPIS, NAMES, UNITS, Kpi, values
from streams.model.promotions import current_promotion
from streams.panes.counters import COUNTERS, DISTINCTS
from streams.panes.scopes import Scope
from tests.support.events import ms, promotion
from tests.support.oracle import Oracle

NOTHING = {counter.name: 0 for counter in (*COUNTERS, *DISTINCTS)}


def test_the_names_equal_the_metric_dictionary() -> None:
    assert set(values(NOTHING, Scope.ALL)) == set(NAMES) == set(UNITS) == set(Oracle().ask("1m", ms(0)))


def test_without_events_ratios_are_null_and_sums_zero() -> None:
    answer = values(NOTHING, Scope.ALL)
    assert {name for name, number in answer.items() if number == 0} >= {"gmv", "net_gmv", "visitors"}
    assert set(answer.values()) == {0, None}


def test_counters_that_a_scope_lacks_and_their_kpis_are_null() -> None:
    held = {name: 5 for name in NOTHING if name not in ("visitors", "discounts")}
    answer = values(held, Scope.SKU)
    assert (answer["visitors"], answer["conversion_rate"], answer["discounts"], answer["discount_rate"]) == (None,) * 4
    assert answer["buyers"] == 5


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"gmv": 100, "refunds": 250}, "net_gmv", -150),
        ({"orders_paid": 3, "orders_created": 2}, "payment_rate", 1.5),
        ({"payments_failed": 1, "orders_paid": 3}, "payment_failure_rate", 0.25),
        ({"discounts": 25, "gmv": 75}, "discount_rate", 0.25),
        ({"campaign_gmv": 10, "ad_cost": 4, "gmv": 99}, "roas", 2.5),
        ({"dwell_ms": 3_000, "dwell_events": 2}, "avg_dwell_seconds", 1.5),
        ({"first_orders": 1, "orders_paid": 4}, "new_buyer_rate", 0.25),
    ],
)
def test_formulas_give_the_expected_values(changes: dict[str, int], name: str, expected: float) -> None:
    assert values({**NOTHING, **changes}, Scope.ALL)[name] == expected


class ReadNames(dict[str, int]):
    """Sums that record which names are read."""

    def __missing__(self, name: str) -> int:
        self[name] = 1
        return 1


@pytest.mark.parametrize("kpi", KPIS, ids=lambda kpi: kpi.name)
def test_a_kpi_declares_each_sum_that_its_formula_reads(kpi: Kpi) -> None:
    read = ReadNames()
    kpi.compute(read)
    assert set(read) == set(kpi.inputs)


TARGETS = {"target.base": 100, "target.sprint": 200, "target.challenge": 0}


def test_attainment_is_net_gmv_over_the_existing_targets() -> None:
    answer = values({**NOTHING, "gmv": 250, "refunds": 50, **TARGETS}, Scope.PROMOTION)
    attained = [answer[f"target_attainment.{tier}"] for tier in ("base", "sprint", "challenge")]
    assert attained == [2.0, 1.0, None]
    assert values({**NOTHING, "gmv": 250}, Scope.PROMOTION)["target_attainment.base"] is None
    assert values({**NOTHING, "gmv": 250, **TARGETS}, Scope.ALL)["target_attainment.base"] is None


def test_the_current_promotion_is_the_one_that_started_last_else_the_next() -> None:
    early, late = promotion("early", starts=100, ends=5_000), promotion("late", starts=200, ends=300)
    held = {"late": late, "early": early}
    found = [current_promotion(held, ms(at)) for at in (0, 99, 100, 199, 200, 299, 10_000)]
    assert found == [early, early, early, early, late, late, late]
    assert current_promotion({}, ms(0)) is None


def test_of_promotions_that_start_together_the_smallest_id_is_current() -> None:
    a, b = promotion("a"), promotion("b")
    assert current_promotion({"b": b, "a": a}, ms(5)) == current_promotion({"a": a, "b": b}, ms(5)) == a
    assert current_promotion({"b": b, "a": a}, ms(-5)) == a
