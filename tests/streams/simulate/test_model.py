"""The simulated sale: traffic, funnel, orders, stock and disorder."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from streams.simulate import Disorder, Funnel, StockPlan
from tests.streams.simulate.played import START_MS, amount, play, played, small


class TestTraffic:
    def test_the_opening_is_a_surge(self) -> None:
        """The phase `opening` starts at 20 % of the run: 12 s of a minute."""
        before = played().count("page_view", since=9_000, until=12_000)
        after = played().count("page_view", since=12_500, until=15_500)
        assert after > 3 * before

    def test_the_night_is_quiet(self) -> None:
        """A compressed day starts at 15:12, so 04:00 is at 53 %."""
        night = played().count("page_view", since=30_000, until=34_000)
        evening = played().count("page_view", since=16_000, until=20_000)
        assert 0 < night < evening / 3

    def test_the_first_second_is_like_the_others(self) -> None:
        carts = [played().count("add_to_cart", since=at, until=at + 2000) for at in (0, 2000, 4000)]
        assert min(carts) > max(carts) / 2.5

    def test_traffic_is_more_dispersed_than_poisson(self) -> None:
        flat = small(promotion=None, dispersion=2.0, rate=500)
        counts = Counter(event["ts"] // 600 for event in play(flat).of("page_view", until=12_000))
        mean = sum(counts.values()) / len(counts)
        assert sum((count - mean) ** 2 for count in counts.values()) / len(counts) > 1.5 * mean


class TestFunnel:
    @pytest.mark.parametrize(
        ("step", "of", "low", "high"),
        [
            (("add_to_cart",), ("product_view",), 0.09, 0.115),
            (("favorite",), ("product_view",), 0.035, 0.046),
            (("order_created",), ("checkout_start",), 0.70, 0.83),
            (("order_paid",), ("order_created",), 0.88, 0.98),
            (("payment_failed",), ("order_paid", "payment_failed"), 0.03, 0.11),
            (("ad_click",), ("ad_impression",), 0.04, 0.06),
        ],
    )
    def test_funnel_proportions_are_as_configured(
        self, step: tuple[str, ...], of: tuple[str, ...], low: float, high: float
    ) -> None:
        assert low <= played().count(*step) / played().count(*of) <= high

    def test_events_of_an_order_are_in_order_of_creation_payment_refund(self) -> None:
        for events in by_order(played().events).values():
            at = {event["type"]: event["ts"] for event in events}
            skew = 2 * played().config.disorder.skew_ms
            for earlier, later in [("order_created", "order_paid"), ("order_paid", "order_refunded")]:
                if earlier in at and later in at:
                    assert at[earlier] <= at[later] + skew

    def test_a_cancelled_paid_order_has_cancellation_and_refund(self) -> None:
        run = play(small(funnel=Funnel(call_off=0.5), rate=300, compress=True))
        orders = by_order(run.events)
        called_off = [events for events in orders.values() if any(e.get("reason") == "changed_mind" for e in events)]
        both = [events for events in called_off if {"order_cancelled", "order_refunded"} <= {e["type"] for e in events}]
        assert len(both) > 0.6 * len(called_off) > 5
        for events in both:
            refund = next(event for event in events if event["type"] == "order_refunded")
            assert refund["refund_amount"] == amount(refund)

    def test_all_events_of_an_order_hold_the_same_items(self) -> None:
        for events in by_order(played().of("order_created", "order_paid", "order_cancelled")).values():
            whole = [event for event in events if event.get("reason") != "out_of_stock"]
            assert all(event["items"] == whole[0]["items"] for event in whole)

    def test_orders_with_a_cancelled_line_are_shipped(self) -> None:
        run = play(small(funnel=Funnel(line_cancelled=0.9)))
        paid = {event["order_id"]: event for event in run.of("order_paid")}
        shipped = {event["order_id"] for event in run.of("shipment_dispatched")}
        cancelled = {event["order_id"]: event for event in run.of("order_cancelled", reason="out_of_stock")}
        refunds = [event for event in run.of("order_refunded", reason="out_of_stock") if event["order_id"] in cancelled]
        assert len(refunds) > 20
        assert len(shipped & cancelled.keys()) > 20
        for refund in refunds:
            order = paid[refund["order_id"]]
            assert cancelled[refund["order_id"]]["items"] == refund["items"] == order["items"][-1:]
            assert refund["refund_amount"] < amount(order)

    def test_a_user_has_one_region_variant_and_membership(self) -> None:
        seen: dict[str, tuple[object, ...]] = {}
        for event in played().of("page_view", "order_paid"):
            traits = (event["region"], event["variant"], event["member"])
            assert seen.setdefault(event["user_id"], traits) == traits

    def test_a_user_orders_for_the_first_time_once(self) -> None:
        firsts = {event["order_id"]: event["user_id"] for event in played().of("order_created", first_order=True)}
        assert max(Counter(firsts.values()).values()) == 1

    def test_events_carry_live_room_and_campaign_of_their_session(self) -> None:
        orders = played().of("order_paid")
        assert all(("live_room" in order) == (order["channel"] == "live") for order in orders)
        assert any("campaign" in order for order in orders)

    def test_popular_products_sell_most(self) -> None:
        views = Counter(event["sku"] for event in played().of("product_view"))
        assert views["s-00001"] > 10 * views["s-00100"]


class TestStock:
    def test_every_product_is_counted_at_the_start(self) -> None:
        levels = played().of("stock_level", until=1)
        assert {event["sku"] for event in levels} == {f"s-{i:05d}" for i in range(1, 1001)}

    def test_best_sellers_run_out_and_are_slightly_oversold(self) -> None:
        run = play(small(stock=StockPlan(short=3, receipts=0, adjustments=0, recounts=0), rate=2000))
        left = available(run.events)
        sold_out = [sku for sku in ("s-00006", "s-00007", "s-00008") if left[sku] <= 0]
        assert len(sold_out) >= 2
        for sku in sold_out:
            level = sum(event["on_hand"] for event in run.of("stock_level", sku=sku))
            assert left[sku] >= -max(8, 0.2 * level)

    def test_only_paid_orders_that_are_not_cancelled_are_dispatched(self) -> None:
        paid = {event["order_id"] for event in played().of("order_paid", until=20_000)}
        cancelled = played().of("order_cancelled")
        refunded = {event["order_id"] for event in cancelled if event["reason"] != "out_of_stock"}
        dispatched = {event["order_id"] for event in played().of("shipment_dispatched")}
        assert len(dispatched & paid) > 10
        assert not dispatched & refunded


class TestDisorder:
    def test_the_configured_share_is_duplicated(self) -> None:
        run = play(small(disorder=Disorder(repeat_share=0.05), rate=500))
        clicks = [event for event in run.sent if event["type"] == "page_view"]
        repeated = len(clicks) - len({event["event_id"] for event in clicks})
        assert repeated / len(clicks) == pytest.approx(0.05, rel=0.3)
        assert len({value for *_, value in run.messages}) == len(run.events) + 1

    def test_the_configured_share_is_late(self) -> None:
        late, run = 0, played()
        for batch in run.batches:
            late += sum(ts < batch.arrival_ms - 3500 for topic, _, ts, _ in batch.messages if topic == "clicks")
        assert late / run.truth.messages["clicks"] == pytest.approx(0.01, rel=0.5)
        assert 0 < run.truth.late < 0.03 * run.truth.total

    def test_without_disorder_events_are_in_order(self) -> None:
        calm = Disorder(repeat_share=0, late_share=0, latency_s=0, skew_ms=0)
        times = [
            event["ts"] for event in play(small(disorder=calm, duration_s=10)).sent if event["type"] != "stock_level"
        ]
        assert times == sorted(times)


def by_order(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if "items" in event:
            orders[event["order_id"]].append(event)
    return orders


def available(events: list[dict[str, Any]]) -> Counter[str]:
    """stock_available by the contract, from opening levels and orders."""
    left: Counter[str] = Counter()
    sign = {"order_created": -1, "order_cancelled": 1}
    for event in events:
        if event["type"] == "stock_level":
            left[event["sku"]] += event["on_hand"]
        elif event["type"] in sign and event["ts"] > START_MS:
            for item in event["items"]:
                left[item["sku"]] += sign[event["type"]] * item["qty"]
    return left
