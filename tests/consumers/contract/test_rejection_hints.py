"""Rejections name the recognised format and the fix."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import zstandard

from consumers.contract.decoding import decode_batch, decode_promotion
from consumers.contract.plausibility import find_implausible_events
from consumers.contract.rejection import PricingLabels, RejectedMessage, RejectionReason
from consumers.topics import EVENT_TOPICS, Topic
from streams.fold.columns import read_columns
from streams.panes.rows import RowIndex
from tests.support.poison import GOOD, encode, good, with_raw

ORDER = GOOD[Topic.ORDERS]
ROW = {"id": 7, "total": 12.5}

FOREIGN: dict[str, tuple[bytes, RejectionReason, tuple[str, ...]]] = {
    "UTF-8 with a byte-order mark": (
        b"\xef\xbb\xbf" + encode(ORDER),
        RejectionReason.BAD_JSON,
        ("byte-order mark (EF BB BF)", "send UTF-8 without one"),
    ),
    "UTF-16 with a byte-order mark": (
        json.dumps(ORDER).encode("utf-16"),
        RejectionReason.BAD_ENCODING,
        ("UTF-16, by its byte-order mark", "send UTF-8"),
    ),
    "UTF-16, big-endian, without a byte-order mark": (
        json.dumps(ORDER).encode("utf-16-be"),
        RejectionReason.BAD_JSON,
        ("is UTF-16", "send UTF-8"),
    ),
    "UTF-16, little-endian, without a byte-order mark": (
        json.dumps(ORDER).encode("utf-16-le"),
        RejectionReason.BAD_JSON,
        ("is UTF-16",),
    ),
    "gzip": (gzip.compress(encode(ORDER)), RejectionReason.BAD_ENCODING, ("compressed with gzip", "compression.type")),
    "zstd": (zstandard.compress(encode(ORDER)), RejectionReason.BAD_ENCODING, ("compressed with zstd",)),
    "an Avro file": (b"Obj\x01\x04\x14avro.codec", RejectionReason.BAD_JSON, ("an Avro file",)),
    "JSON in a Schema Registry frame": (
        b"\x00\x00\x00\x01\x2c" + encode(ORDER),
        RejectionReason.BAD_JSON,
        ("Schema Registry frame (schema id 300, holds JSON)", "without a registry"),
    ),
    "Avro in a Schema Registry frame": (
        b"\x00\x00\x01\x00\x07\x08abcd\xff",
        RejectionReason.BAD_ENCODING,
        ("(schema id 65543, holds Avro or Protobuf)",),
    ),
    "an object in a string": (encode(json.dumps(ORDER)), RejectionReason.NOT_AN_OBJECT, ("encode it once, not twice",)),
    "a list of events": (
        encode([ORDER, ORDER]),
        RejectionReason.NOT_AN_OBJECT,
        ("a list of 2 objects", "each as its own message"),
    ),
    "Debezium": (
        encode({"before": None, "after": ROW, "source": {"table": "orders"}, "op": "c", "ts_ms": 1}),
        RejectionReason.MISSING_FIELD,
        ('Debezium change event (op "c")', "EventRouter"),
    ),
    "Debezium with its schema": (
        encode({"schema": {"type": "struct"}, "payload": {"before": ROW, "after": None, "op": "d"}}),
        RejectionReason.MISSING_FIELD,
        ('Debezium change event (op "d")',),
    ),
    "Kafka Connect": (
        encode({"schema": {"type": "struct", "fields": []}, "payload": ORDER}),
        RejectionReason.MISSING_FIELD,
        ("Kafka Connect's envelope", "value.converter.schemas.enable=false"),
    ),
    "Kafka Connect without a schema": (
        encode({"schema": None, "payload": ORDER}),
        RejectionReason.MISSING_FIELD,
        ("Kafka Connect's envelope",),
    ),
    "CloudEvents": (
        encode({"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.shop.paid", "data": ORDER}),
        RejectionReason.UNKNOWN_TYPE,
        ('CloudEvents envelope (specversion "1.0")', "send only `data`"),
    ),
    "CloudEvents with a type of the contract": (
        encode({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order_paid", "data": ORDER}),
        RejectionReason.MISSING_FIELD,
        ("CloudEvents envelope",),
    ),
    "Segment": (
        encode({"messageId": "m", "type": "track", "event": "Order Completed", "properties": {"total": 1}}),
        RejectionReason.UNKNOWN_TYPE,
        ('Segment call (type track, event "Order Completed")',),
    ),
    "Segment's page": (encode({"anonymousId": "a", "type": "page"}), RejectionReason.UNKNOWN_TYPE, ("(type page)",)),
    "GA4": (
        encode({"event_name": "purchase", "event_timestamp": 1_700_000_000_000_000, "event_params": []}),
        RejectionReason.MISSING_FIELD,
        ('GA4 event (event_name "purchase")', "microseconds"),
    ),
    "GA4's Measurement Protocol": (
        encode({"client_id": "x", "events": [{"name": "purchase"}]}),
        RejectionReason.MISSING_FIELD,
        ("Measurement Protocol",),
    ),
    "Canal": (
        encode({"database": "shop", "table": "orders", "type": "INSERT", "data": [ROW], "ts": 1}),
        RejectionReason.UNKNOWN_TYPE,
        ('a change of table "orders"', "Maxwell or Canal"),
    ),
}


@pytest.mark.parametrize(("value", "reason", "expected_text"), FOREIGN.values(), ids=FOREIGN)
def test_messages_of_other_systems_are_recognised(
    value: bytes, reason: RejectionReason, expected_text: tuple[str, ...]
) -> None:
    (rejected,) = decode_batch(Topic.ORDERS, [value]).rejected
    assert rejected.reason is reason
    for text in expected_text:
        assert text in rejected.detail
    assert len(rejected.detail) <= 300


def test_unknown_fields_do_not_make_a_valid_event_a_message_of_another_system() -> None:
    for marks in ({"specversion": "1.0", "data": {}}, {"schema": {}, "payload": {}}, {"op": "c", "after": {}}):
        assert decode_batch(Topic.ORDERS, [good(Topic.ORDERS, **marks)]).rejected == []
    (rejected,) = decode_batch(Topic.ORDERS, [good(Topic.ORDERS, specversion="1.0", data={}, discount=-1)]).rejected
    assert rejected.detail.startswith("`discount` is -1"), (
        "an event of the contract with one fault is rejected for that fault"
    )


@pytest.mark.parametrize("odd", [[], {}, None, 5, "x", [[]], {"a": []}, float("1e300")])
@pytest.mark.parametrize("name", ["type", "op", "payload", "schema", "specversion", "event_name", "events", "table"])
def test_marker_fields_of_other_systems_may_have_any_value(name: str, odd: Any) -> None:
    marks = {"op": "c", "after": 1, "payload": 1, "messageId": 1, "properties": {}, "client_id": 1, "database": 1}
    found = {**marks, "table": 1, "type": "x", "data": 1, name: odd}
    (rejected,) = decode_batch(Topic.ORDERS, [encode(found)]).rejected
    assert rejected.reason in (RejectionReason.MISSING_FIELD, RejectionReason.UNKNOWN_TYPE)
    assert "validation failed" not in rejected.detail


TIMES = {
    "microseconds": ("1700000000000000", "looks like microseconds: send epoch milliseconds (1700000000000)"),
    "nanoseconds": ("1700000000000000000", "looks like nanoseconds: send epoch milliseconds (1700000000000)"),
    "seconds with a fraction": ("1700000000.25", "looks like seconds: send epoch milliseconds (1700000000250)"),
    "quotes": ('"1700000000000"', "in quotes"),
    "a date": ('"2023-11-14T22:13:20Z"', "is a date: send epoch milliseconds"),
}


@pytest.mark.parametrize(("raw", "expected_text"), TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("topic", EVENT_TOPICS)
def test_times_in_other_units_are_recognised(topic: Topic, raw: str, expected_text: str) -> None:
    (rejected,) = decode_batch(topic, [with_raw(topic, "ts", raw.encode())]).rejected
    assert expected_text in rejected.detail
    assert rejected.detail.startswith("`ts` is ")


@pytest.mark.parametrize("topic", EVENT_TOPICS)
def test_times_in_seconds_are_out_of_range_but_other_times_in_1970_are_valid(topic: Topic) -> None:
    times = [1_700_000_000_000, 1_700_000_000, 999_999_999, 10**9, 10**10 - 1, 10**10, 5]
    columns, rejected = read_columns(topic, [good(topic, event_id=f"e{ts}", ts=ts) for ts in times], RowIndex())
    assert columns.ts.tolist() == [times[i] for i in (0, 2, 5, 6)]
    assert [(held.index, held.reason) for held in rejected] == [(i, RejectionReason.OUT_OF_RANGE) for i in (1, 3, 4)]
    assert rejected[0].detail == ("`ts` is 1700000000: it looks like seconds: send epoch milliseconds (1700000000000)")


def test_an_event_with_several_times_in_seconds_is_rejected_once_and_others_count() -> None:
    shipped = {"type": "shipment_dispatched", "order_id": "o-1", "ts": 1_700_000_000_000}
    values = [
        encode({**shipped, "event_id": "a", "promised_ts": 1_700_000_000}),
        encode({**shipped, "event_id": "b", "promised_ts": 1_700_000_000_000}),
        encode({**shipped, "event_id": "c"}),
        encode({**shipped, "event_id": "d", "promised_ts": 1_700_000_000, "ts": 1_700_000_000}),
    ]
    columns, rejected = read_columns(Topic.LOGISTICS, values, RowIndex())
    assert columns.indexes.tolist() == [1, 2]
    assert [(held.index, held.detail.split(" ")[0]) for held in rejected] == [(0, "`promised_ts`"), (3, "`ts`")]


def test_a_promotion_with_times_in_seconds_is_rejected() -> None:
    definition = {"promotion_id": "d11", "name": "x", "starts_at": 1_700_000_000, "ends_at": 1_800_000_000}
    rejected = decode_promotion(b"d11", encode({**definition, "timezone": "UTC"}))
    assert isinstance(rejected, RejectedMessage)
    assert (rejected.reason, "looks like seconds" in rejected.detail) == (RejectionReason.OUT_OF_RANGE, True)


@pytest.mark.parametrize("raw", ["12.30", "12.0", '"12.30"', '"1230"', "1.23e3"])
@pytest.mark.parametrize("name", ["discount", "shipping_fee", "refund_amount"])
def test_decimals_in_money_are_recognised(name: str, raw: str) -> None:
    (rejected,) = decode_batch(Topic.ORDERS, [with_raw(Topic.ORDERS, name, raw.encode())]).rejected
    assert rejected.reason is RejectionReason.WRONG_TYPE
    assert rejected.detail.startswith(f"`{name}` is ")
    assert "money is an integer of minor units (cents, fen)" in rejected.detail


def test_decimals_in_the_price_of_a_line_are_recognised() -> None:
    items = [{"sku": "s", "qty": 1, "unit_price": 1290}, {"sku": "s", "qty": 1, "unit_price": 12.9}]
    (rejected,) = decode_batch(Topic.ORDERS, [good(Topic.ORDERS, items=items)]).rejected
    assert rejected.detail == (
        "`items[1].unit_price` is 12.9: money is an integer of minor units (cents, fen), without a decimal point: "
        "send 1230 for 12.30"
    )


@pytest.mark.parametrize(
    ("fields", "pricing_labels"),
    [
        ({}, PricingLabels("live", "")),
        ({"coupon": "SALE/50"}, PricingLabels("live", "SALE/50")),
        ({"coupon": 5, "channel": ""}, PricingLabels("", "")),
        ({"coupon": "x" * 129, "channel": "y" * 500}, PricingLabels("", "")),
    ],
)
def test_a_negative_amount_has_its_own_reason_and_pricing_labels(
    fields: dict[str, Any], pricing_labels: PricingLabels
) -> None:
    decoded = decode_batch(Topic.ORDERS, [good(Topic.ORDERS), good(Topic.ORDERS, discount=25_801, **fields)])
    (rejected,) = decoded.rejected
    assert (rejected.index, rejected.reason, rejected.pricing_labels) == (
        1,
        RejectionReason.NEGATIVE_AMOUNT,
        pricing_labels,
    )
    assert "is -1, it must lie in 0..1000000000000000" in rejected.detail
    assert decode_batch(Topic.ORDERS, [good(Topic.ORDERS, discount=25_800, **fields)]).amounts == [0]


def test_an_unpaired_surrogate_in_a_coupon_is_not_shown() -> None:
    value = good(Topic.ORDERS, discount=25_801)[:-1] + rb',"coupon":"\ud800"}'
    (rejected,) = decode_batch(Topic.ORDERS, [value]).rejected
    assert rejected.pricing_labels == PricingLabels("live", "")


CURRENCIES = {
    "another": ("USD", "this shop counts CNY: convert the money"),
    "in lower case": ("cny", "send the ISO 4217 code in capitals without spaces, CNY"),
    "with a space": ("CNY ", "send the ISO 4217 code in capitals without spaces, CNY"),
    "a sign": ("¥", "not an ISO 4217 code: send three capitals, CNY"),
    "a name": ("RMB yuan", "not an ISO 4217 code: send three capitals, CNY"),
}


@pytest.mark.parametrize(("code", "expected_text"), CURRENCIES.values(), ids=CURRENCIES)
def test_money_in_another_currency_is_rejected(code: str, expected_text: str) -> None:
    values = [
        good(Topic.ORDERS),
        good(Topic.ORDERS, currency=code),
        good(Topic.ORDERS, currency="CNY"),
        good(Topic.ORDERS, currency=""),
        good(Topic.ORDERS, currency=None),
        good(Topic.ORDERS, currency=code, discount=25_801),
    ]
    columns, rejected = read_columns(Topic.ORDERS, values, RowIndex(), "CNY")
    assert columns.indexes.tolist() == [0, 2, 3, 4]
    assert [(held.index, held.reason) for held in sorted(rejected, key=lambda held: held.index)] == [
        (1, RejectionReason.OTHER_CURRENCY),
        (5, RejectionReason.NEGATIVE_AMOUNT),
    ]
    assert expected_text in next(held.detail for held in rejected if held.index == 1)


def test_the_currency_of_a_click_is_checked_only_if_its_cost_is_counted() -> None:
    kinds = ("ad_click", "ad_impression", "product_view")
    values = [good(Topic.CLICKS, type=kind, currency=code, cost=5) for kind in kinds for code in ("USD", "CNY")]
    columns, rejected = read_columns(Topic.CLICKS, values, RowIndex(), "CNY")
    assert columns.indexes.tolist() == [1, 2, 3, 4, 5]
    assert [(held.index, held.reason) for held in rejected] == [(0, RejectionReason.OTHER_CURRENCY)]
    yen, none = (
        read_columns(Topic.CLICKS, values, RowIndex(), "JPY")[1],
        read_columns(Topic.CLICKS, values, RowIndex())[1],
    )
    assert ([held.index for held in yen], none) == ([0, 1], [])


def test_a_currency_of_another_type_or_excessive_length_is_rejected() -> None:
    for code, reason in (
        (5, RejectionReason.WRONG_TYPE),
        (["CNY"], RejectionReason.WRONG_TYPE),
        ("C" * 129, RejectionReason.OUT_OF_RANGE),
    ):
        assert decode_batch(Topic.ORDERS, [good(Topic.ORDERS, currency=code)]).rejected[0].reason is reason


def test_a_batch_entirely_in_another_currency_is_rejected() -> None:
    columns, rejected = read_columns(Topic.ORDERS, [good(Topic.ORDERS, currency="USD")] * 3_000, RowIndex(), "CNY")
    assert (len(columns), [held.index for held in rejected]) == (0, list(range(3_000)))


def test_valid_events_are_plausible() -> None:
    columns, rejected = read_columns(Topic.CLICKS, [good(Topic.CLICKS)] * 3, RowIndex())
    assert (find_implausible_events(Topic.CLICKS, {}, columns.ts, "CNY"), rejected) == ([], [])
