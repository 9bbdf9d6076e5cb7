"""`/api/v1/shipping`: waiting and overdue orders over HTTP."""

from __future__ import annotations

import httpx
import pytest

from streams.serve.shipping import ShippingAnswer
from tests.streams.serve.conftest import soon
from tests.streams.serve.shop import CLICKS, LOGISTICS, Shop, at, click

pytestmark = pytest.mark.anyio


async def test_the_shipping_report_is_answered(api: httpx.AsyncClient, open_shop: Shop) -> None:
    parcel = {"order_id": "o-u1", "carrier": "dhl", "warehouse": "w-1"}
    await open_shop.send(LOGISTICS, {"type": "shipment_delivered", "ts": at(70), **parcel})
    await open_shop.send(CLICKS, click(80))

    async def is_in() -> bool:
        return (await api.get("/api/v1/shipping")).json()["as_of"] >= at(70)

    await soon(is_in)
    answer = (await api.get("/api/v1/shipping?by=carrier&hours=48")).json()
    ShippingAnswer.model_validate(answer)
    whole = (await api.get("/api/v1/kpis?window=24h")).json()["values"]
    assert all(whole[name] == number for name, number in answer["whole"]["values"].items())
    assert len(answer["forecast"]) == 48
    assert answer["forecast"][0]["start"] == answer["as_of"]


async def test_invalid_queries_are_422(api: httpx.AsyncClient) -> None:
    for query in ("by=colour", "hours=0", "window=7m"):
        answer = await api.get(f"/api/v1/shipping?{query}")
        assert answer.status_code == 422
        assert set(answer.json()) == {"error"}


async def test_a_series_of_a_state_equals_the_answers_of_kpis(api: httpx.AsyncClient) -> None:
    for name in ("unshipped_orders", "overdue_shipments", "ship_hours", "delivery_hours"):
        answer = (await api.get(f"/api/v1/series/{name}?start={at(0)}&end={at(60)}&step=20000")).json()
        for moment, number in answer["points"]:
            asked = await api.get(f"/api/v1/kpis?window=1m&as_of={moment}")
            assert asked.json()["values"][name] == number, (name, moment)
