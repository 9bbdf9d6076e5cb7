from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contract.decoding import decode_batch
from consumers.sources.envelopes import PassedOver
from consumers.sources.source import CompiledSource
from consumers.topics import Topic
from tests.consumers.sources.builders import PAID, SHOP, compiled, mapped, parsed, record, rejection, source_with


def clicks(fields: str, *messages: Any, options: str = "", event: str = "", **more: Any) -> list[Any]:
    return mapped(source_with(fields, options, event=event), *messages, **more)


def test_a_message_makes_the_event_that_the_contract_would_hold() -> None:
    (event,) = mapped(SHOP, PAID)
    expected = {
        "event_id": "450789469/2026-11-11T00:00:01-05:00",
        "type": "order_paid",
        "ts": 1_794_373_200_000,
        "order_id": "450789469",
        "user_id": "207",
        "discount": 1230,
        "channel": "store",
        "items": [{"sku": "a", "qty": 2, "unit_price": 1000}, {"sku": "5", "qty": 1, "unit_price": 150}],
    }
    assert [event] == decode_batch(Topic.ORDERS, [json.dumps(expected).encode()]).events


class TestFields:
    def test_alternatives_are_tried_in_order(self) -> None:
        field = "sku: {path: a, or: [b.c, {value: none}]}"
        messages = [{"a": 1, "b": {"c": 2}}, {"a": "", "b": {"c": 2}}, {"a": None}]
        assert [event.sku for event in clicks(field, *messages)] == ["1", "2", "none"]

    def test_alternatives_take_over_the_format(self) -> None:
        (event,) = clicks("cost: {path: a, money: major, or: [b]}", {"b": "1.50"})
        assert event.cost == 150

    def test_constant_alternatives_take_over_the_unit_but_not_the_map(self) -> None:
        (event,) = clicks("cost: {path: a, money: major, or: [{value: '1.50'}]}", {})
        assert event.cost == 150
        (event,) = clicks("channel: {path: a, map: {x: y}, or: [{value: other}]}", {})
        assert event.channel == "other"

    def test_a_map_compares_text(self) -> None:
        field = "device: {path: a, map: {1: one, true: yes, x: ex}, else: other}"
        events = clicks(field, *({"a": value} for value in (1, True, "x", "y", None)))
        assert [event.device for event in events] == ["one", "yes", "ex", "other", None]

    def test_an_empty_else_leaves_the_field_out(self) -> None:
        (event,) = clicks('device: {path: a, map: {x: ex}, else: ""}', {"a": "y"})
        assert not event.device

    def test_a_value_that_the_map_does_not_list_is_refused(self) -> None:
        reason, detail = rejection(source_with("device: {path: a, map: {x: ex}}"), {"a": "y"})
        assert (reason, detail) == (
            "out_of_range", 't: `device`: `a` is "y": `map` has no such value; add it, or `else`'
        )  # fmt: skip

    def test_join_needs_all_its_parts(self) -> None:
        field = "keyword: {join: [a, {value: and}, b], with: ' '}"
        assert [event.keyword for event in clicks(field, {"a": 1, "b": "x"}, {"a": 1})] == ["1 and x", None]

    def test_join_makes_times_of_dates(self) -> None:
        text = source_with("ts: {join: [d, t], with: T, time: iso, zone: UTC}").replace(
            "ts: {value: 1794373200000}, ", ""
        )
        (event,) = mapped(text, {"d": "2026-11-11", "t": "00:00:00"})
        assert event.ts == 1_794_355_200_000

    def test_headers_and_the_position(self) -> None:
        (event,) = clicks("keyword: {header: h}", {}, headers=[("h", b"old"), ("h", b"new")])
        assert (event.keyword, event.event_id) == ("new", "t/0/0")

    def test_booleans(self) -> None:
        events = clicks("member: {path: a}", {"a": True}, {"a": "false"}, {})
        assert [event.member for event in events] == [True, False, None]

    def test_sums(self) -> None:
        field = "cost: {each: parts, when: {kind: [ad]}, sum: {path: amount, money: major}}"
        parts = [{"kind": "ad", "amount": "0.10"}, {"kind": "ad", "amount": 0.2}, {"kind": "x", "amount": "9"}]
        assert [event.cost for event in clicks(field, {"parts": parts}, {"parts": []}, {})] == [30, 0, None]

    def test_items_name_their_position_in_a_refusal(self) -> None:
        lines = [PAID["line_items"][0], {"sku": "b", "quantity": "two", "price": 1}]
        with_number = SHOP.replace("when: {quantity: {above: 0}}", "")
        reason, detail = rejection(with_number, {**PAID, "line_items": lines})
        assert (reason, detail) == (
            "wrong_type",
            'shop.orders: `items`: `line_items[1]`: `qty`: `quantity` is "two": a whole number is needed',
        )

    def test_sums_name_the_entry_in_a_refusal(self) -> None:
        field = "cost: {each: parts, sum: {path: amount, money: major}}"
        _, detail = rejection(source_with(field), {"parts": [{"amount": "1.50"}, {"amount": "1,234.50"}]})
        assert detail == (
            't: `cost`: `parts[1]`: `amount` is "1,234.50": a number such as 1234.50 is needed, without a currency '
            "sign or a thousands separator"
        )

    def test_the_contract_s_objection_to_an_item_names_its_path(self) -> None:
        lines = [PAID["line_items"][0], {"sku": "", "quantity": 1, "price": 1}]
        _, detail = rejection(SHOP, {**PAID, "line_items": lines})
        assert detail == (
            "shop.orders: `items[1].sku` is missing: send it (from `sku`, else `variant_id` in `line_items`)"
        )

    @pytest.mark.parametrize("unit", ["s", "ms"])
    def test_a_time_in_another_unit_names_the_map(self, unit: str) -> None:
        text = source_with("").replace("ts: {value: 1794373200000}", f"ts: {{path: at, time: {unit}}}")
        _, detail = rejection(text, {"at": 1794373200000 * (1 if unit == "s" else 1000)})
        assert detail.endswith("it looks like microseconds: correct `time` in the map (from `at`)")

    def test_rounding_is_asked_for(self) -> None:
        field = "cost: {path: a, money: major, round: true}"
        amounts = [0.125, "0.124", 0.115, "1", None, "0.0049999"]
        assert [event.cost for event in clicks(field, *({"a": amount} for amount in amounts))] == [
            13, 12, 12, 100, None, 0
        ]  # fmt: skip

    def test_an_object_counts_as_a_list_of_one(self) -> None:
        field = "cost: {each: part, sum: {path: amount, money: major}}"
        assert [event.cost for event in clicks(field, {"part": {"amount": "0.10"}})] == [10]


