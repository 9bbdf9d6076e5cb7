"""`/api/v1/compare` of two simulated sales, the first the baseline of the second, equals the oracle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import msgspec
import pytest

from consumers.contract.events import Promotion
from consumers.topics import EVENT_TOPICS, Partition, Topic
from streams.model.kpis import STOCK_NAMES
from streams.simulate import Simulation, SimulationConfig
from streams.simulate.config import PromotionPlan
from tests.streams.serve.conftest import ready
from tests.streams.serve.shop import client
from tests.streams.shop import Shop, opened
from tests.support.oracle import DISTINCTS, Number, Oracle, assert_agree

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOUR_MS, YEAR_MS = 3_600_000, 365 * 86_400_000
START_MS = 1_762_776_000_000
CUTS = (("all", None), ("channel", "live"), ("region", "east"), ("category", "phones"), ("member", "true"))


@dataclass(frozen=True)
class Sale:
    """A sale of one hour with the course of a whole day."""

    definition: Promotion
    events: Mapping[Topic, list[dict[str, Any]]]
    """Each event once, in the order of arrival."""


@cache
def sale(start_ms: int, promotion_id: str, baseline: str | None) -> Sale:
    config = SimulationConfig(
        seed=start_ms % 97,
        catalog_seed=1,
        rate=5,
        duration_s=3600,
        start_ms=start_ms,
        skus=150,
        users=2_000,
        promotion=PromotionPlan(promotion_id=promotion_id, baseline=baseline),
    )
    definitions, events, seen = [], {topic: [] for topic in EVENT_TOPICS}, set()
    for batch in Simulation(config).batches():
        for topic, _, _, value in batch.messages:
            if topic == Topic.PROMOTIONS:
                definitions.append(Promotion.model_validate_json(value))
                continue
            event = msgspec.json.decode(value)
            if event["event_id"] not in seen:
                seen.add(event["event_id"])
                events[Topic(topic)].append(event)
    return Sale(definitions[0], events)


async def count(shop: Shop, sold: Sale) -> int:
    """Count a sale; returns its newest event time."""
    for topic, events in sold.events.items():
        await shop.feed(Partition(topic, 0), events)
        await shop.compact(Partition(topic, 0))
    return max(event["ts"] for events in sold.events.values() for event in events)


@asynccontextmanager
async def two_sales(redis_url: str, apart_ms: int) -> AsyncIterator[tuple[httpx.AsyncClient, Oracle, Sale, Sale]]:
    """Both sales, with all expired panes dropped."""
    first, second = sale(START_MS - apart_ms, "last", None), sale(START_MS, "this", "last")
    async with opened(redis_url, retain="", poll_ms=20) as shop:
        for sold in (first, second):
            await shop.announce(sold.definition)
            await shop.drop(await count(shop, sold))
        async with client(shop.settings) as api:
            await ready(api)
            yield api, shop.oracle(), first, second


async def compared(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await api.get("/api/v1/compare", params={name: held for name, held in query.items() if held is not None})
    assert answer.status_code == 200, answer.text
    return answer.json()


def without(numbers: Mapping[str, Number], *names: str) -> dict[str, Number]:
    return {name: number for name, number in numbers.items() if name not in names}


def moments(second: Sale) -> list[int]:
    starts, ends = second.definition.starts_at, second.definition.ends_at
    return [starts + (ends - starts) * tenth // 10 // 1000 * 1000 for tenth in (1, 4, 9)]


async def test_a_sale_is_compared_with_one_two_hours_before(redis_url: str) -> None:
    async with two_sales(redis_url, 7_000_000) as (api, oracle, first, second):
        for at in moments(second):
            then_at = first.definition.starts_at + at - second.definition.starts_at
            for scope, value in (*CUTS, ("promotion", "this")):
                for window in ("1m", "promotion"):
                    answer = await compared(
                        api, against="baseline", window=window, scope=scope, value=value, promotion="this", as_of=at
                    )
                    now_ms, then_ms = answer["as_of"], answer["then"]["as_of"]
                    assert at - 60_000 < now_ms <= at
                    assert now_ms - then_ms == at - then_at, "both as long after their start"
                    other = "last" if value == "this" else value or ""
                    gone = DISTINCTS if then_ms != then_at else ()  # then only minutes are kept
                    expected = oracle.ask(window, now_ms, scope, value or "", promotion="this")
                    assert_agree(answer["values"], without(expected, *STOCK_NAMES), scope, window, at)
                    expected = oracle.ask(window, then_ms, scope, other, promotion="last")
                    kept = without(expected, *STOCK_NAMES, *gone, *(("conversion_rate",) if gone else ()))
                    assert_agree(answer["compared"], kept, scope, window, then_ms)


async def test_a_sale_is_compared_with_one_a_year_before(redis_url: str) -> None:
    unknown = (*STOCK_NAMES, *DISTINCTS, "conversion_rate", "unshipped_orders", "overdue_shipments")
    async with two_sales(redis_url, YEAR_MS) as (api, oracle, _, second):
        for at in moments(second):
            for scope, value in (*CUTS, ("promotion", "this")):
                for window in ("5m", "promotion"):
                    answer = await compared(
                        api, against="baseline", window=window, scope=scope, value=value, promotion="this", as_of=at
                    )
                    then_ms = answer["then"]["as_of"]
                    assert then_ms % 60_000 == 0
                    assert answer["as_of"] - then_ms == answer["then"]["offset_ms"]
                    other = "last" if value == "this" else value or ""
                    expected = oracle.ask(window, then_ms, scope, other, promotion="last")
                    assert_agree(answer["compared"], without(expected, *unknown), scope, window, then_ms)
                    apart = answer["values"]["gmv"] - answer["compared"]["gmv"]
                    assert answer["difference"]["gmv"] == apart
        skus = await compared(api, against="baseline", window="promotion", scope="sku", promotion="this", as_of=at)
        assert len(skus["items"]) > 50
        for item in skus["items"][:10]:
            expected = oracle.ask("promotion", skus["then"]["as_of"], "sku", item["value"], promotion="last")
            assert item["compared"]["gmv"] == expected["gmv"]


async def test_a_forecast_uses_the_sale_a_year_before(redis_url: str) -> None:
    async with two_sales(redis_url, YEAR_MS) as (api, _, _, second):
        starts, ends = second.definition.starts_at, second.definition.ends_at
        answer = await api.get("/api/v1/promotions/this", params={"as_of": (starts + ends) // 2})
        assert (answer.json()["forecast"]["basis"], answer.json()["forecast"]["earlier"]) == ("earlier", ["last"])


async def test_series_of_both_sales_share_an_axis(redis_url: str) -> None:
    async with two_sales(redis_url, YEAR_MS) as (api, oracle, first, second):
        start, end = (at // 60_000 * 60_000 for at in (second.definition.starts_at, second.definition.ends_at))
        query = {"window": "promotion", "scope": "promotion", "value": "this", "compare": "baseline"}
        answer = await api.get("/api/v1/series/net_gmv", params={**query, "start": start, "end": end, "step": 60_000})
        compared_ = answer.json()["compared"]
        assert compared_["offset_ms"] == second.definition.starts_at - first.definition.starts_at
        by_time = dict(compared_["points"])
        assert len(by_time) == len(answer.json()["points"])
        for at in list(by_time)[::11]:
            expected = oracle.ask("promotion", at - compared_["offset_ms"], "promotion", "last")["net_gmv"]
            assert by_time[at] == expected
