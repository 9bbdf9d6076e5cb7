"""Which incidents the study plays."""

from __future__ import annotations

from collections import defaultdict

from tests.bench.study.cases import GROUPS, RATES, SIZES, cases


def test_there_are_hundreds_of_incidents_and_each_kind_at_all_rates() -> None:
    rates: dict[str, set[float]] = defaultdict(set)
    many = 0
    for group, _, sale in cases("all"):
        many += len(sale.specs) * len(sale.rates) * sale.many
        if group in ("drops", "others", "partial", "late"):
            for spec in sale.specs:
                rates[spec.kind].update(sale.rates)
    assert many >= 400
    assert {kind for kind, played in rates.items() if played != set(RATES)} == set()
    assert {
        *("drop_orders", "payment_failures", "outage", "tracking_loss", "producer_loses", "stock_out", "dispatch_stop")
    } <= rates.keys()


def test_drops_are_of_the_whole_and_of_parts_of_each_dimension() -> None:
    drops = {(spec.size, spec.labels) for sale in GROUPS["drops"] for spec in sale.specs}
    assert {size for size, _ in drops} == set(SIZES)
    assert {labels[0][0] if labels else "" for _, labels in drops} == {"", "channel", "region", "category"}


def test_every_two_kinds_of_incidents_come_in_both_orders_except_one_that_the_first_explains() -> None:
    pairs = {tuple((spec.kind, spec.labels) for spec in sale.specs) for sale in GROUPS["two"]}
    kinds = {kind for pair in pairs for kind in pair}
    assert len(pairs) == len(kinds) * (len(kinds) - 1) - 1
