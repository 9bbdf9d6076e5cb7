"""`/api/v1/stock`: one SKU, and the SKUs that run out next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.streams.serve.shop import LOGISTICS, ORDERS, Shop, at, client, order, paid, shop, shop_settings

pytestmark = pytest.mark.anyio


def stock(seconds: float, type_: str, sku: str, warehouse: str = "east", **amount: int) -> dict[str, Any]:
    return {"type": type_, "ts": at(seconds), "sku": sku, "warehouse": warehouse, **amount}


async def sold_out_and_not(to: Shop) -> None:
    """At 1,000 s: `gone` ran out at 600 s after 900 of GMV in 15 minutes; `soon` has 4 left and sells 15 in 15
    minutes."""
    await to.promote("sale", 0, 5000, skus=["gone", "soon", "never"])
    await to.send(
        LOGISTICS,
        stock(1, "stock_level", "gone", on_hand=3),
        stock(1, "stock_level", "soon", on_hand=15),
        stock(1, "stock_level", "soon", "west", on_hand=3),
        stock(2, "stock_received", "soon", "west", qty=2),
        stock(3, "stock_adjusted", "soon", "west", delta=-1),
        stock(1, "stock_level", "calm", on_hand=50),
    )
    bought = []
    for i, seconds in enumerate((400, 500, 600)):
        bought += [
            order(seconds, "order_created", 300, f"g{i}", "gone"),
            paid(seconds, 300, f"g{i}", "gone", promotion_id="sale"),
        ]
    for i in range(15):
        bought += [
            order(120 + 58 * i, "order_created", 10, f"s{i}", "soon"),
            paid(121 + 58 * i, 10, f"s{i}", "soon", promotion_id="sale"),
        ]
    await to.send(ORDERS, *bought, order(1000, "payment_failed", 1))
    await to.send(LOGISTICS, stock(1000, "stock_adjusted", "calm", delta=1))
    await to.attend()


async def test_a_sku_that_is_running_out_is_answered(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        answer = (await until_counted(api, "/api/v1/stock/soon", "available")).json()
        assert answer["as_of"] == at(1000)
        assert answer["available"] == 15 + 3 + 2 - 1 - 15
        assert answer["minutes_to_stockout"] == 4.0
        assert answer["stockout"]["low"] <= 4.0 < answer["stockout"]["high"]
        assert (answer["promotion"], answer["sold"]) == ("sale", 15)
        assert answer["sell_through"] == pytest.approx(15 / 19)
        assert answer["warehouses"] == [
            {"warehouse": "east", "units": 15, "counted_at": at(1)},
            {"warehouse": "west", "units": 4, "counted_at": at(1)},
        ]
        assert answer["units_per_hour"] == 15
        assert answer["replenish"] == 15 * (24 + 72) - 4
        assert (answer["overstock"], answer["oversold_units"], answer["outage"]) == (0, 0, None)
        assert answer["abc"] == "B"


async def test_a_sku_that_ran_out_is_answered(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        answer = (await until_counted(api, "/api/v1/stock/gone", "available")).json()
        assert (answer["available"], answer["minutes_to_stockout"], answer["abc"]) == (0, 0, "A")
        assert answer["stockout"] == {"low": 0, "high": 0, "coverage": 0.8}
        assert answer["outage"] == {"since": at(600), "gmv_at_risk_per_hour": 4 * 900}


async def test_an_earlier_as_of_is_answered(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        await until_counted(api, "/api/v1/stock/gone", "available")
        answer = (await api.get("/api/v1/stock/gone", params={"as_of": at(450)})).json()
        assert (answer["as_of"], answer["available"], answer["sold"]) == (at(450), 2, 1)


async def test_a_sku_that_was_never_counted_is_null(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        await until_counted(api, "/api/v1/stock/gone", "available")
        answer = (await api.get("/api/v1/stock/never")).json()
        missing = ("available", "sell_through", "minutes_to_stockout", "stockout", "oversold_units", "outage")
        assert [answer[name] for name in (*missing, "replenish", "overstock")] == [None] * 8
        assert (answer["sold"], answer["abc"], answer["warehouses"]) == (0, "C", [])


async def test_skus_that_run_out_next_are_listed(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        answer = (await until_counted(api, "/api/v1/stock", "stock_fill_rate")).json()
        assert (answer["stockout_skus"], answer["stock_fill_rate"]) == (1, pytest.approx(2 / 3))
        assert answer["gmv_at_risk_per_hour"] == 4 * 900
        assert [held["value"] for held in answer["out"]] == ["gone"]
        assert [held["value"] for held in answer["soon"]] == ["soon"]


async def test_a_promotions_row_counts_its_own_skus(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await sold_out_and_not(made)
        await until_counted(api, "/api/v1/stock/gone", "available")
        asked = {"scope": "promotion", "value": "sale"}
        values = (await api.get("/api/v1/kpis", params=asked)).json()["values"]
        assert (values["stockout_skus"], values["stock_fill_rate"]) == (1, 0.5)


async def test_skus_on_promotion_that_run_out_are_exported_on_metrics(redis_url: str) -> None:
    settings = shop_settings(redis_url)
    async with shop(settings) as made, client(settings) as api:
        await made.send(ORDERS, *(paid(990, 10**6, f"u{i}", f"best-{i}") for i in range(60)))
        await sold_out_and_not(made)
        await until_counted(api, "/api/v1/stock/gone", "available")
        text = (await api.get("/metrics")).text
        for window in ("5m", "promotion"):
            rows = [
                line for line in text.splitlines() if line.startswith(f'salepulse_gmv{{window="{window}",scope="sku"')
            ]
            own = {line.split('value="')[1].split('"')[0] for line in rows}
            assert len(rows) == len(own) == 50 + 2 + 1
            assert {"gone", "soon", ""} <= own, "`never` was never counted, and `calm` is not on promotion"
            left = next(line for line in rows if 'value="",rest="true"' in line)
            assert left.endswith(f" {10 * 10**4}.0"), "who has a row is not in the rest"
        assert 'salepulse_minutes_to_stockout{window="5m",scope="sku",value="soon"} 4.0' in text
        assert 'salepulse_stockout_skus{window="1m",scope="all",value=""} 1' in text


async def until_counted(api: Any, path: str, name: str) -> Any:
    """The answer once the view has read all events."""
    for _ in range(200):
        answer = await api.get(path)
        if answer.status_code == 200 and answer.json()[name] is not None and answer.json()["as_of"] == at(1000):
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(answer.text)
