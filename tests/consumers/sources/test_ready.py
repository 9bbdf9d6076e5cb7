"""Ready files on messages of the real shape, with values of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.sources.ready import ready_files
from consumers.sources.samples import SampleResult, fit, try_sample
from consumers.sources.source import CompiledSource

REPOSITORY = Path(__file__).parents[3]
READY = {ready.name: ready for ready in ready_files()}
AT = "2026-11-11T00:00:00Z"
AT_MS = 1_794_355_200_000

SHOPIFY_ORDER: dict[str, Any] = {
    "id": 5_400_001, "admin_graphql_api_id": "gid://shopify/Order/5400001", "name": "#1001", "order_number": 1001,
    "cancelled_at": None, "cancel_reason": None, "confirmed": True, "contact_email": "a@example.org",
    "created_at": "2026-11-10T19:00:00-05:00", "processed_at": "2026-11-10T19:00:00-05:00",
    "updated_at": "2026-11-10T19:00:05-05:00", "currency": "EUR", "presentment_currency": "EUR",
    "customer": {"id": 77, "email": "a@example.org", "tags": ""}, "customer_locale": "de",
    "discount_codes": [{"code": "D11", "amount": "5.00", "type": "fixed_amount"}], "email": "a@example.org",
    "financial_status": "paid", "fulfillment_status": None, "gateway": "visa", "note_attributes": [],
    "shipping_address": {"city": "Berlin", "country_code": "DE", "province_code": "BE"}, "source_name": "web",
    "subtotal_price": "35.00", "taxes_included": True, "total_discounts": "5.00",
    "total_shipping_price_set": {"shop_money": {"amount": "4.90", "currency_code": "EUR"},
                                 "presentment_money": {"amount": "4.90", "currency_code": "EUR"}},
    "total_price": "39.90", "total_tax": "6.37",
    "line_items": [
        {"id": 1, "variant_id": 901, "product_id": 801, "sku": "tea-green", "title": "Tea", "quantity": 2,
         "current_quantity": 2, "price": "10.00", "total_discount": "0.00", "vendor": "leaf", "gift_card": False},
        {"id": 2, "variant_id": 902, "product_id": 802, "sku": "", "title": "Cup", "quantity": 1,
         "current_quantity": 1, "price": "20.00", "total_discount": "5.00", "vendor": "clay", "gift_card": False},
    ],
}  # fmt: skip
SHOPIFY_REFUND: dict[str, Any] = {
    "id": 31, "order_id": 5_400_001, "created_at": "2026-11-11T00:00:00+00:00", "note": "broken", "user_id": 5,
    "processed_at": "2026-11-11T00:00:00+00:00", "restock": True, "order_adjustments": [], "duties": [],
    "refund_line_items": [
        {"id": 41, "line_item_id": 1, "location_id": 61, "quantity": 1, "restock_type": "return", "subtotal": 10.0,
         "line_item": {"id": 1, "variant_id": 901, "sku": "tea-green", "price": "10.00", "quantity": 2}}
    ],
    "transactions": [
        {"id": 51, "order_id": 5_400_001, "kind": "refund", "status": "success", "amount": "10.00", "currency": "EUR"},
        {"id": 52, "order_id": 5_400_001, "kind": "refund", "status": "failure", "amount": "10.00", "currency": "EUR"},
    ],
}  # fmt: skip
SHOPIFY_FULFILLMENT: dict[str, Any] = {
    "id": 71, "order_id": 5_400_001, "status": "success", "created_at": AT, "updated_at": AT, "service": "manual",
    "tracking_company": "DHL", "shipment_status": None, "location_id": 61, "tracking_number": "x",
    "destination": {"province": "Berlin", "country": "Germany"}, "line_items": [], "name": "#1001.1",
}  # fmt: skip
WOO_ORDER: dict[str, Any] = {
    "id": 727, "parent_id": 0, "number": "727", "order_key": "wc_order_x", "created_via": "checkout",
    "version": "9.3.3", "status": "processing", "currency": "EUR", "date_created": "2026-11-11T01:00:00",
    "date_created_gmt": "2026-11-10T23:55:00", "date_modified_gmt": "2026-11-11T00:00:02", "discount_total": "1.00",
    "date_paid_gmt": "2026-11-11T00:00:00", "shipping_total": "10.00", "total": "42.00", "total_tax": "0.00",
    "customer_id": 0, "billing": {"email": "b@example.org", "country": "US", "state": "CA"},
    "shipping": {"country": "US", "state": "CA"}, "payment_method": "stripe", "meta_data": [], "refunds": [],
    "line_items": [
        {"id": 315, "name": "Tea", "product_id": 93, "variation_id": 0, "quantity": 3, "subtotal": "11.00",
         "total": "10.00", "price": 3.3333333333333335, "sku": "tea"},
        {"id": 316, "name": "Cup", "product_id": 22, "variation_id": 23, "quantity": 1, "subtotal": "22.00",
         "total": "22.00", "price": 22, "sku": ""},
    ],
}  # fmt: skip
GA4_ROW: dict[str, Any] = {
    "event_date": "20261111", "event_timestamp": "1794355200000123", "event_name": "purchase", "user_id": None,
    "event_params": [
        {"key": "ga_session_id", "value": {"string_value": None, "int_value": "1794350000"}},
        {"key": "currency", "value": {"string_value": "EUR", "int_value": None}},
        {"key": "search_term", "value": {"string_value": "green tea"}},
    ],
    "event_bundle_sequence_id": "12", "user_pseudo_id": "11.22", "platform": "WEB", "stream_id": "1",
    "device": {"category": "mobile"}, "geo": {"country": "Germany", "region": "Berlin"},
    "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "(direct)"},
    "collected_traffic_source": {"manual_campaign_name": "d11", "manual_medium": "cpc"},
    "ecommerce": {"transaction_id": "T-1", "purchase_revenue": 25.0, "shipping_value": 4.9, "refund_value": None},
    "items": [{"item_id": "tea", "item_name": "Tea", "item_category": "drinks", "price": 12.5, "quantity": "2"}],
}  # fmt: skip
SEGMENT_TRACK: dict[str, Any] = {
    "anonymousId": "an-1", "userId": "u-1", "messageId": "m-1", "type": "track", "event": "Order Completed",
    "timestamp": "2026-11-11T00:00:00.000Z", "originalTimestamp": "2026-11-10T23:59:59.000Z", "channel": "client",
    "context": {"campaign": {"name": "d11", "medium": "email"}, "library": {"name": "analytics.js"},
                "device": {"type": "ios"}, "location": {"country": "DE"}},
    "properties": {"order_id": "o-1", "total": 27.5, "shipping": 3, "tax": 2, "discount": 2.5, "currency": "EUR",
                   "products": [{"product_id": "p-1", "sku": "tea", "category": "drinks", "price": 13.5, "quantity": 2}
                   ]},
}  # fmt: skip
ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
ENTITY = "contexts_com_snowplowanalytics_snowplow_ecommerce_"
SNOWPLOW: dict[str, Any] = {
    "app_id": "shop", "platform": "web", "event": "unstruct", "event_id": "e-1", "collector_tstamp": AT,
    "derived_tstamp": "2026-11-11 00:00:00.000", "user_id": None, "domain_userid": "d-1", "domain_sessionid": "s-1",
    "mkt_medium": "cpc", "mkt_campaign": "d11", "geo_country": "DE", "geo_region_name": "Berlin", "dvce_type": "Mobile",
    ACTION: {"type": "transaction"},
    f"{ENTITY}transaction_1": [{"transaction_id": "t-1", "revenue": 27.5, "currency": "EUR", "shipping": 3,
                                "discount_amount": 2.5, "payment_method": "card", "total_quantity": 2}],
    f"{ENTITY}product_1": [{"id": "tea", "name": "Tea", "category": "drinks", "price": 13.5, "quantity": 2,
                            "currency": "EUR"}],
}  # fmt: skip
OUTBOX_PAYLOAD = {
    "ts": AT_MS, "order_id": "o-1", "user_id": "u-1", "discount": 250, "member": True,
    "items": [{"sku": "tea", "qty": 2, "unit_price": 1350}],
}  # fmt: skip
OUTBOX_ROW: dict[str, Any] = {
    "before": None, "op": "c", "ts_ms": AT_MS + 1, "source": {"db": "shop", "table": "outboxevent", "lsn": 5},
    "after": {"id": "0191-a", "aggregatetype": "order", "aggregateid": "o-1", "type": "OrderPaid",
              "payload": json.dumps(OUTBOX_PAYLOAD)},
}  # fmt: skip


def source(name: str, number: int = 0) -> CompiledSource:
    return READY[name].compiled(2)[number]


def result(of: CompiledSource, message: Mapping[str, Any], **headers: str) -> SampleResult:
    named = [(name.replace("_", "-"), text.encode()) for name, text in headers.items()]
    return try_sample(of, json.dumps(message).encode(), named)


def events(of: CompiledSource, message: Mapping[str, Any], **headers: str) -> Sequence[Mapping[str, Any]]:
    found = result(of, message, **headers)
    assert not found.reason, found.detail
    return found.events


def amount(order: Mapping[str, Any]) -> int:
    """Written from the contract."""
    lines = sum(item["qty"] * item["unit_price"] for item in order["items"])
    return int(lines - order.get("discount", 0) + order.get("shipping_fee", 0))


class TestShopify:
    def test_a_paid_order_has_the_amount_of_the_original(self) -> None:
        (event,) = events(source("shopify"), SHOPIFY_ORDER, X_Shopify_Topic="orders/paid")
        assert amount(event) == 3990
        assert event == {
            "event_id": "5400001/orders/paid", "type": "order_paid", "ts": AT_MS + 5_000, "source": "shopify",
            "order_id": "5400001", "user_id": "77", "channel": "web", "region": "BE", "currency": "EUR",
            "discount": 500, "shipping_fee": 490,
            "items": [
                {"sku": "tea-green", "category": "leaf", "qty": 2, "unit_price": 1000},
                {"sku": "902", "category": "clay", "qty": 1, "unit_price": 2000},
            ],
        }  # fmt: skip

    def test_each_webhook_is_one_step_of_the_order(self) -> None:
        cancelled = {**SHOPIFY_ORDER, "cancelled_at": AT, "cancel_reason": "customer"}
        made = [
            events(source("shopify"), message, X_Shopify_Topic=topic)
            for message, topic in (
                (SHOPIFY_ORDER, "orders/create"), (cancelled, "orders/cancelled"), (SHOPIFY_ORDER, "orders/updated")
            )
        ]  # fmt: skip
        assert [[event["type"] for event in found] for found in made] == [["order_created"], ["order_cancelled"], []]
        assert (made[1][0]["ts"], made[1][0]["reason"]) == (AT_MS, "customer")

    def test_a_refund_gives_money_and_units_back(self) -> None:
        refund, returned = events(source("shopify", 1), SHOPIFY_REFUND)
        assert (refund["type"], refund["refund_amount"], refund["order_id"]) == ("order_refunded", 1000, "5400001")
        assert returned == {
            "event_id": "return/41", "type": "return_received", "ts": AT_MS, "source": "shopify",
            "order_id": "5400001", "sku": "tea-green", "qty": 1, "warehouse": "61",
        }  # fmt: skip

    def test_a_refund_without_units(self) -> None:
        (refund,) = events(source("shopify", 1), {**SHOPIFY_REFUND, "refund_line_items": []})
        assert (refund["refund_amount"], refund["items"]) == (1000, [{"sku": "none", "qty": 1, "unit_price": 0}])

    @pytest.mark.parametrize(
        ("status", "event_type"),
        [(None, "shipment_dispatched"), ("delivered", "shipment_delivered"), ("failure", "shipment_delayed")],
    )
    def test_fulfilments_are_parcels(self, status: str | None, event_type: str) -> None:
        (event,) = events(source("shopify", 2), {**SHOPIFY_FULFILLMENT, "shipment_status": status})
        assert (event["type"], event["order_id"], event["carrier"]) == (event_type, "5400001", "DHL")


class TestWooCommerce:
    def test_the_first_paid_state_is_the_payment(self) -> None:
        created, paid = events(source("woocommerce"), {**WOO_ORDER, "date_created_gmt": "2026-11-10T23:59:00"})
        assert (created["type"], paid["type"], paid["ts"]) == ("order_created", "order_paid", AT_MS)
        assert paid["items"][0]["unit_price"] == 333
        assert amount(paid) == 4199  # the original has 42.00: a cent is lost to rounding
        assert (paid["user_id"], paid["items"][1]["sku"]) == ("b@example.org", "22-23")

    def test_later_states_are_no_events(self) -> None:
        later = {**WOO_ORDER, "status": "completed", "date_modified_gmt": "2026-11-14T00:00:00"}
        assert events(source("woocommerce"), later) == ()

    @pytest.mark.parametrize(
        ("status", "event_type"),
        [("failed", "payment_failed"), ("cancelled", "order_cancelled"), ("refunded", "order_refunded")],
    )
    def test_final_states(self, status: str, event_type: str) -> None:
        later = {**WOO_ORDER, "status": status, "date_modified_gmt": "2026-11-14T00:00:00"}
        (event,) = events(source("woocommerce"), later)
        assert (event["type"], event.get("refund_amount")) == (event_type, 4200 if status == "refunded" else None)


class TestGa4:
    def test_a_purchase(self) -> None:
        (event,) = events(source("ga4"), GA4_ROW)
        assert amount(event) == 2990
        assert event == {
            "event_id": "purchase/T-1", "type": "order_paid", "ts": AT_MS, "source": "WEB", "order_id": "T-1",
            "user_id": "11.22", "channel": "cpc", "campaign": "d11", "region": "Berlin", "currency": "EUR",
            "shipping_fee": 490, "items": [{"sku": "tea", "category": "drinks", "qty": 2, "unit_price": 1250}],
        }  # fmt: skip

    def test_browsing(self) -> None:
        (event,) = events(source("ga4"), {**GA4_ROW, "event_name": "view_search_results", "user_id": "u-1"})
        assert event == {
            "event_id": "view_search_results/11.22/1794355200000123/12/-", "type": "search", "ts": AT_MS,
            "source": "WEB", "user_id": "u-1", "session_id": "11.22/1794350000", "sku": "tea", "category": "drinks",
            "channel": "cpc", "region": "Berlin", "device": "mobile", "campaign": "d11", "keyword": "green tea",
        }  # fmt: skip

    def test_other_events_are_passed_over(self) -> None:
        assert events(source("ga4"), {**GA4_ROW, "event_name": "scroll"}) == ()


class TestSegment:
    def test_a_completed_order(self) -> None:
        (event,) = events(source("segment"), SEGMENT_TRACK)
        assert amount(event) == 2750
        assert (event["type"], event["event_id"], event["order_id"], event["channel"]) == (
            "order_paid", "m-1", "o-1", "email"
        )  # fmt: skip

    def test_browsing(self) -> None:
        viewed = {**SEGMENT_TRACK, "event": "Product Viewed", "properties": {"product_id": "p-1", "category": "c"}}
        (event,) = events(source("segment"), viewed)
        assert (event["type"], event["sku"], event["session_id"]) == ("product_view", "p-1", "an-1")
        (event,) = events(source("segment"), {**SEGMENT_TRACK, "type": "page", "event": None, "userId": None})
        assert (event["type"], event["user_id"]) == ("page_view", "an-1")

    def test_refunds_with_and_without_products(self) -> None:
        refunded = {**SEGMENT_TRACK, "event": "Order Refunded"}
        whole = {**refunded, "properties": {"order_id": "o-1", "total": 27.5}}
        for message, skus in ((refunded, ["tea"]), (whole, ["unknown"])):
            (event,) = events(source("segment"), message)
            assert (event["refund_amount"], [item["sku"] for item in event["items"]]) == (2750, skus)


class TestSnowplow:
    def test_a_transaction(self) -> None:
        (event,) = events(source("snowplow"), SNOWPLOW)
        assert amount(event) == 2750
        assert (event["type"], event["order_id"], event["user_id"], event["ts"]) == ("order_paid", "t-1", "d-1", AT_MS)

    def test_browsing(self) -> None:
        (event,) = events(source("snowplow"), {**SNOWPLOW, ACTION: {"type": "add_to_cart"}})
        assert (event["type"], event["sku"], event["device"]) == ("add_to_cart", "tea", "Mobile")
        (event,) = events(source("snowplow"), {**SNOWPLOW, "event": "page_view", ACTION: None})
        assert event["type"] == "page_view"

    def test_a_refund(self) -> None:
        refund = {f"{ENTITY}refund_1": [{"transaction_id": "t-1", "currency": "EUR", "refund_amount": 13.5}]}
        (event,) = events(source("snowplow"), {**SNOWPLOW, ACTION: {"type": "refund"}, **refund})
        assert (event["type"], event["refund_amount"], event["order_id"]) == ("order_refunded", 1350, "t-1")


class TestDebeziumOutbox:
    def test_rows_of_the_table(self) -> None:
        (event,) = events(source("debezium-outbox"), OUTBOX_ROW)
        assert amount(event) == 2450
        assert (event["event_id"], event["type"], event["ts"], event["source"]) == (
            "0191-a", "order_paid", AT_MS, "shop"
        )  # fmt: skip

    def test_routed_messages(self) -> None:
        routed = source("debezium-outbox", 1)
        (event,) = events(routed, OUTBOX_PAYLOAD, id="0191-a", eventType="OrderPaid")
        assert (event["event_id"], event["type"], amount(event)) == ("0191-a", "order_paid", 2450)

    def test_a_deleted_row_is_passed_over(self) -> None:
        assert result(source("debezium-outbox"), {**OUTBOX_ROW, "op": "d", "after": None}).passed_over == "delete"


def test_every_ready_file_fits_its_own_messages_best() -> None:
    samples = {
        "woocommerce": WOO_ORDER, "ga4": GA4_ROW, "segment": SEGMENT_TRACK, "snowplow": SNOWPLOW,
        "debezium-outbox": OUTBOX_ROW, "shopify": SHOPIFY_REFUND,
    }  # fmt: skip
    assert samples.keys() == READY.keys()
    for name, message in samples.items():
        fits = {
            other: sum(fit(found, [json.dumps(message).encode()]) for found in ready.compiled(2))
            for other, ready in READY.items()
        }
        assert {other for other, count in fits.items() if count} == {name}


@pytest.mark.parametrize("name", READY)
def test_every_ready_file_has_a_page(name: str) -> None:
    page = (REPOSITORY / "docs" / "sources" / f"{name}.md").read_text()
    assert "## What it cannot know" in page
