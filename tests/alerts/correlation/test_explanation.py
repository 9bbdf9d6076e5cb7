"""Two faults are two pages, unless one explains the other."""

from __future__ import annotations

from dataclasses import replace

from alerts.correlation.extents import Stages, stages_of
from alerts.detection.detector import MeanValue
from alerts.findings import ExpectedRange
from tests.alerts.correlation.sized import RULES, Correlated, breach


def test_the_stages_of_a_rule_lie_between_what_it_counts_and_what_it_compares_with() -> None:
    stages = {name: stages_of(rule.rule) for name, rule in RULES.items()}
    assert stages["cart-drop"] == Stages(1, 1)
    assert stages["checkout-drop"] == Stages(2, 2)
    assert stages["order-drop"] == Stages(3, 3)
    assert stages["conversion-drop"] == Stages(1, 3)
    assert stages["payment-drop"] == stages["payment-failures"] == Stages(4, 4)
    assert stages["order-silence"] == Stages(0, 3)
    assert stages["refund-surge"] is stages["stock-out"] is None


def test_payments_of_a_region_do_not_hide_the_carts_of_a_channel() -> None:
    sale = Correlated()
    west = breach("payment-failures", "region west", fall=0.6)
    assert sale.at(30, west) == ['payment-failures{region="west"}']
    carts = breach("cart-drop", "channel mini", fall=1.0, at_s=300)
    after = [
        carts,
        breach("conversion-drop", "channel mini", fall=0.98, at_s=330),
        breach("conversion-drop", fall=0.26, at_s=330),
    ]
    sale.at(310, west, carts)
    sale.at(400, west, *after)
    assert sale.pages == ['payment-failures{region="west"}', 'cart-drop{channel="mini"}']


def test_orders_of_a_category_do_not_hide_the_checkouts_of_a_channel() -> None:
    sale = Correlated()
    beauty = breach("conversion-drop", "category beauty", fall=0.6)
    sale.at(30, beauty)
    sale.at(335, beauty, breach("checkout-drop", "channel mini", fall=0.6, at_s=300))
    assert sale.pages == ['conversion-drop{category="beauty"}', 'checkout-drop{channel="mini"}']


def test_a_sold_out_sku_does_not_hide_the_payments_of_a_region() -> None:
    sale = Correlated()
    phones = breach("conversion-drop", "category phones", fall=0.3)
    sale.at(60, phones)
    sale.at(330, phones, breach("payment-failures", "region south", fall=0.6, at_s=300))
    assert sale.pages == ['conversion-drop{category="phones"}', 'payment-failures{region="south"}']


def test_a_fault_of_a_part_shows_in_the_whole_and_across_dimensions_as_one_page() -> None:
    sale = Correlated()
    app = breach("order-drop", "channel app", fall=0.6)
    sale.at(10, app)
    spread = [breach("order-drop", "region east", fall=0.32, at_s=5), breach("order-drop", fall=0.31)]
    sale.at(20, app, *spread)
    sale.at(100, app, *spread, breach("conversion-drop", "category phones", fall=0.35, at_s=20))
    assert sale.pages == ['order-drop{channel="app"}'], "the part is named: outside of it nothing is lost"


def test_a_part_that_has_fallen_less_far_than_the_whole_does_not_explain_it() -> None:
    """In the first seconds of a fall it is chance which part has most of it."""
    whole = replace(breach("order-drop", fall=0.74), explained_by=("region", "south"))
    south = breach("order-drop", "region south", fall=0.1)
    assert Correlated().at(4, whole, south) == ["order-drop"]
    whole = replace(breach("order-drop", fall=0.2), explained_by=("region", "south"))
    south = breach("order-drop", "region south", fall=0.8)
    assert Correlated().at(4, whole, south) == ['order-drop{region="south"}']


def test_across_dimensions_only_an_evenly_spread_loss_is_explained() -> None:
    sale = Correlated()
    web = breach("order-drop", "channel web", fall=0.4)
    sale.at(30, web)
    sale.at(130, web, breach("order-drop", "region east", fall=0.5, at_s=100))
    assert len(sale.pages) == 2, "6 % of the shop do not make half of a region"


