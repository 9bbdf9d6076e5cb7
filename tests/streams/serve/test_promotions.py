"""`/api/v1/promotions`: definition, phase, KPIs, targets and forecast."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.model.kpis import NAMES
from streams.serve.promotions import OnePromotionAnswer, PromotionsAnswer
from streams.settings import Settings
from tests.streams.serve.conftest import ready, soon
from tests.streams.serve.shop import CLICKS, ORDERS, Shop, at, click, client, paid, shop

pytestmark = pytest.mark.anyio

HOUR = 3_600
TARGETS = {"base": 8_000, "sprint": 20_000, "challenge": 200_000}
PHASES = [
    {"name": "opening", "starts_at": at(2 * HOUR), "ends_at": at(2.5 * HOUR)},
    {"name": "encore", "starts_at": at(3.5 * HOUR), "ends_at": at(4 * HOUR)},
]


async def get_promotion(api: httpx.AsyncClient, path: str = "", **query: int) -> dict[str, Any]:
    answer = await api.get(f"/api/v1/promotions{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def orders(promotion: str, start_s: float, end_s: float, amount: int, seed: int) -> list[dict[str, Any]]:
    """An order about every 30 seconds."""
    chance = Random(seed)
    times = sorted(chance.uniform(start_s, end_s) for _ in range(int((end_s - start_s) / 30)))
    return [paid(time, amount, f"u{i}", promotion_id=promotion) for i, time in enumerate(times)]


@pytest.fixture
async def sale(settings: Settings) -> AsyncIterator[Shop]:
    """The last sale is from 0 to 2 h, the current one from 2 to 4 h with 1.5 times as many orders; it is 3 h."""
    async with shop(settings) as made:
        await made.promote("last", 0, 2 * HOUR)
        await made.promote("now", 2 * HOUR, 4 * HOUR, baseline="last", targets=TARGETS, phases=PHASES, skus=["sku-1"])
        await made.promote("next", 9 * HOUR, 10 * HOUR, targets=TARGETS)
        await made.send(ORDERS, *orders("last", 0, 2 * HOUR, 100, 1))
        await made.send(ORDERS, *orders("now", 2 * HOUR, 3 * HOUR, 150, 2), paid(3 * HOUR, 1, "late"))
        await made.send(CLICKS, click(3 * HOUR))
        await made.attend()
        yield made


@pytest.fixture
async def selling(sale: Shop, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with client(settings) as made:
        await ready(made)
        yield made


async def test_a_running_promotion_is_answered(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling, "/now")
    OnePromotionAnswer.model_validate(answer)
    assert (answer["as_of"], answer["state"], answer["phase"]) == (at(3 * HOUR), "running", None)
    assert (answer["next_phase"]["name"], answer["next_phase"]["elapsed_fraction"]) == ("encore", 0)
    assert (answer["elapsed_ms"], answer["elapsed_fraction"]) == (HOUR * 1000, 0.5)
    definition = answer["definition"]
    assert (definition["baseline"], definition["skus"], definition["targets"]) == ("last", ["sku-1"], TARGETS)
    assert tuple(answer["values"]) == NAMES
    kpis = (
        await selling.get("/api/v1/kpis", params={"window": "promotion", "scope": "promotion", "value": "now"})
    ).json()
    assert answer["values"] == kpis["values"]
    assert [one["tier"] for one in answer["targets"]] == list(TARGETS)
    for one in answer["targets"]:
        assert one["attainment"] == kpis["values"]["net_gmv"] / one["target"]


async def test_the_forecast_uses_the_last_sale(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling, "/now")
    expected, net_gmv = answer["forecast"], answer["values"]["net_gmv"]
    assert (expected["basis"], expected["earlier"], expected["as_of"]) == ("earlier", ["last"], at(3 * HOUR))
    assert net_gmv < expected["low"] < expected["expected"] < expected["high"]
    assert expected["expected"] == pytest.approx(2 * net_gmv, rel=0.25)
    base, sprint, challenge = (one["probability"] for one in answer["targets"])
    assert base > 0.999
    assert 0.001 < challenge < sprint < base or challenge < 0.001


async def test_a_future_promotion_has_zeros_and_no_forecast(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling, "/next")
    assert (answer["state"], answer["phase"], answer["elapsed_ms"], answer["forecast"]) == ("upcoming", None, 0, None)
    assert (answer["values"]["gmv"], answer["targets"][0]["attainment"], answer["targets"][0]["probability"]) == (
        0,
        0,
        None,
    )


async def test_the_forecast_of_an_ended_promotion_is_its_result(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling, "/last")
    final = answer["values"]["net_gmv"]
    assert (answer["state"], answer["elapsed_fraction"], answer["targets"]) == ("ended", 1, [])
    forecast = answer["forecast"]
    assert (forecast["basis"], forecast["expected"], forecast["low"], forecast["high"]) == (
        "final",
        final,
        final,
        final,
    )


async def test_the_result_replaces_the_forecast_at_once(sale: Shop, settings: Settings) -> None:
    async with client(settings) as api:
        await ready(api)
        assert (await get_promotion(api, "/now"))["forecast"]["basis"] == "earlier"
        await sale.send(ORDERS, paid(4 * HOUR + 5, 1, "later"))
        await sale.send(CLICKS, click(4 * HOUR + 5))

        async def ended() -> bool:
            return (await get_promotion(api, "/now"))["state"] == "ended"

        await soon(ended)
        assert (await get_promotion(api, "/now"))["forecast"]["basis"] == "final"


async def test_promotions_are_listed_by_start(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling)
    PromotionsAnswer.model_validate(answer)
    assert [one["promotion_id"] for one in answer["promotions"]] == ["last", "now", "next"]
    alone = await get_promotion(selling, "/now")
    assert answer["promotions"][1] == {name: alone[name] for name in answer["promotions"][1]}


async def test_an_earlier_as_of_has_its_own_phase_numbers_and_forecast(selling: httpx.AsyncClient) -> None:
    answer = await get_promotion(selling, "/now", as_of=at(2.25 * HOUR))
    assert (answer["as_of"], answer["live"]) == (at(2.25 * HOUR), False)
    assert (answer["phase"]["name"], answer["phase"]["elapsed_fraction"]) == ("opening", 0.5)
    assert answer["forecast"]["as_of"] == at(2.25 * HOUR)
    later = await get_promotion(selling, "/now")
    assert answer["values"]["gmv"] < later["values"]["gmv"]
    assert answer["forecast"]["high"] - answer["forecast"]["low"] > later["forecast"]["high"] - later["forecast"]["low"]


async def test_without_an_earlier_promotion_the_forecast_uses_the_usual_day(sale: Shop, settings: Settings) -> None:
    await sale.promote("now", 2 * HOUR, 4 * HOUR, targets=TARGETS)
    async with client(settings) as api:
        await ready(api)
        alone = (await get_promotion(api, "/now"))["forecast"]
    assert (alone["basis"], alone["earlier"]) == ("day", [])
    assert alone["high"] - alone["low"] > 0


async def test_the_forecast_uses_an_earlier_sale_as_soon_as_it_is_counted(settings: Settings) -> None:
    async with shop(settings) as made:
        await made.promote("last", 0, 2 * HOUR)
        await made.promote("now", 2 * HOUR, 4 * HOUR, baseline="last", targets=TARGETS)
        await made.send(ORDERS, *orders("now", 2 * HOUR, 3 * HOUR, 150, 2), paid(3 * HOUR, 1, "late"))
        await made.send(CLICKS, click(3 * HOUR))
        await made.attend()
        async with client(settings) as api:
            await ready(api)

            async def basis() -> str:
                return (await get_promotion(api, "/now", as_of=at(3 * HOUR - 60)))["forecast"]["basis"]

            assert await basis() == "day"
            await made.send(ORDERS, *orders("last", 0, 2 * HOUR, 100, 1))

            async def earlier() -> bool:
                return await basis() == "earlier"

            await soon(earlier)


async def test_a_changed_definition_is_answered_at_once(sale: Shop, settings: Settings) -> None:
    async with client(settings) as api:
        await ready(api)
        before = await get_promotion(api, "/now")
        changed = {"baseline": "last", "targets": {**TARGETS, "base": 4_000}, "phases": PHASES[:1], "skus": ["sku-9"]}
        await sale.promote("now", 2.5 * HOUR, 3.5 * HOUR, **changed)

        async def seen() -> bool:
            return (await get_promotion(api, "/now"))["definition"]["skus"] == ["sku-9"]

        await soon(seen)
        after = await get_promotion(api, "/now")
        assert (after["elapsed_fraction"], after["next_phase"]) == (0.5, None)
        assert after["values"]["gmv"] < before["values"]["gmv"]
        assert after["targets"][0]["attainment"] == after["values"]["net_gmv"] / 4_000
        assert after["forecast"]["expected"] < before["forecast"]["expected"]
        await sale.withdraw("now")

        async def gone() -> bool:
            return (await api.get("/api/v1/promotions/now")).status_code == 404

        await soon(gone)


async def test_an_unknown_promotion_is_a_404_that_lists_the_known_ones(selling: httpx.AsyncClient) -> None:
    answer = await selling.get("/api/v1/promotions/never")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], "last, next, now" in error["message"]) == ("unknown_promotion", True)


async def test_a_future_as_of_is_rejected(selling: httpx.AsyncClient) -> None:
    assert (await selling.get("/api/v1/promotions", params={"as_of": at(9 * HOUR)})).status_code == 422


async def test_values_of_an_old_promotion_are_null_and_others_are_not(settings: Settings) -> None:
    async with shop(settings) as made:
        await made.promote("old", 100, 5_000, targets=TARGETS)
        await made.promote("new", 100 * HOUR, 110 * HOUR)
        await made.send(ORDERS, paid(200, 100, promotion_id="old"), paid(101 * HOUR, 7, promotion_id="new"))
        await made.send(CLICKS, click(101 * HOUR), click(101 * HOUR + 1))
        await made.send(ORDERS, paid(101 * HOUR + 1, 1))
        await made.attend()
        async with client(settings) as api:
            await ready(api)
            old, new = (await get_promotion(api))["promotions"]
    assert (old["values"], old["forecast"], old["targets"][0]["attainment"]) == (None, None, None)
    assert (new["values"]["gmv"], new["state"]) == (7, "running")


async def test_running_promotions_are_exported_on_metrics(selling: httpx.AsyncClient) -> None:
    answer, text = await get_promotion(selling, "/now"), (await selling.get("/metrics")).text
    samples = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "promotion" in sample.labels
    }
    assert samples["salepulse_promotion_elapsed_ratio", frozenset({"now"})] == 0.5
    for bound in ("expected", "low", "high"):
        exported = samples["salepulse_promotion_expected_net_gmv", frozenset({"now", bound})]
        assert exported == pytest.approx(answer["forecast"][bound] / 100, abs=0.01)
    for one in answer["targets"]:
        assert samples["salepulse_target_probability", frozenset({"now", one["tier"]})] == one["probability"]
        assert samples["salepulse_promotion_target_net_gmv", frozenset({"now", one["tier"]})] == one["target"] / 100
    for edge in ("starts", "ends"):
        at_ms = answer["definition"][f"{edge}_at"]
        assert samples[f"salepulse_promotion_{edge}_seconds", frozenset({"now"})] == at_ms / 1000
    assert all("now" in labels for _, labels in samples)


async def test_a_promotion_may_end_within_a_second(settings: Settings) -> None:
    async with shop(settings) as made:
        await made.promote("short", 0, 34.6, targets=TARGETS)
        await made.send(ORDERS, *(paid(second, 100, f"u{second}", promotion_id="short") for second in range(34)))
        await made.send(CLICKS, click(36))
        await made.send(ORDERS, paid(36, 100, "u"))
        await made.attend()
        async with client(settings) as api:
            await ready(api)
            answer = await get_promotion(api, "/short")
    assert (answer["state"], answer["forecast"]["basis"]) == ("ended", "final")
    assert answer["forecast"]["expected"] == answer["values"]["net_gmv"] == 3_400
