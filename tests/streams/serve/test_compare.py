"""`/api/v1/compare`, and `compare=` of series: two answers of /api/v1/kpis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from streams.model.kpis import NAMES
from streams.serve.kpis import CompareEach, CompareOne
from streams.serve.series import SeriesAnswer
from streams.settings import Settings
from tests.streams.serve.conftest import ready
from tests.streams.serve.shop import CLICKS, ORDERS, at, click, client, order, paid, shop

pytestmark = pytest.mark.anyio

DAY_S, APART_S = 86_400, 3 * 86_400


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The sale `this` is 90 s old; `last` was three days before. All panes are kept."""
    async with shop(settings.model_copy(update={"retain": "all"})) as made:
        for start, name, amount in ((-APART_S, "last", 500), (-DAY_S, None, 40), (0, "this", 1000)):
            labels = {"promotion_id": name} if name else {}
            await made.send(
                CLICKS, *(click(start + s, user=f"u{s}", channel="app", **labels) for s in range(0, 90, 10))
            )
            await made.send(ORDERS, *(paid(start + s, amount, f"u{s}", channel="app", **labels) for s in (20, 40)))
        await made.send(ORDERS, order(70, "order_refunded", 300, refund_amount=100, channel="web"))
        await made.send(CLICKS, click(90, user="late", channel="web"))
        await made.promote("last", -APART_S, 3600 - APART_S)
        await made.promote("this", 0, 3600, baseline="last")
        await made.compact()
        await made.attend()
        async with client(made.settings) as connected:
            await ready(connected)
            yield connected


async def get(api: httpx.AsyncClient, path: str, **query: str | int) -> dict:
    answer = await api.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: httpx.AsyncClient, **query: str | int) -> str:
    answer = await api.get("/api/v1/compare", params=query)
    assert answer.status_code == 422
    return answer.json()["error"]["message"]


async def test_compare_answers_both_moments_with_difference_and_ratio(api: httpx.AsyncClient) -> None:
    answer = await get(api, "compare", against="baseline", window="promotion")
    CompareOne.model_validate(answer)
    assert (answer["as_of"], answer["promotion"], answer["against"]) == (at(90), "this", "baseline")
    assert answer["then"] == {"as_of": at(90 - APART_S), "offset_ms": 1000 * APART_S, "promotion": "last"}
    sides = ("values", "compared", "difference", "ratio")
    assert [answer[side]["gmv"] for side in sides] == [2000, 1000, 1000, 2.0]
    assert (answer["difference"]["refunds"], answer["ratio"]["refunds"]) == (100, None), "over 0: null"
    assert (answer["difference"]["ctr"], answer["ratio"]["ctr"]) == (None, None)
    assert all(tuple(answer[side]) == NAMES for side in sides)


@pytest.mark.parametrize("against", ["baseline", "yesterday", "last_week"])
@pytest.mark.parametrize("cut", [{}, {"scope": "channel", "value": "app"}, {"scope": "sku", "value": "sku-1"}])
@pytest.mark.parametrize("window", ["1m", "1h", "day", "promotion"])
async def test_both_sides_equal_the_answers_of_kpis(
    api: httpx.AsyncClient, against: str, cut: dict, window: str
) -> None:
    answer = await get(api, "compare", against=against, window=window, **cut)
    now = await get(api, "kpis", window=window, as_of=answer["as_of"], **cut)
    whose = "last" if against == "baseline" else "this"
    then = await get(api, "kpis", window=window, as_of=answer["then"]["as_of"], promotion=whose, **cut)
    assert (answer["values"], answer["compared"]) == (now["values"], then["values"])
    assert answer["as_of"] - answer["then"]["as_of"] == answer["then"]["offset_ms"]
    assert answer["compared_value"] == answer["value"]


async def test_each_value_of_a_scope_is_answered(api: httpx.AsyncClient) -> None:
    answer = await get(api, "compare", against="yesterday", window="5m", scope="channel")
    CompareEach.model_validate(answer)
    assert [item["value"] for item in answer["items"]] == ["app", "web"]
    app, web = answer["items"]
    assert (app["values"]["gmv"], app["compared"]["gmv"], app["ratio"]["gmv"]) == (2000, 80, 25.0)
    assert (web["values"]["refunds"], web["compared"]["refunds"], web["ratio"]["refunds"]) == (100, 0, None)


async def test_a_promotion_is_compared_with_its_baseline(api: httpx.AsyncClient) -> None:
    answer = await get(api, "compare", against="baseline", window="promotion", scope="promotion")
    CompareEach.model_validate(answer)
    this, last = answer["items"]
    assert answer["then"] is None, "each has its own clock"
    assert (this["value"], this["compared_value"], this["difference"]["gmv"]) == ("this", "last", 1000)
    assert (last["value"], last["compared"], last["then"]) == ("last", None, None)
    one = await get(api, "compare", against="baseline", window="promotion", scope="promotion", value="this")
    assert {name: one[name] for name in ("compared", "ratio")} == {name: this[name] for name in ("compared", "ratio")}


async def test_a_series_includes_the_baseline_on_the_same_axis(api: httpx.AsyncClient) -> None:
    query = {"window": "promotion", "start": at(0), "end": at(90), "step": 10_000}
    answer = await get(api, "series/gmv", compare="baseline", **query)
    SeriesAnswer.model_validate(answer)
    assert answer["points"] == (await get(api, "series/gmv", **query))["points"]
    compared = answer["compared"]
    assert (compared["against"], compared["promotion"], compared["offset_ms"]) == ("baseline", "last", 1000 * APART_S)
    assert [ts for ts, _ in compared["points"]] == [ts for ts, _ in answer["points"]]
    for ts, number in compared["points"]:
        then = await get(api, "kpis", window="promotion", promotion="last", as_of=ts - 1000 * APART_S)
        assert then["values"]["gmv"] == number
    assert "compared" not in await get(api, "series/gmv", **query)


async def test_an_impossible_comparison_is_a_422_with_the_reason(api: httpx.AsyncClient) -> None:
    assert "known: baseline, yesterday, last_week" in await refused(api, against="christmas")
    assert "against" in await refused(api)
    assert "'last' has no baseline" in await refused(api, against="baseline", promotion="last")
    assert "unknown promotion 'never'" in await refused(api, against="baseline", promotion="never")
    assert "nothing to compare yet" in await refused(api, against="baseline", promotion="this", as_of=at(-1))
    assert "later than the newest" in await refused(api, against="yesterday", as_of=at(91))
    series = await api.get("/api/v1/series/gmv", params={"compare": "baseline", "promotion": "last"})
    assert series.json()["error"]["code"] == "not_answerable"


async def test_the_baseline_is_exported_on_metrics(api: httpx.AsyncClient) -> None:
    lines = (await api.get("/metrics")).text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("salepulse_promotion_baseline{"))
    by_kpi = {name.split('kpi="')[1].split('"')[0]: float(number) for name, number in found.items()}
    then = await get(api, "kpis", window="promotion", scope="promotion", value="last", as_of=at(60 - APART_S))
    known = {name: number for name, number in then["values"].items() if number is not None}
    assert set(by_kpi) == set(known)
    assert (by_kpi["gmv"], by_kpi["orders_paid"]) == (known["gmv"] / 100, known["orders_paid"]) == (10.0, 2)