class TestEvents:
    def test_old_states_are_no_events(self) -> None:
        event = "when: {paid: {within: 10m, of: changed}}"
        message = {"paid": "2026-11-11T00:00:00", "a": "x"}
        changes = ["2026-11-11T00:10:00", "2026-11-11T00:10:01", "2026-11-10T00:00:00", "soon", None]
        text = source_with("keyword: {path: a}", "none_is_fine: true", event=event)
        batch = compiled(text).read(0, [record({**message, "changed": at}, i) for i, at in enumerate(changes)])
        assert batch.events[Topic.CLICKS].indexes == [0, 2]

    @pytest.mark.parametrize(
        ("when", "matching"),
        [
            ("{a: x}", ["x"]),
            ("{a: [x, 1]}", ["x", 1]),
            ("{a: [true]}", [True]),
            ("{a: {none_of: [x]}}", ["y", 1, True, None, "", "2.5"]),
            ("{a: {present: true}}", ["x", "y", 1, True, "2.5"]),
            ("{a: {present: false}}", [None, ""]),
            ("{a: {above: 1}}", ["2.5"]),
            ("{a: {at_least: 1, below: 2.5}}", [1]),
            ("{a: {at_most: 2.5}}", [1, "2.5"]),
            ("{a: [x, y], 'header:h': [v]}", ["x", "y"]),
            ("{a: [x], 'header:h': [w]}", []),
        ],
    )
    def test_when(self, when: str, matching: list[Any]) -> None:
        messages = [{"a": value} for value in ("x", "y", 1, True, None, "", "2.5")]
        text = source_with("keyword: {path: a}", "none_is_fine: true", event=f"when: {when}")
        batch = compiled(text).read(0, [record(message, i, [("h", b"v")]) for i, message in enumerate(messages)])
        made = [] if not batch.events else [messages[i]["a"] for i in batch.events[Topic.CLICKS].indexes]
        # a boolean is no keyword
        refused = [messages[message.index]["a"] for message in batch.rejected]
        assert sorted(map(repr, made + refused)) == sorted(map(repr, matching))
        assert batch.passed_over == {PassedOver.NONE_MATCHES: len(messages) - len(matching)}

    def test_one_message_makes_an_event_of_each_entry_that_matches(self) -> None:
        text = """
version: 1
sources:
  - topic: parcels
    events:
      - to: logistics
        fields: {type: {value: shipment_dispatched}, event_id: {path: id}, ts: {path: at}, order_id: {path: order}}
      - to: logistics
        each: lines
        when: {back: [true]}
        fields:
          type: {value: return_received}
          event_id: {join: [/id, sku]}
          ts: {path: /at}
          order_id: {path: /order}
          sku: {path: sku}
          qty: {path: qty}
"""
        lines = [{"sku": sku, "qty": 1, "back": sku != "b"} for sku in "abc"]
        events = mapped(text, {"id": 1, "at": 1_794_373_200_000, "order": "o", "lines": lines})
        assert [(event.event_id, event.type) for event in events] == [
            ("1", "shipment_dispatched"),
            ("1/a", "return_received"),
            ("1/c", "return_received"),
        ]

    def test_events_may_be_of_several_topics(self) -> None:
        text = (
            SHOP
            + """
      - to: clicks
        when: {source_name: [pos]}
        fields:
          type: {value: checkout_start}
          event_id: {path: id}
          ts: {path: processed_at, time: iso}
          user_id: {path: customer.id}
          session_id: {path: id}
"""
        )
        batch = compiled(text).read(0, [record(PAID), record({**PAID, "source_name": "web"}, 1)])
        assert {topic: events.indexes for topic, events in batch.events.items()} == {
            Topic.ORDERS: [0, 1],
            Topic.CLICKS: [0],
        }

    def test_no_event_of_a_message_counts_if_one_is_refused(self) -> None:
        text = source_with("keyword: {path: a}", event="each: entries")
        batch = compiled(text).read(
            0, [record({"entries": [{"a": "x"}, {"a": True}, {"a": False}]}), record({"entries": [{"a": "y"}]}, 1)]
        )
        assert [message.index for message in batch.rejected] == [0]
        assert [event.keyword for event in batch.events[Topic.CLICKS].events] == ["y"]

    def test_a_message_without_event_is_unmapped(self) -> None:
        reason, detail = rejection(SHOP, {**PAID, "financial_status": "pending"})
        assert reason == "unmapped"
        assert detail == (
            "shop.orders: no entry of `events` matches: add one, or set `none_is_fine: true` if the message is no event"
            '; `financial_status` is "pending"'
        )
        _, detail = rejection(SHOP, {"id": 1})
        assert detail.endswith("; `financial_status` is absent")

    def test_what_the_contract_refuses_names_the_path(self) -> None:
        assert rejection(SHOP, {**PAID, "line_items": []}) == (
            "missing_field", "shop.orders: `items` is missing: send it (from `line_items`)"
        )  # fmt: skip

    def test_negative_amounts_keep_their_labels(self) -> None:
        batch = compiled().read(0, [record({**PAID, "total_discounts": "99.00"})])
        (message,) = batch.rejected
        assert message.pricing_labels is not None
        assert (message.reason, message.pricing_labels.channel) == ("negative_amount", "store")