def test_a_whole_explains_its_parts_but_not_a_far_larger_fall_of_one() -> None:
    sale = Correlated()
    whole = breach("order-drop", fall=0.2)
    sale.at(30, whole, breach("order-drop", "channel app", fall=0.22), breach("order-drop", "region west", fall=0.26))
    assert sale.pages == ["order-drop"]
    sale.at(335, breach("order-drop", fall=0.29), breach("order-drop", "channel web", fall=0.8, at_s=300))
    assert sale.pages == ["order-drop", 'order-drop{channel="web"}']


def test_a_young_breach_that_an_open_incident_may_explain_waits_until_its_size_is_sure() -> None:
    sale = Correlated()
    beauty = breach("conversion-drop", "category beauty", fall=0.6)
    sale.at(30, beauty)
    checkouts = breach("checkout-drop", "channel mini", fall=0.6, at_s=300)
    assert len(sale.at(329, beauty, checkouts)) == 1
    assert len(sale.at(330, beauty, checkouts)) == 2
    alone = Correlated()
    assert alone.at(302, checkouts) == ['checkout-drop{channel="mini"}'], "without another incident it does not wait"


def test_a_whole_that_loses_far_more_than_a_reported_part_takes_over_its_page() -> None:
    sale = Correlated()
    sale.at(20, breach("order-drop", "channel app", fall=0.4))
    standing = sale.at(30, breach("order-drop", "channel app", fall=0.4), breach("order-drop", fall=0.4))
    assert standing == ["order-drop"]
    assert sale.pages == ['order-drop{channel="app"}']
    assert str(sale.findings["order-drop"].continues) == 'order-drop{channel="app"}'


def test_parts_that_fall_alike_at_once_are_one_page_which_the_whole_continues() -> None:
    sale = Correlated()
    parts = [
        breach("order-drop", "channel mini", fall=0.3),
        breach("order-drop", "region south", fall=0.25, at_s=10),
        breach("conversion-drop", "category beauty", fall=0.35, at_s=20),
    ]
    for number in (1, 2, 3):
        sale.at(30 + number, *parts[:number])
    assert sale.at(40, *parts, breach("order-drop", fall=0.28)) == ["order-drop"]
    assert sale.pages == ['order-drop{channel="mini"}']


def test_parts_that_fall_at_different_times_or_by_different_sizes_are_two_pages() -> None:
    for fall, at_s in ((0.3, 200), (0.9, 10)):
        sale = Correlated()
        mini = breach("order-drop", "channel mini", fall=0.3)
        sale.at(20, mini)
        sale.at(230, mini, breach("order-drop", "channel web", fall=fall, at_s=at_s))
        assert len(sale.pages) == 2, (fall, at_s)


def test_the_same_value_at_an_earlier_stage_explains_a_later_one() -> None:
    sale = Correlated()
    orders = breach("order-drop", "channel app", fall=0.5)
    sale.at(10, orders)
    sale.at(90, orders, breach("conversion-drop", "channel app", fall=0.5, at_s=30))
    assert sale.pages == ['order-drop{channel="app"}']


def test_a_second_fault_of_the_same_value_pages_if_it_begins_later() -> None:
    sale = Correlated()
    orders = breach("order-drop", fall=0.2)
    sale.at(30, orders)
    sale.at(330, orders, breach("payment-failures", fall=0.9, at_s=300))
    assert sale.pages == ["order-drop", "payment-failures"]


def test_a_far_larger_cause_takes_over_the_page() -> None:
    sale = Correlated()
    orders = breach("order-drop", fall=0.2)
    sale.at(30, orders)
    assert sale.at(60, orders, breach("checkout-drop", fall=0.9, at_s=20)) == ["checkout-drop"]
    assert sale.pages == ["order-drop"]


def test_an_outage_is_one_page() -> None:
    sale = Correlated()
    silence = breach("order-silence", fall=1.0)
    drops = [breach(rule, fall=0.9, at_s=5) for rule in ("cart-drop", "checkout-drop", "order-drop", "payment-drop")]
    sale.at(10, silence)
    sale.at(20, silence, *drops, breach("order-drop", "channel app", fall=1.0))
    assert sale.at(60, silence, *drops, breach("conversion-drop", fall=1.0)) == ["order-silence"]
    assert sale.pages == ["order-silence"]


