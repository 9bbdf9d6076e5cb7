"""Ids of any characters work percent-encoded in paths."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.api_client import ApiClient
from streams.serve.paths import path_segment, routed_path
from streams.settings import Settings
from tests.streams.serve.conftest import ready
from tests.streams.serve.following import served
from tests.streams.serve.shop import CLICKS, ORDERS, click, paid, shop

pytestmark = pytest.mark.anyio

IDS = [
    "TEE/RED",
    "/",
    "a/b/../c",
    "a/path",
    "50%",
    "50%25",
    "TEE%2FRED",
    "what?x=1&y#z",
    "two words",
    "a+b",
    "红/M",
    "é",
    "dot.",
    "...",
    "a\\b;c,d:e@f!$'()*=~|[]{}^`<>\"",
]


@contextlib.asynccontextmanager
async def asked(settings: Settings) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """A server over a shop with one unit sold and one promotion for each id."""
    async with shop(settings) as made:
        for at, name in enumerate(IDS):
            await made.promote(name, 0, 3600)
            await made.send(ORDERS, paid(10 + at, 100 + at, f"u{at}", name, promotion_id=name))
        await made.send(CLICKS, click(60))
        await made.attend()
        async with served(settings) as url, httpx.AsyncClient(base_url=url, timeout=15) as http:
            await ready(http)
            yield url, http


async def test_ids_round_trip(settings: Settings) -> None:
    async with asked(settings) as (url, http):
        api = ApiClient(url)
        for at, name in enumerate(IDS):
            answer = await http.get(f"/api/v1/promotions/{path_segment(name)}")
            assert (answer.status_code, answer.json()["promotion_id"]) == (200, name)
            assert answer.json()["values"]["gmv"] == 100 + at
            status, stock = await api.get(f"/api/v1/stock/{path_segment(name)}")
            assert (status, stock["sku"], stock["units_per_hour"]) == (200, name, 1)
            status, error = await api.get(f"/api/v1/series/{path_segment(name)}")
            assert status == 422
            assert error["error"]["message"].startswith(f"unknown kpi {name!r}")
            ended = await http.delete(f"/api/v1/silences/{path_segment(name)}")
            assert (ended.status_code, ended.json()["error"]["code"]) == (404, "unknown_silence")
            assert repr(name) in ended.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/v1/stock/a/b", "/api/v1%2Fstock/x", "/api/v1/promotions/a/b"])
async def test_a_slash_that_is_not_encoded_ends_the_id(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code == 404


async def test_an_encoded_slash_does_not_reach_another_route(api: httpx.AsyncClient) -> None:
    """Token scopes are checked against the routed path."""
    assert (await api.post("/api/v1/alerts%2F0123456789abcdef%2Fack")).status_code == 404
    assert (await api.get("/api/v1/stock%2Fsku-1")).status_code == 404


async def test_head_is_answered_as_get_is_without_a_body(settings: Settings) -> None:
    async with asked(settings) as (_, http):
        for path in ("/healthz", "/api/v1/kpis", "/metrics", "/", "/api/v1/stock/TEE%2FRED"):
            answer = await http.head(path)
            assert (answer.status_code, answer.content) == (200, b""), path
        assert (await http.head("/api/v1/stream")).status_code == 405


@given(st.text(min_size=1, max_size=20))
def test_any_text_is_one_segment_of_the_routed_path(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    routed = routed_path(f"/stock/{path_segment(text)}")
    assert routed.count("/") == 2
    assert unquote(routed.removeprefix("/stock/")) == text
