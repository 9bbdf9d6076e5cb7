from __future__ import annotations

import pytest

from consumers.sources.file import read_sources
from consumers.topics import Topic
from tests.consumers.sources.builders import SHOP, parsed, source_with


def errors(text: str) -> list[str]:
    return [f"{error.line}: {error.message}" for error in read_sources(text).errors]


def test_a_valid_file_has_no_errors() -> None:
    (source,) = parsed(SHOP).sources
    assert (source.topic, source.format, source.feeds) == ("shop.orders", "json", (Topic.ORDERS,))


def test_a_function_feeds_all_topics_unless_it_names_some() -> None:
    text = "version: 1\nsources:\n  - {topic: a, python: 'shop:f'}\n  - {topic: b, python: 'shop:f', to: [orders]}"
    assert [source.feeds for source in parsed(text).sources] == [
        (Topic.CLICKS, Topic.ORDERS, Topic.LOGISTICS),
        (Topic.ORDERS,),
    ]


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ("topic: shop.orders", "topic: shop orders", "4: topic 'shop orders': a topic name has letters"),
        ("when:", "whn:", "7: there is no field `whn` here: do you mean `when`?"),
        ("order_paid", "order_payed", "9: orders has no type 'order_payed': do you mean order_paid?"),
        ("path: processed_at", "path: a..b", "11: `path`: 'a..b' is not a path, at character 2"),
        ("channel: {", "chanel: {", "15: events on orders have no field `chanel`: do you mean `channel`?"),
        ("path: quantity}", "path: quantity, money: major}", "19: `qty` is no money: remove `money`"),
        ("{sku: {path: sku, or: [variant_id]}, ", "{", "16: an item needs `sku`: add where to find it"),
        ("time: iso", "time: iso, zone: Asia/Shangai", "11: 'Asia/Shangai' is not an IANA time zone: do you mean"),
        ("order_id: {path: id}", "", "8: an event order_paid needs `order_id`: add where to find it"),
        ("{value: order_paid}", "{value: order_refunded}", "8: an event order_refunded needs `refund_amount`"),
        ("map: {web: web, pos: store}, ", "", "15: `channel`: `else` needs `map`"),
        ("{path: id}", "{path: id, header: x}", "12: `order_id`: write exactly one of path, value"),
        ("version: 1", "version: 2", "2: `version`: write one of 1"),
        ("each: line_items", "path: line_items", "`fields`, `sum` and `when` need `each`"),
        ("[paid]", "", "7: `when`: `financial_status` is empty: write a value, a list of values, or {present: false}"),
        ("pos: store", "pos: ", "15: `map`: `pos` is empty: write a value"),
        ("discount: {path: total_discounts, money: major}", "discount:", "14: `fields`: `discount` is empty"),
        ("financial_status:", "'header:':", "7: `header:`: the header has no name: write header:NAME"),
        ("{path: id}", "{header: ''}", "12: `order_id`: `header` is empty: write the name of a header"),
        (
            "path: customer.id",
            "path: $.customer.id",
            "13: `path`: '$.customer.id' is a JSONPath: write the path without",
        ),
        (
            "[paid]",
            "{within: 1h, of: at, zone: Asia/Shangai}",
            "7: 'Asia/Shangai' is not an IANA time zone: do you mean",
        ),
        ("{above: 0}", "{within: 1h, of: at, zone: Asia/Shangai}", "18: 'Asia/Shangai' is not an IANA time zone"),
    ],
)
def test_errors_have_their_line_and_the_fix(before: str, after: str, error: str) -> None:
    assert before in SHOP
    assert any(error in found for found in errors(SHOP.replace(before, after, 1))), errors(
        SHOP.replace(before, after, 1)
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("format: avro", "`format: avro` needs a schema registry: add `registry: {url: …}`"),
        ("format: xml", "`format`: write one of json, avro, protobuf or json-schema"),
        ("python: 'a:b'", "write either `events` or `python`"),
        ("envelope: debezim", "`envelope`: write one of none, cloudevents, debezium or connect"),
        ("to: [orders]", "`to` beside `events`"),
        ("parse_json: ['lines[0]']", "'lines[0]' does not end with the name of a field"),
        ("python: shop", "`python`: is not a function: write MODULE:FUNCTION (found 'shop')"),
    ],
)
def test_options_of_a_source_are_checked(options: str, error: str) -> None:
    assert any(error in found for found in errors(source_with("sku: {path: s}", options)))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("member: {value: maybe}", '`member`: the constant is "maybe": true or false is needed'),
        ("sku: {path: s, time: iso}", "`sku` is no time"),
        ("sku: {each: s, fields: {}}", "`sku` is one value"),
        ("sku: {each: s, sum: x}", "`sku` is no number"),
        ("dwell_ms: {record: true}", "the record's position does not fit"),
        ("sku: {record: false, path: x}", "exactly one of"),
        ("sku: {path: s, zone: UTC}", "`zone` needs `time: iso`"),
        ("sku: {path: s, with: x}", "`with` needs `join`"),
        ("sku: {join: [s, {path: t, money: major}]}", "`sku` is no money: remove `money`"),
        ("sku: {join: [s, {each: t, fields: {a: b}}]}", "write fields as `name: value`"),
        ("sku: {join: [s, {each: t, fields: {a: {path: b}}}]}", "`sku` is one value: remove `fields`"),
        ("cost: {each: s, sum: {each: t, fields: {a: {path: b}}}}", "`cost` is one value: remove `fields`"),
        ("cost: {each: s, sum: {path: t, time: s}}", "`cost` is no time: remove `time`"),
    ],
)
def test_fields_are_checked(fields: str, error: str) -> None:
    assert any(error in found for found in errors(source_with(fields))), errors(source_with(fields))


def test_constants_of_money_have_the_digits_of_the_currency() -> None:
    text = source_with("cost: {value: '1.50', money: major}")
    assert read_sources(text, exponent=2).errors == ()
    assert [error.message for error in read_sources(text, exponent=0).errors] == [
        '`cost`: the constant is "1.50": money has at most 0 digits after the point'
    ]


def test_a_topic_has_one_source() -> None:
    twice = SHOP + SHOP.partition("sources:\n")[2]
    assert any("has a source already" in found for found in errors(twice))


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "version: 1", "version: 1\nsources: []", "a: [", "version: 1\nsources: {}"]
)
def test_any_other_text_is_an_error(text: str) -> None:
    assert errors(text)


@pytest.mark.parametrize(
    ("registry", "error"),
    [
        ("url: 'registry:8081'", "is not a URL: write https://HOST:PORT"),
        ("url: 'https://u:p@registry'", "the URL has a user or password: write `user` and `password_file`"),
        ("url: 'https://registry', user: u", "`user` and `password_file` belong together: write both"),
        ("url: 'https://registry', key_file: k", "`key_file` needs `cert_file`"),
        ("uri: 'https://registry'", "`url`"),
    ],
)
def test_the_registry_is_checked(registry: str, error: str) -> None:
    text = source_with("sku: {path: s}", "format: avro").replace("version: 1", f"version: 1\nregistry: {{{registry}}}")
    assert any(error in found for found in errors(text)), errors(text)
