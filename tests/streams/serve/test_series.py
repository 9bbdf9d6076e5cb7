"""`/api/v1/series/{name}`: each point equals the answer of /api/v1/kpis at its as-of."""

from __future__ import annotations

import httpx
import pytest

from streams.serve.series import SeriesAnswer
from tests.streams.serve.conftest import soon
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, Shop, at, click, paid

pytestmark = pytest.mark.anyio


async def series(api: httpx.AsyncClient, name: str, **query: str | int) -> dict:
    answer = await api.get(f"/api/v1/series/{name}", params=query)
    assert answer.status_code == 200, answer.text
    SeriesAnswer.model_validate(answer.json())
    return answer.json()


async def test_a_series_of_a_counter_is_answered(api: httpx.AsyncClient) -> None:
    answer = await series(api, "gmv", start=at(5), end=at(35), step=10_000)
    assert answer["as_of"] == at(60)
    assert answer["points"] == [[at(5), 0], [at(15), 1000], [at(25), 1300], [at(35), 1300]]


async def test_a_series_covers_the_last_hour_by_minute_by_default(api: httpx.AsyncClient) -> None:
    points = (await series(api, "page_views"))["points"]
    assert (len(points), points[0], points[-1]) == (61, [at(60 - 3600), 0], [at(60), 4])


async def test_a_ratio_over_nothing_is_null(api: httpx.AsyncClient) -> None:
    assert (await series(api, "aov", start=at(5), end=at(15), step=10_000))["points"] == [[at(5), None], [at(15), 1000]]


@pytest.mark.parametrize("window", ["1m", "5m", "1h", "24h", "day", "promotion"])
async def test_points_equal_the_answers_of_kpis(api: httpx.AsyncClient, open_shop: Shop, window: str) -> None:
    for k in range(40):
        await open_shop.send(CLICKS, click(61 + 30 * k, user=f"v{k % 7}", channel="web", sku="sku-1"))
        await open_shop.send(ORDERS, paid(61 + 30 * k, k, user=f"v{k % 5}", channel="web"))
    await open_shop.send(LOGISTICS, {"type": "shipment_delayed", "ts": at(1231), "order_id": "o"})
    await open_shop.compact()
    await open_shop.attend()

    async def counted() -> bool:
        return bool((await series(api, "gmv"))["as_of"] >= at(1231))

    await soon(counted)
    for scope in ({"scope": "all"}, {"scope": "channel", "value": "web"}, {"scope": "sku", "value": "sku-1"}):
        query = {"window": window, **scope}
        for name in ("gmv", "visitors", "conversion_rate", "refund_rate"):
            points = (await series(api, name, step=97_000, start=at(-1000), **query))["points"]
            assert len(points) == 24
            for ts, number in points:
                answer = (await api.get("/api/v1/kpis", params={"as_of": ts, **query})).json()
                assert (answer["as_of"], answer["values"][name]) == (ts, number)
