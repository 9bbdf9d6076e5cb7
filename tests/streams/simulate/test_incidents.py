"""Incidents: their grammar and their effects on events."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from consumers.topics import Topic
from streams.simulate import KINDS, SimulationError
from streams.simulate.incidents import parse
from tests.streams.simulate.played import START_MS, play, played, small


class TestGrammar:
    def test_a_spec_with_all_parts_is_parsed(self) -> None:
        incident = parse("conversion_drop@+12.5s/20%:size=0.4,channel=app,stage=cart", 3, small())
        assert (incident.index, incident.kind, incident.size) == (3, "conversion_drop", 0.4)
        assert (incident.start_ms, incident.end_ms) == (START_MS + 12_500, START_MS + 24_500)
        assert incident.labels == (("channel", "app"),)
        assert incident.option("stage") == "cart"

    @pytest.mark.parametrize(
        ("time", "ms"), [("+500ms", 500), ("+3s", 3000), ("+0.5m", 30_000), ("+50%", 30_000), (str(START_MS + 7), 7)]
    )
    def test_durations_are_parsed(self, time: str, ms: int) -> None:
        assert parse(f"order_stop@{time}/1s", 0, small()).start_ms == START_MS + ms

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_has_defaults(self, kind: str) -> None:
        incident = parse(f"{kind}@+10s/10s", 0, small())
        assert incident.size == (KINDS[kind].size or 1.0)

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("conversion_drop", r"expected KIND@\+START/DURATION"),
            ("earthquake@+1s/1s", "unknown kind 'earthquake'; use one of conversion_drop, "),
            ("order_stop@5s/1s", r"write \+5s for a time after the start"),
            ("order_stop@+5/1s", "'5' is not a duration; write one such as 500ms"),
            ("order_stop@+61s/1s", r"must start within the run \(60 s\)"),
            ("order_stop@+1s/0s", "last > 0"),
            ("order_stop@+1s/1s:size=0.5", "order_stop takes no 'size'; it takes channel, "),
            ("conversion_drop@+1s/1s:size=1.5", "must be a number > 0 and <= 1"),
            ("conversion_drop@+1s/1s:size=much", "must be a number"),
            ("conversion_drop@+1s/1s:channel=fax", "no channel 'fax'; there are app, web, mini, live"),
            ("conversion_drop@+1s/1s:channel", "'channel' needs a value"),
            ("conversion_drop@+1s/1s:size=0.1,size=0.2", "'size' is given twice"),
            ("conversion_drop@+1s/1s:stage=end", "stage=end is none of order, cart, checkout"),
            ("stockout@+1s/1s:sku=s-99999", "no sku 's-99999'; there are s-00001 to s-01000"),
            ("stockout@+1s/1s:top=0", "whole number > 0"),
            ("click_stop@+1s/1s:type=order_paid", "type=order_paid is none of page_view, "),
            ("producer_silent@+1s/1s:topic=orders,source=wms-0", "no source 'wms-0' writes orders; there are oms-0, "),
        ],
    )
    def test_an_invalid_spec_is_rejected_with_the_fix(self, spec: str, message: str) -> None:
        with pytest.raises(SimulationError, match=message):
            parse(spec, 0, small())

    def test_an_invalid_spec_fails_before_the_run(self) -> None:
        with pytest.raises(SimulationError):
            play(small(incidents=("nonsense",)))


WINDOW = {"since": 20_100, "until": 39_900}
"""The incidents below last from 20 to 40 s; clock skew blurs their edges."""
BEFORE = {"until": 19_900}


class TestConversionDrop:
    def test_orders_drop_by_the_size_in_its_dimension_only(self) -> None:
        sizes = {"app": 0.3, "web": 0.7}
        incidents = tuple(f"conversion_drop@+20s/20s:size={size},channel={name}" for name, size in sizes.items())
        calm, run = (play(small(rate=4000.0, incidents=specs)) for specs in ((), incidents))
        for channel, size in sizes.items():
            left, usual = (one.count("order_created", **WINDOW, channel=channel) for one in (run, calm))
            assert left / usual == pytest.approx(1 - size, abs=0.08)
        for channel in ("mini", "live"):
            assert run.count("order_created", channel=channel) == pytest.approx(
                calm.count("order_created", channel=channel), rel=0.03
            )

    def test_clicks_equal_those_of_the_run_without_incident(self) -> None:
        assert played("conversion_drop@+20s/20s").values(Topic.CLICKS) == played().values(Topic.CLICKS)

    def test_by_category_it_removes_lines(self) -> None:
        run = played("conversion_drop@+20s/20s:size=1,category=phones")
        ordered = Counter(item["category"] for order in run.of("order_created", **WINDOW) for item in order["items"])
        assert ordered["phones"] == 0 < ordered["toys"]

    def test_at_stage_cart_it_reduces_carts(self) -> None:
        run = played("conversion_drop@+20s/20s:size=1,stage=cart,variant=treatment")
        assert run.count("add_to_cart", **WINDOW, variant="treatment") == 0
        assert run.count("add_to_cart", **WINDOW, variant="control") > 100


class TestStops:
    def test_an_order_stop_yields_no_order_event(self) -> None:
        run = played("order_stop@+20s/20s")
        kinds = ("order_created", "order_paid", "payment_failed", "order_cancelled", "order_refunded")
        assert run.count(*kinds, **WINDOW) == 0
        assert run.count("order_paid", **BEFORE) > 50
        assert run.count("order_paid", since=40_000) > 50
        assert run.count("checkout_start", **WINDOW) > 50

    def test_a_click_stop_leaves_the_orders(self) -> None:
        run = played("click_stop@+20s/20s:region=east")
        assert run.count("page_view", "checkout_start", "ad_click", **WINDOW, region="east") == 0
        assert run.count("page_view", **WINDOW, region="south") > 100
        assert run.count("order_created", **WINDOW, region="east") > 20

    def test_a_click_stop_of_one_type(self) -> None:
        run = played("click_stop@+20s/20s:type=add_to_cart")
        assert run.count("add_to_cart", **WINDOW) == 0
        assert run.count("product_view", **WINDOW) > 100

    def test_a_silent_producer_sends_nothing(self) -> None:
        run = played("producer_silent@+20s/20s:topic=clicks,source=collector-1")
        assert run.count("page_view", **WINDOW, source="collector-1") == 0
        assert run.count("page_view", **WINDOW, source="collector-2") > 100

    def test_with_mode_delay_it_sends_at_the_end(self) -> None:
        run = played("producer_silent@+20s/20s:topic=orders,mode=delay")
        assert run.count("order_paid", **WINDOW) > 50
        arrived = [
            b.arrival_ms - START_MS for b in run.batches for m in b.messages if m[0] == Topic.ORDERS and is_in(m[2])
        ]
        assert min(arrived) >= 40_000


class TestOthers:
    def test_payment_failures_raise_the_failure_rate(self) -> None:
        run = played("payment_failures@+20s/20s:size=0.8,channel=app")
        failed, paid = (run.count(kind, **WINDOW, channel="app") for kind in ("payment_failed", "order_paid"))
        assert failed / (failed + paid) > 0.6
        assert {event["reason"] for event in run.of("payment_failed", **WINDOW)} >= {"gateway_error"}

    def test_a_stockout_writes_stock_off_and_receives_it_at_the_end(self) -> None:
        run = played("stockout@+20s/20s:top=2")
        """Orders continue for a tenth of the time, so the product is oversold."""
        off, on = (run.of(kind, sku="s-00001") for kind in ("stock_adjusted", "stock_received"))
        off = [event for event in off if event["delta"] < -5]
        assert off[0]["ts"] - START_MS == pytest.approx(20_000, abs=50)
        assert -off[0]["delta"] in {event["qty"] for event in on if event["ts"] >= START_MS + 39_900}
        late = [item for order in run.of("order_created", since=22_100, until=39_900) for item in order["items"]]
        assert not [item for item in late if item["sku"] == "s-00001"]

    @pytest.mark.parametrize("spec", ["stockout@+2s/10s", "stockout@+30s/20s"])
    def test_a_stockout_leaves_no_stock_even_at_a_busy_start(self, spec: str) -> None:
        """Orders before the start are not part of the opening levels."""
        run = play(small(rate=3000.0, incidents=(spec,)))
        (off,) = (event for event in run.of("stock_adjusted", sku="s-00001") if event["delta"] < -50)
        until = off["ts"] + 1 - START_MS
        levels = run.of("stock_level", sku="s-00001", until=until)
        assert {event["ts"] for event in levels} == {START_MS}, "no recount in between"
        moved = [
            *(event["on_hand"] for event in levels),
            *(event["delta"] for event in run.of("stock_adjusted", sku="s-00001", until=until)),
            *(event["qty"] for event in run.of("stock_received", sku="s-00001", until=until)),
        ]
        sold = {
            order["order_id"]: sum(item["qty"] for item in order["items"] if item["sku"] == "s-00001")
            for order in run.of("order_created", until=until)
        }
        back = [sold.get(event["order_id"], 0) for event in run.of("order_cancelled", until=until)]
        assert -100 < sum(moved) - sum(sold.values()) + sum(back) <= 0

    def test_a_refund_surge_raises_refunds(self) -> None:
        assert played("refund_surge@+20s/20s:size=0.5").count("order_refunded") > 4 * played().count("order_refunded")

    def test_a_ship_delay_postpones_dispatches(self) -> None:
        run = played("ship_delay@+30s/20s")
        assert run.count("shipment_dispatched", since=30_100, until=49_900) == 0
        assert run.count("shipment_delayed", since=30_100, until=49_900) > 20
        assert run.count("shipment_dispatched", since=50_000, until=53_000) > 20

    def test_a_price_error_changes_prices(self) -> None:
        run, calm = played("price_error@+20s/20s:size=0.1,category=phones"), played()
        wrong, right = (
            [
                i["unit_price"]
                for o in one.of("order_created", **WINDOW)
                for i in o["items"]
                if i["category"] == "phones"
            ]
            for one in (run, calm)
        )
        assert median(wrong) == pytest.approx(median(right) / 10, rel=0.05)

    def test_a_traffic_surge_leaves_conversion_unchanged(self) -> None:
        calm, run = (
            play(small(rate=3000.0, promotion=None, incidents=specs))
            for specs in ((), ("traffic_surge@+20s/20s:size=3",))
        )
        begun = [one.count("ad_click", "live_enter", **WINDOW) for one in (run, calm)]
        assert begun[0] == pytest.approx(3 * begun[1], rel=0.12)
        rates = [one.count("checkout_start") / one.count("product_view") for one in (run, calm)]
        assert rates[0] == pytest.approx(rates[1], rel=0.15)

    def test_a_traffic_drop_reduces_sessions(self) -> None:
        run, calm = played("traffic_drop@+20s/20s:size=0.6"), played()
        begun = [one.count("ad_click", "live_enter", **WINDOW) for one in (run, calm)]
        assert begun[0] == pytest.approx(0.4 * begun[1], rel=0.35)


def is_in(ts: int) -> bool:
    return START_MS + 20_100 <= ts < START_MS + 39_900
