"""`/metrics`: KPI gauges within the budget, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from consumers.contract.rejection import PricingLabels
from streams.dictionary.types import Unit
from streams.model.kpis import NAMES, UNITS
from streams.model.negative_amounts import negative_amounts_total
from streams.serve.gauges import metric_name, share_evenly
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.shop import ORDERS, Shop, at, client, paid, shop_settings

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(api: httpx.AsyncClient) -> Samples:
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return once(sample for family in parse_text(answer.text) for sample in family.samples)


def once(found: Iterable[Any]) -> Samples:
    """Samples by name and labels, each unique as for Prometheus, where an empty label is no label."""
    samples = list(found)
    series = Counter((sample.name, frozenset(pair for pair in sample.labels.items() if pair[1])) for sample in samples)
    assert [one for one, many in series.items() if many > 1] == []
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"salepulse_{name}", frozenset(labels.items())


async def test_gauges_equal_the_api_in_base_units(api: httpx.AsyncClient) -> None:
    samples = await scrape(api)
    for window in ("1m", "5m", "15m", "1h", "24h", "day", "promotion"):
        values = (await api.get("/api/v1/kpis", params={"window": window})).json()["values"]
        for name in NAMES:
            gauge = samples.get(key(name, window=window, scope="all", value=""))
            if values[name] is None:
                assert gauge is None, "null is absent"
            else:
                assert gauge == (values[name] / 100 if UNITS[name] is Unit.MONEY else values[name])
    assert samples[key("gmv", window="5m", scope="channel", value="app")] == 10.0
    assert samples[key("avg_dwell_seconds", window="5m", scope="all", value="")] == 3.0
    assert samples[key("gmv", window="promotion", scope="promotion", value="spring")] == 10.0
    assert key("gmv", window="1h", scope="channel", value="app") not in samples


async def test_totals_start_at_0(api: httpx.AsyncClient) -> None:
    samples = await scrape(api)
    assert samples[key("events_total", topic="clicks", type="page_view")] == 5
    assert samples[key("events_total", topic="logistics", type="stock_level")] == 0
    assert samples[key("rejected_total", topic="clicks", reason="bad_json")] == 1
    assert samples[key("rejected_total", topic="orders", reason="too_late")] == 0
    assert samples[key("duplicates_total", topic="clicks")] == 1
    assert samples[key("duplicates_total", topic="orders")] == 0


async def test_status_metrics_are_exported(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.redis.hset(open_shop.keys.state(0), "incomplete:orders/0", str(at(5)))
    await open_shop.attend(7, ORDERS)

    async def exported() -> bool:
        samples = await scrape(api)
        return samples.get(key("incomplete_since_seconds", topic="orders", partition="0")) == at(5) / 1000

    await soon(exported)
    samples = await scrape(api)
    assert samples[key("as_of_seconds")] == at(60) / 1000
    assert samples[key("as_of_age_seconds")] > 0
    assert samples[key("partition_lag", topic="orders", partition="0")] == 7
    assert (samples[key("partitions_stale")], samples[key("redis_up")], samples[key("ready")]) == (0, 1, 0)


async def test_build_and_process_metrics_are_exported(api: httpx.AsyncClient) -> None:
    samples = await scrape(api)
    assert samples[key("build_info", version=version("salepulse"))] == 1
    assert samples[key("serve_process_resident_memory_bytes")] > 10_000_000
    assert samples[key("serve_process_cpu_seconds_total")] > 0


async def test_openmetrics_is_served_if_accepted(api: httpx.AsyncClient) -> None:
    answer = await api.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert {metric_name(name) for name in NAMES} - names <= {"salepulse_stock"}
    assert "salepulse_events" in names


async def test_the_top_skus_and_the_rest_are_exported(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.send(ORDERS, *(paid(60, 100 * k, user=f"b{k}", sku=f'"n{k}"\\') for k in range(1, 61)))
    await open_shop.attend()

    async def exported() -> bool:
        samples = await scrape(api)
        skus = {dict(labels)["value"] for _, labels in samples if {("window", "5m"), ("scope", "sku")} <= labels}
        return len(skus) == 51

    await open_shop.send(ORDERS, paid(61, 0))
    await soon(exported)
    samples = await scrape(api)
    assert samples[key("gmv", window="5m", scope="sku", value='"n60"\\')] == 60.0
    rest = (await api.get("/api/v1/top", params={"window": "5m", "n": 50})).json()["other"]
    assert samples[key("gmv", window="5m", scope="sku", value="", rest="true")] == rest["values"]["gmv"] / 100
    assert samples[key("series_dropped", scope="sku")] == 2 * rest["count"] * len(NAMES)
    assert samples[key("series_dropped", scope="channel")] == 0


HOSTILE = (
    *("other", "rest", "true", "(rest)", "a/b", "50%", "=~", "{", "}", ",", " ", "\t", "\r", "\x00", "\x7f", "\u2028"),
    *("\ufeff", '"', "\\", "\n", "\\n", '\\"', '",rest="true', 'a"} 1\nsalepulse_gmv{value="b', "e\u0301", "\u00e9"),
    *("漢字", "😀" * 128),
)
"""Channel names with any characters."""


@pytest.mark.parametrize("rest", [False, True])
async def test_series_are_unique_for_any_label_values(open_shop: Shop, rest: bool) -> None:
    names = [*HOSTILE, *(f"c-{i}" for i in range(60 if rest else 0))]
    labels = ("channel", "region", "campaign", "variant", "live_room", "promotion_id")
    for i, name in enumerate(names):
        line = {"sku": name, "category": name, "qty": 1, "unit_price": 100 + i}
        await open_shop.send(ORDERS, paid(55, 0, user=f"u{i}", items=[line], **dict.fromkeys(labels, name)))
    await open_shop.redis.hincrby(open_shop.keys.totals(0), "negative_amounts,rest", 7)
    for channel, coupon in (("", ""), ("other", "rest"), ('"', "\n"), ("\x00", "")):
        await open_shop.redis.hincrby(
            open_shop.keys.totals(0), negative_amounts_total(PricingLabels(channel, coupon)), 1
        )
    await open_shop.attend()
    budget = 20_000 if rest else 400_000
    settings = shop_settings(open_shop.settings.redis_url.get_secret_value(), series_budget=budget)
    async with client(settings) as api:
        await ready(api)
        samples = await scrape(api)
        accepted = await api.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        answers = {
            scope: (await api.get("/api/v1/kpis", params={"window": "5m", "scope": scope})).json()["items"]
            for scope in ("channel", "region", "campaign", "variant", "live_room", "category", "sku")
        }
    once(sample for family in parse_openmetrics(accepted.text) for sample in family.samples)
    for scope, items in answers.items():
        own = {
            dict(series)["value"]: value
            for (name, series), value in samples.items()
            if name == "salepulse_gmv" and {("scope", scope), ("window", "5m")} <= series and "rest" not in dict(series)
        }
        everything = {item["value"]: item["values"]["gmv"] / 100 for item in items}
        assert own.items() <= everything.items(), "each value has its own number, and only that"
        left = samples.get(key("gmv", window="5m", scope=scope, value="", rest="true"))
        assert (left is not None) == rest
        assert round(sum(own.values()) + (left or 0), 2) == round(sum(everything.values()), 2) > 0
        assert rest or set(HOSTILE) <= own.keys()
    assert samples[key("negative_amounts_total", channel="", coupon="", rest="true")] == 7
    assert samples[key("negative_amounts_total", channel="", coupon="", rest="")] == 1
    assert samples[key("negative_amounts_total", channel="other", coupon="rest", rest="")] == 1
    assert samples[key("negative_amounts_total", channel="\x00", coupon="", rest="")] == 1


@pytest.mark.parametrize(
    ("chosen", "exponent"),
    [({"currency": "JPY"}, 0), ({"currency": "KWD"}, 3), ({"currency": "JPY", "currency_exponent": 2}, 2)],
)
async def test_money_is_exported_in_major_units(open_shop: Shop, chosen: dict[str, Any], exponent: int) -> None:
    await open_shop.send(ORDERS, paid(55, 123_456, channel="app"))
    await open_shop.promote("sale", 0, 3_600, targets={"base": 1_000, "sprint": 2_000, "challenge": 3_000})
    await open_shop.attend()
    settings = shop_settings(open_shop.settings.redis_url.get_secret_value(), **chosen)
    async with client(settings) as api:
        await ready(api)
        samples = await scrape(api)
        answers = [(await api.get(path)).json() for path in ("/api/v1/kpis?window=5m", "/api/v1/definitions")]
    gmv = answers[0]["values"]["gmv"]
    assert gmv >= 123_456
    assert samples[key("gmv", window="5m", scope="all", value="")] == gmv / 10**exponent
    assert samples[key("promotion_target_net_gmv", promotion="sale", tier="base")] == 1_000 / 10**exponent
    assert {(answer["currency"], answer["currency_exponent"]) for answer in answers} == {(chosen["currency"], exponent)}


@pytest.mark.parametrize("budget", [100, 1000])
async def test_the_number_of_series_is_within_the_budget(open_shop: Shop, budget: int) -> None:
    settings = shop_settings(open_shop.settings.redis_url.get_secret_value(), series_budget=budget)
    orders = (paid(59, 100 * k, sku=f"n{k}", channel=f"c{k}", region=f"r{k}") for k in range(40))
    await open_shop.send(ORDERS, *orders)
    await open_shop.attend()
    async with client(settings) as api:
        await ready(api)
        samples = await scrape(api)
    kpis = {metric_name(name) for name in NAMES}
    assert 0 < sum(name in kpis for name, _ in samples) <= budget
    assert samples[key("series_dropped", scope="channel")] > 0


def test_scarce_rows_are_shared_evenly() -> None:
    assert share_evenly({"a": 3, "b": 100, "c": 50}, 43) == {"a": 3, "b": 20, "c": 20}
    assert share_evenly({"a": 3, "b": 4}, 100) == {"a": 3, "b": 4}
    assert share_evenly({"a": 3, "b": 4}, 0) == {"a": 0, "b": 0}
    assert share_evenly({}, 5) == {}