def test_a_stop_of_clicks_and_orders_is_one_page() -> None:
    sale = Correlated()
    clicks, orders = breach("click-silence", fall=1.0), breach("order-silence", fall=1.0, at_s=2)
    sale.at(8, clicks)
    assert sale.at(12, clicks, orders) == ["order-silence"]
    assert sale.pages == ["click-silence"], "which the stop of orders continues"
    sale = Correlated()
    sale.at(8, clicks)
    sale.at(1212, clicks, breach("order-silence", fall=1.0, at_s=1200))
    assert len(sale.pages) == 2, "orders that stop much later are another incident"


def test_what_clears_later_does_not_page_after_the_end() -> None:
    sale = Correlated()
    orders = breach("order-drop", fall=0.5)
    sale.at(10, orders)
    conversion = breach("conversion-drop", fall=0.5, at_s=30)
    sale.at(100, orders, conversion)
    for second in (310, 400, 600):
        assert sale.at(second, conversion) == []
    assert sale.pages == ["order-drop"]


def test_while_an_incident_ends_what_it_explains_does_not_page() -> None:
    """Both recover, and the fall since the start is known better for the effect."""
    sale = Correlated()
    west = replace(breach("payment-failures", "region west", fall=0.6), mean=MeanValue(0.63, 0.02))
    app = breach("payment-failures", "channel app", fall=0.1)
    sale.at(60, west, app)
    recovering = replace(app, mean=MeanValue(0.19, 0.005))
    assert sale.at(700, replace(west, value=0.2), recovering) == ['payment-failures{region="west"}']


def test_what_begins_after_the_end_is_another_incident() -> None:
    sale = Correlated()
    sale.at(10, breach("order-drop", fall=0.5))
    sale.at(300)
    sale.at(520, breach("order-drop", "channel app", fall=0.5, at_s=500))
    assert sale.pages == ["order-drop", 'order-drop{channel="app"}']


def test_two_roots_together_explain_the_whole() -> None:
    sale = Correlated()
    mini, south = (
        breach("order-drop", "channel mini", fall=0.6),
        breach("order-drop", "region south", fall=0.9, at_s=300),
    )
    sale.at(20, mini)
    sale.at(320, mini, south)
    sale.at(340, mini, south, breach("conversion-drop", fall=0.36, at_s=200))
    assert sale.pages == ['order-drop{channel="mini"}', 'order-drop{region="south"}']


def test_what_was_found_before_another_began_is_not_its_effect() -> None:
    sale = Correlated()
    beauty = replace(breach("order-drop", "category beauty", fall=0.5), interval=ExpectedRange(0.35, 0.65))
    sale.at(34, beauty)
    sale.at(130, beauty, breach("order-drop", "channel web", fall=0.6, at_s=96))
    assert sale.pages == ['order-drop{category="beauty"}', 'order-drop{channel="web"}']


def test_what_a_reported_part_explains_takes_over_no_other_part() -> None:
    sale = Correlated()
    carts = breach("cart-drop", "channel mini", fall=1.0)
    after = [
        breach("conversion-drop", "channel mini", fall=0.97, at_s=38),
        replace(breach("conversion-drop", fall=0.23, at_s=30), explained_by=("channel", "mini")),
    ]
    sale.at(90, carts)
    sale.at(200, carts, *after)
    web = breach("order-drop", "channel web", fall=0.56, at_s=306)
    sale.at(338, carts, *after, web)
    sale.at(340, carts, *after, web)
    assert sale.pages == ['cart-drop{channel="mini"}', 'order-drop{channel="web"}']


def test_what_outlasts_the_whole_does_not_take_over_the_part_that_was_found_first() -> None:
    sale = Correlated()
    app, whole = breach("checkout-drop", "channel app", fall=0.3), breach("checkout-drop", fall=0.3)
    orders = breach("conversion-drop", fall=0.3, at_s=6)
    sale.at(38, app)
    sale.at(40, app, whole)
    for second in range(50, 600, 10):
        sale.at(second, app, whole, orders)
    assert sale.at(600, orders) == []
    assert sale.pages == ['checkout-drop{channel="app"}'], "the whole continues its page"