class TestMessages:
    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (b"", "empty"),
            (b"{", "bad_json"),
            (b"\xff", "bad_encoding"),
            (b'{"id": "\\ud800"}', "bad_encoding"),
            (b"[" * 100_000, "too_deep"),
            (b'{"id":' + b'"x"' + b" " * 2**20 + b"}", "too_large"),
            (b"[1]", "not_an_object"),
            (b"5", "not_an_object"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, value: bytes, reason: str) -> None:
        assert rejection(SHOP, value)[0] == reason

    def test_a_tombstone_is_passed_over(self) -> None:
        batch = compiled().read(0, [record(None)])
        assert (batch.events, batch.rejected, batch.passed_over) == ({}, [], {PassedOver.TOMBSTONE: 1})

    @given(st.binary(max_size=80))
    def test_no_bytes_raise(self, value: bytes) -> None:
        batch = compiled().read(0, [record(value)])
        assert len(batch.rejected) == 1

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PAID, "id", "sku"]), inner),
            max_leaves=12,
        ),
        st.sampled_from([*PAID, "customer.id"]),
    )
    def test_no_value_raises(self, value: Any, name: str) -> None:
        message = {**PAID, "customer": {"id": value}} if name == "customer.id" else {**PAID, name: value}
        text = json.dumps(message, ensure_ascii=True).encode()
        batch = compiled().read(0, [record(text)])
        assert len(batch.rejected) + sum(len(events.events) for events in batch.events.values()) == 1

    @pytest.mark.parametrize(
        ("payload", "formats"), [(b'{"a": 1}', "json-schema`"), (b"\x02a", "avro` or `format: protobuf`")]
    )
    def test_a_frame_of_a_schema_registry_calls_for_another_format(self, payload: bytes, formats: str) -> None:
        _, detail = rejection(SHOP, b"\0\0\0\0\5" + payload)
        assert detail == f"shop.orders: the message has a Schema Registry frame: write `format: {formats}"

    def test_json_after_the_frame_of_a_schema_registry(self) -> None:
        text = source_with("keyword: {path: a}", "format: json-schema")
        (event,) = mapped(text, b"\0\0\0\0\7" + b'{"a": "x"}')
        assert event.keyword == "x"
        assert rejection(text, b'{"a": "x"}')[0] == "bad_encoding"


