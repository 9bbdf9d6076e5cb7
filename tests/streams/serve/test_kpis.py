"""`/api/v1/kpis` and `/api/v1/top`."""

from __future__ import annotations

import httpx
import pytest

from streams.model.kpis import NAMES
from streams.serve.kpis import KpisOfEach, KpisOfOne, TopAnswer
from streams.settings import Settings
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, at, click, client, paid, shop

pytestmark = pytest.mark.anyio


async def kpis(api: httpx.AsyncClient, **query: str | int) -> dict:
    answer = await api.get("/api/v1/kpis", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_kpis_answers_every_number_of_the_shop(api: httpx.AsyncClient) -> None:
    answer = await kpis(api, window="5m")
    KpisOfOne.model_validate(answer)
    assert (answer["as_of"], answer["window"], answer["scope"], answer["value"]) == (at(60), "5m", "all", None)
    assert (answer["timezone"], answer["currency"], answer["currency_exponent"]) == ("UTC", "CNY", 2)
    values = answer["values"]
    assert tuple(values) == NAMES
    counted = {"page_views": 4, "product_views": 1, "orders_paid": 2, "gmv": 1300, "refunds": 100, "units": 2}
    assert {name: values[name] for name in counted} == counted
    assert (values["visitors"], values["buyers"], values["conversion_rate"]) == (3, 2, 2 / 3)
    assert (values["net_gmv"], values["aov"], values["new_buyer_rate"]) == (1200, 650, 0.5)
    assert values["cart_rate"] == 0
    assert values["ctr"] is None, "no impressions: null, never 0"


async def test_the_newest_answer_is_live(api: httpx.AsyncClient) -> None:
    answer = await kpis(api)
    assert answer["live"]
    assert answer["stale"] == []
    assert answer["age_ms"] > 0


@pytest.mark.parametrize(
    "path",
    [
        "kpis",
        "top?scope=channel",
        "series/gmv",
        "compare?against=yesterday",
        "stock",
        "stock/s-1",
        "promotions",
        "promotions/spring",
        "shipping",
    ],
)
async def test_every_answer_has_incomplete_since(api: httpx.AsyncClient, open_shop: Shop, path: str) -> None:
    async def answers(since_ms: int | None) -> bool:
        answer = await api.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["incomplete_since"] == since_ms and body["live"] is True

    await soon(lambda: answers(None))
    state = open_shop.keys.state(0)
    await open_shop.redis.hset(state, mapping={"incomplete:orders/0": at(50), "incomplete:clicks/0": at(40)})
    await open_shop.redis.hset(state, "incomplete:promotions/0", at(3))
    await soon(lambda: answers(at(40)))


async def test_a_loss_stored_without_its_time_is_reported_as_1(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.redis.hset(open_shop.keys.state(0), "incomplete:orders/0", "0")

    async def reported() -> bool:
        return (await kpis(api))["incomplete_since"] == 1

    await soon(reported)


@pytest.mark.parametrize("query", [{"value": ""}, {"scope": "all"}, {"scope": "all", "value": ""}])
async def test_scope_all_has_no_value(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await kpis(api, **query))["value"] is None


async def test_one_value_of_a_scope_is_answered(api: httpx.AsyncClient) -> None:
    answer = await kpis(api, scope="channel", value="app")
    assert (answer["value"], answer["values"]["gmv"], answer["values"]["visitors"]) == ("app", 1000, 1)


async def test_a_value_never_seen_counts_nothing(api: httpx.AsyncClient) -> None:
    assert (await kpis(api, scope="channel", value="fax"))["values"]["gmv"] == 0


async def test_values_of_a_scope_are_listed_by_gmv(api: httpx.AsyncClient) -> None:
    answer = await kpis(api, scope="channel")
    KpisOfEach.model_validate(answer)
    assert [(item["value"], item["values"]["gmv"]) for item in answer["items"]] == [("app", 1000), ("web", 300)]


async def test_an_earlier_as_of_is_answered(api: httpx.AsyncClient) -> None:
    answer = await kpis(api, as_of=at(15) + 7)
    assert (answer["as_of"], answer["values"]["gmv"], answer["live"]) == (at(15), 1000, False)


async def test_window_promotion_covers_the_promotion(api: httpx.AsyncClient, open_shop: Shop) -> None:
    assert (await kpis(api, window="promotion"))["promotion"] == "spring"
    answer = await kpis(api, window="promotion", scope="promotion", value="spring")
    assert answer["values"]["gmv"] == 1000


async def test_each_promotion_counts_in_its_own_window(open_shop: Shop, settings: Settings) -> None:
    await open_shop.promote("flash", 50, 55)
    events = [paid(45, 7, "u8", promotion_id="flash"), paid(52, 5, "u9", promotion_id="flash")]
    await open_shop.send(ORDERS, *events)
    await open_shop.attend()
    async with client(settings) as api:
        await ready(api)
        answer = await kpis(api, window="promotion", scope="promotion")
        of_one = await kpis(api, window="promotion", scope="promotion", promotion="spring")
    # Window `promotion` begins at the full minute of its start.
    assert [(item["value"], item["values"]["gmv"]) for item in answer["items"]] == [("spring", 1000), ("flash", 12)]
    assert answer["promotion"] is None
    assert of_one["promotion"] == "spring"


async def test_top_answers_the_largest_values_and_the_rest(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/api/v1/top", params={"n": 1})).json()
    TopAnswer.model_validate(answer)
    assert (answer["as_of"], answer["window"], answer["scope"], answer["by"]) == (at(60), "15m", "sku", "gmv")
    assert [(item["value"], item["values"]["gmv"]) for item in answer["items"]] == [("sku-1", 1000)]
    other = answer["other"]
    assert (other["count"], other["values"]["gmv"], other["values"]["aov"]) == (1, 300, 300)
    assert other["values"]["buyers"] is None


async def test_top_has_no_rest_when_all_values_fit(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/api/v1/top", params={"scope": "channel", "by": "net_gmv", "window": "5m"})).json()
    assert [(item["value"], item["values"]["net_gmv"]) for item in answer["items"]] == [("app", 1000), ("web", 200)]
    assert (answer["other"]["count"], answer["other"]["values"]["gmv"]) == (0, 0)
    assert answer["items"][1]["values"]["visitors"] == 2


async def test_ties_are_ordered_by_name(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/api/v1/top", params={"by": "orders_paid", "n": 1})).json()
    assert [item["value"] for item in answer["items"]] == ["sku-1"]


async def test_two_servers_give_equal_answers(api: httpx.AsyncClient, settings: Settings, open_shop: Shop) -> None:
    await open_shop.compact()
    async with client(settings) as other:  # the first server followed the log, this one reads blocks
        await ready(other)
        for window in ("1m", "5m", "24h", "promotion"):
            for scope in ("all", "channel", "sku"):
                one, two = [await kpis(each, window=window, scope=scope) for each in (api, other)]
                assert one | {"age_ms": 0} == two | {"age_ms": 0}


async def test_answers_include_new_events(api: httpx.AsyncClient, open_shop: Shop) -> None:
    await open_shop.send(ORDERS, paid(62, 50))
    await open_shop.send(CLICKS, click(65))
    await open_shop.send(LOGISTICS, {"type": "shipment_delayed", "ts": at(65), "order_id": "o"})
    await open_shop.send(ORDERS, paid(66, 0))
    await open_shop.attend()
    for _ in range(200):
        answer = await kpis(api, window="1m")
        if answer["as_of"] == at(66):
            break
    assert answer["values"]["gmv"] == 1350


async def test_a_truncated_list_has_the_full_count(settings: Settings) -> None:
    async with shop(settings) as made:
        await made.send(ORDERS, *(paid(10, 100 + n, f"u{n}", f"sku-{n}", channel=f"c{n % 3}") for n in range(1_003)))
        await made.send(ORDERS, paid(60, 1, "last", "sku-0", channel="c0"))
        await made.attend()
        async with client(settings) as api:
            await ready(api)
            for path in ("kpis?window=5m&scope=sku", "compare?against=yesterday&window=5m&scope=sku"):
                answer = (await api.get(f"/api/v1/{path}")).json()
                assert (len(answer["items"]), answer["count"]) == (1_000, 1_003), path
                assert answer["items"][0]["value"] == "sku-1002"
            few = (await api.get("/api/v1/kpis?window=5m&scope=channel")).json()
            assert (len(few["items"]), few["count"]) == (3, 3), "all of them"
