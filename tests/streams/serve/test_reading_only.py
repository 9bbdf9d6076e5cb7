"""All reading routes work with the read-only Redis user of docs/security.md."""

from __future__ import annotations

import httpx
import pytest

from streams.dictionary.builtin import BUILT_IN
from streams.model.kpis import NAMES
from streams.serve.definitions import definitions
from streams.settings import Settings
from tests.streams.serve.conftest import ready
from tests.streams.serve.shop import Shop, client, shop_settings
from tests.support.secure_redis import READER, documented_rules

pytestmark = pytest.mark.anyio


async def test_every_route_works_with_the_read_only_redis_user(open_shop: Shop, settings: Settings) -> None:
    rules = documented_rules(READER, "secret")
    await open_shop.redis.execute_command("ACL", "SETUSER", "reader", *rules)
    await open_shop.redis.acl_log_reset()
    try:
        url = settings.redis_url.get_secret_value().replace("redis://", "redis://reader:secret@")
        async with client(shop_settings(url)) as api:
            await ready(api)
            for path in (
                "/api/v1/kpis?window=24h",
                "/api/v1/kpis?scope=channel",
                "/api/v1/top?window=day",
                "/api/v1/series/conversion_rate?window=1h",
                "/api/v1/compare?against=yesterday",
                "/api/v1/stock",
                "/api/v1/shipping",
                "/api/v1/promotions",
                "/api/v1/alerts",
                "/api/v1/silences",
                "/api/v1/definitions",
                "/metrics",
            ):
                assert (await api.get(path)).status_code == 200
        assert await open_shop.redis.acl_log() == [], "nothing was tried that was refused"
    finally:
        await open_shop.redis.execute_command("ACL", "DELUSER", "reader")


async def test_definitions_list_every_number(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/api/v1/definitions")).json()
    assert [definition["name"] for definition in answer["definitions"]] == list(NAMES)
    by_name = {definition["name"]: definition for definition in answer["definitions"]}
    assert by_name["aov"]["formula"] == "gmv / orders_paid"
    assert by_name["aov"]["unit"] == "money"
    assert "sku" not in by_name["discounts"]["scopes"]
    assert len(list(definitions())) == len(NAMES)


async def test_the_openapi_document_lists_the_scopes(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    (scope,) = [one for one in document["paths"]["/api/v1/top"]["get"]["parameters"] if one["name"] == "scope"]
    assert scope["schema"]["enum"] == list(BUILT_IN.dimensions)
    assert scope["schema"]["default"] == "sku"
    assert "all, promotion, channel" in (await api.get("/docs")).text


async def test_docs_load_nothing_from_elsewhere(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs")).text
    document = (await api.get("/openapi.json")).json()
    assert "http://" not in page
    assert "https://" not in page
    for path in document["paths"]:
        assert path in page
    assert {"/api/v1/kpis", "/api/v1/series/{name}", "/api/v1/top", "/metrics", "/readyz"} <= document["paths"].keys()