class TestEnvelopes:
    ROW: ClassVar = {"a": "x"}

    @pytest.mark.parametrize(
        "message",
        [
            ROW,
            {"schema": None, "payload": ROW},
            {"schema": {"type": "struct"}, "payload": ROW},
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": ROW},
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": json.dumps(ROW)},
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "t",
             "data_base64": base64.b64encode(json.dumps(ROW).encode()).decode()},
            {"op": "c", "before": None, "after": ROW, "source": {"table": "t"}, "ts_ms": 1},
            {"schema": {}, "payload": {"op": "u", "before": {"a": "y"}, "after": ROW, "source": {}, "ts_ms": 1}},
        ],
    )  # fmt: skip
    def test_are_recognized(self, message: Any) -> None:
        (event,) = clicks("keyword: {path: a}", message)
        assert event.keyword == "x"

    def test_none_leaves_the_message_as_it_is(self) -> None:
        (event,) = clicks("keyword: {path: payload.a}", {"schema": None, "payload": self.ROW}, options="envelope: none")
        assert event.keyword == "x"

    def test_attributes_are_headers(self) -> None:
        change = {"op": "c", "before": None, "after": self.ROW, "source": {"table": "orders"}, "ts_ms": 1}
        field = "keyword: {join: [{header: __op}, {header: __table}, {header: __ts_ms}]}"
        assert [event.keyword for event in clicks(field, change)] == ["c/orders/1"]

    def test_cloud_events_have_the_same_attributes_in_both_modes(self) -> None:
        structured = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t", "data": self.ROW}
        (event,) = clicks("keyword: {header: ce_id}", structured)
        (other,) = clicks("keyword: {header: ce_id}", self.ROW, headers=[("ce_id", b"e1"), ("ce_specversion", b"1.0")])
        assert event.keyword == other.keyword == "e1"

    @pytest.mark.parametrize(
        "message",
        [
            {"op": "d", "before": ROW, "after": None, "source": {}, "ts_ms": 1},
            {"schema": {}, "payload": {"op": "t", "before": None, "after": None, "source": {}, "ts_ms": 1}},
        ],
    )
    def test_deleted_rows_are_passed_over(self, message: Any) -> None:
        batch = compiled(source_with("keyword: {path: a}")).read(0, [record(message)])
        assert batch.passed_over == {PassedOver.DELETE: 1}

    @pytest.mark.parametrize(
        ("envelope", "message"), [("debezium", ROW), ("connect", ROW), ("debezium", {"schema": {}, "payload": ROW})]
    )
    def test_another_envelope_is_refused(self, envelope: str, message: Any) -> None:
        reason, detail = rejection(source_with("keyword: {path: a}", f"envelope: {envelope}"), message)
        assert reason == "missing_field"
        assert detail.startswith("t: the message ")

    def test_texts_that_hold_json_are_parsed(self) -> None:
        text = source_with("keyword: {path: payload.a}", "parse_json: [payload]")
        (event,) = mapped(text, {"payload": json.dumps(self.ROW)})
        assert event.keyword == "x"
        assert rejection(text, {"payload": "{"})[0] == "bad_json"


