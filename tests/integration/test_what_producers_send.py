"""Typical mistakes of real producers, on a real broker: counted, or rejected with a helpful reason."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.dead_letters.letters import DeadLetter
from consumers.dead_letters.reading import read_dead_letters
from consumers.kafka.producer import OutgoingMessage
from consumers.topics import Topic
from tests.support.events import Event, click, line, paid, shipment, stock_level, wire
from tests.support.oracle import Oracle
from tests.support.salepulse import salepulse
from tests.support.servers import Server
from tests.support.stack import Shop, stack

pytestmark = pytest.mark.slow

LONG = "x" * 129
HOSTILE = ("other", "a/b", '"', "\\", "\n", "\x00", "漢" * 128)
SECONDS = 1_699_660_800


def valid_events() -> Iterator[tuple[Topic, Event]]:
    """Events that count, whatever their labels."""
    for i, channel in enumerate((*HOSTILE, "", LONG, "app")):
        yield Topic.ORDERS, paid(at=i, channel=channel, campaign="", reason=LONG, items=[line(unit_price=100 + i)])
    yield Topic.ORDERS, paid(at=20, currency="JPY", items=[line(category=LONG), line(category=""), line(category="c")])
    yield Topic.ORDERS, paid(at=21, currency="", source="")
    yield Topic.CLICKS, click("ad_click", at=22, cost=7, currency="JPY", keyword=LONG, sku="", promotion_id=LONG)
    yield Topic.CLICKS, click("product_view", at=23, currency="USD", device=LONG)
    yield Topic.LOGISTICS, shipment(at=24, carrier=LONG, region="", sku="")
    yield Topic.LOGISTICS, stock_level(5, at=25)
    yield from ((Topic.CLICKS, click(at=60)), (Topic.ORDERS, paid(at=60)), (Topic.LOGISTICS, shipment(at=60)))


DROPPED = {
    "labels_dropped,orders,channel": 1,
    "labels_dropped,orders,reason": 10,
    "labels_dropped,orders,items.category": 1,
    "labels_dropped,clicks,keyword": 1,
    "labels_dropped,clicks,promotion_id": 1,
    "labels_dropped,clicks,device": 1,
    "labels_dropped,logistics,carrier": 1,
}


def invalid_messages() -> Iterator[tuple[Topic, bytes, str, str]]:
    """(topic, value, reason, part of its detail)"""
    order = paid(at=5)

    def broken(**changes: Any) -> bytes:
        return wire({**order, **changes})

    yield Topic.ORDERS, b"\xef\xbb\xbf" + wire(order), "bad_json", "byte-order mark"
    yield Topic.ORDERS, b"\x00\x00\x00\x00\x2a" + wire(order), "bad_json", "schema id 42"
    yield Topic.ORDERS, json.dumps(order).encode("utf-16"), "bad_encoding", "UTF-16"
    yield Topic.ORDERS, wire({"op": "c", "before": None, "after": order}), "missing_field", "Debezium"
    yield Topic.ORDERS, wire({"schema": {}, "payload": order}), "missing_field", "Kafka Connect"
    yield Topic.CLICKS, wire({"type": "track", "messageId": "m", "event": "x"}), "unknown_type", "Segment"
    yield Topic.CLICKS, wire({"event_name": "page_view", "event_timestamp": 1}), "missing_field", "GA4"
    yield Topic.CLICKS, wire({"specversion": "1.0", "type": "x", "data": {}}), "unknown_type", "CloudEvents"
    yield Topic.ORDERS, broken(ts=SECONDS), "out_of_range", "looks like seconds"
    yield Topic.LOGISTICS, wire({**shipment(at=5), "promised_ts": SECONDS}), "out_of_range", "looks like seconds"
    yield Topic.ORDERS, broken(ts=SECONDS * 10**6), "out_of_range", "looks like microseconds"
    yield Topic.ORDERS, broken(shipping_fee=12.5), "wrong_type", "minor units"
    yield Topic.ORDERS, broken(currency="CNY"), "other_currency", "this shop counts JPY"
    yield Topic.ORDERS, broken(currency="jpy"), "other_currency", "in capitals"
    yield Topic.CLICKS, wire(click("ad_click", at=5, cost=900, currency="CNY")), "other_currency", "counts JPY"
    for _ in range(3):
        yield Topic.ORDERS, broken(discount=9_999, channel="app", coupon="SALE/50"), "negative_amount", "is -8999"
    yield Topic.ORDERS, broken(discount=1_001), "negative_amount", "is -1"
    yield Topic.ORDERS, broken(order_id=""), "out_of_range", "`order_id`"
    yield Topic.LOGISTICS, wire({**stock_level(5, at=5), "warehouse": LONG}), "out_of_range", "`warehouse`"


@pytest.mark.parametrize("broker", ["embedded", pytest.param("apache", marks=pytest.mark.kafka)], indirect=True)
def test_events_are_counted_or_rejected_with_a_helpful_reason(
    broker: Server, redis_server: Server, tmp_path: Path
) -> None:
    good, bad = list(valid_events()), list(invalid_messages())
    expected = Counter(f"events,{topic},{event['type']}" for topic, event in good)
    expected.update(f"rejected,{topic},{reason}" for topic, _, reason, _ in bad)
    expected.update(DROPPED)
    expected['negative_amounts,["app", "SALE/50"]'], expected['negative_amounts,["", ""]'] = 3, 1
    values = [(topic, wire(event)) for topic, event in good]
    for i, (topic, value, _, _) in enumerate(bad):
        values.insert(2 * i, (topic, value))
    with stack(broker, redis_server, partitions=1, currency="JPY") as shop:
        shop.send([OutgoingMessage(topic, b"k", value) for topic, value in values])
        shop.until_counted()
        assert shop.totals() == expected
        letters = asyncio.run(dead_letters(broker))
        assert Counter((held.topic, held.reason) for held in letters) == Counter((t.value, r) for t, _, r, _ in bad)
        details = {held.value: held.detail for held in letters}
        for _, value, _, expected_text in bad:
            assert expected_text in details[value]
        check_answers(shop, [event for topic, event in good if topic is Topic.ORDERS])
        doctor_names_them(shop, tmp_path)


async def dead_letters(broker: Server) -> list[DeadLetter]:
    return [letter async for letter in read_dead_letters(broker.bootstrap)]


def check_answers(shop: Shop, orders: list[Event]) -> None:
    """Compare the API and /metrics with the oracle: yen have no decimal places, and each series appears once."""
    oracle, as_of_ms = Oracle(orders=orders), shop.api.as_of_ms()
    assert as_of_ms is not None
    with urllib.request.urlopen(f"{shop.api.url}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    series = Counter((one.name, frozenset(pair for pair in one.labels.items() if pair[1])) for one in samples)
    assert max(series.values()) == 1
    found = {
        (one.labels["scope"], one.labels["value"]): one.value
        for one in samples
        if one.name == "salepulse_gmv" and one.labels["window"] == "5m"
    }
    assert found["all", ""] == oracle.ask("5m", as_of_ms)["gmv"] > 0
    assert {value: gmv for (scope, value), gmv in found.items() if scope == "channel"} == {
        value: oracle.ask("5m", as_of_ms, "channel", value)["gmv"] for value in (*HOSTILE, "app")
    }
    assert {value for scope, value in found if scope in ("category", "campaign")} == {"c"}


def doctor_names_them(shop: Shop, folder: Path) -> None:
    settings = shop.settings
    flags = ("--bootstrap", settings.bootstrap, "--redis-url", shop.redis.url, "--clock", "event", "--json")
    env = {"SALEPULSE_CURRENCY": "JPY", "SALEPULSE_CURRENCY_EXPONENT": "2", "SALEPULSE_PARTITIONS": "1"}
    done = salepulse("doctor", *flags, cwd=folder, env=env)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    expected = {
        "rejected messages": "error",
        "negative amounts": "error",
        "dropped labels": "error",
        "currency_exponent": "warning",
    }
    assert {name: found[name]["status"] for name in expected} == expected
    assert "channel 'app' with coupon 'SALE/50' (3)" in found["negative amounts"]["message"]
    assert "reason on orders (10)" in found["dropped labels"]["message"]
    assert "ISO 4217 gives JPY 0" in found["currency_exponent"]["message"]
    other = salepulse("doctor", *flags, cwd=folder, env={**env, "SALEPULSE_CURRENCY": "CNY"})
    assert "counts are in JPY, the setting is CNY" in other.stdout
    worker = salepulse("worker", *flags[:6], cwd=folder, env={**env, "SALEPULSE_CURRENCY": "CNY"})
    assert (worker.returncode, "populated with currency=JPY" in worker.stderr) == (1, True)