class TestFunctions:
    TEXT = "version: 1\nsources: [{topic: t, python: 'shop:events', to: [clicks], none_is_fine: false}]"
    CLICK: ClassVar = {"event_id": "1", "type": "page_view", "ts": 1, "user_id": "u", "session_id": "s"}

    def read(self, function: Any) -> Any:
        source = CompiledSource(parsed(self.TEXT).sources[0], exponent=2, function=function)
        return source.read(0, [record({"a": 1}, 0, [("h", b"v")])])

    def test_gets_the_message_and_its_headers(self) -> None:
        batch = self.read(lambda value, headers: [{**self.CLICK, "keyword": value.decode() + headers[0][0]}])
        assert [event.keyword for event in batch.events[Topic.CLICKS].events] == ['{"a": 1}h']

    def test_may_make_several_events(self) -> None:
        batch = self.read(lambda value, headers: ({**self.CLICK, "event_id": str(i)} for i in range(3)))
        assert batch.events[Topic.CLICKS].indexes == [0, 0, 0]

    @pytest.mark.parametrize(
        ("made", "reason"),
        [
            (lambda _: [], "unmapped"),
            (lambda _: None, "unmapped"),
            (lambda _: 1 / 0, "unmapped"),
            (lambda _: [5], "unmapped"),
            (lambda _: [{"type": "order_paid"}], "unknown_type"),
            (lambda _: [{**TestFunctions.CLICK, "ts": "now"}], "wrong_type"),
            (lambda _: [{**TestFunctions.CLICK, "sku": "\ud800"}], "unmapped"),
        ],
    )
    def test_failures_are_refusals(self, made: Any, reason: str) -> None:
        batch = self.read(lambda value, headers: made(value))
        assert [str(message.reason) for message in batch.rejected] == [reason]
        assert not batch.events

    @pytest.mark.parametrize(
        ("returned", "fault"),
        [
            ({"type": "page_view"}, "returned a dict: return a list of dicts, one for each event"),
            (5, "returned a int: return a list of dicts"),
            (["x"], "made an event that is a str: return a list of dicts"),
            ([None], "made an event that is a NoneType: return a list of dicts"),
        ],
    )
    def test_results_that_are_no_events_are_named(self, returned: Any, fault: str) -> None:
        (rejected,) = self.read(lambda value, headers: returned).rejected
        assert fault in rejected.detail

    def test_an_exit_is_a_refusal_of_one_line(self) -> None:
        def events(value: bytes, headers: Any) -> Any:
            raise SystemExit("no\n  id")

        (rejected,) = self.read(events).rejected
        assert rejected.detail.endswith(" raised SystemExit: no id")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**9)), min_size=1, max_size=5), st.integers(0, 10**4))
def test_amounts_are_those_of_the_original(lines: list[tuple[int, int]], discount: int) -> None:
    message = {
        **PAID,
        "total_discounts": f"{Decimal(discount).scaleb(-2):f}",
        "line_items": [
            {"sku": str(i), "quantity": qty, "price": f"{Decimal(price).scaleb(-2):f}"}
            for i, (qty, price) in enumerate(lines)
        ],
    }
    amount = sum(qty * price for qty, price in lines) - discount
    batch = compiled().read(0, [record(message)])
    if amount < 0:
        assert [str(rejected.reason) for rejected in batch.rejected] == ["negative_amount"]
    else:
        assert batch.events[Topic.ORDERS].amounts == [amount]
