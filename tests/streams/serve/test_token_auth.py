"""With tokens, every route requires one with the right scope."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from streams.clock import now_ms
from streams.serve.app import create_app
from streams.settings import Settings
from streams.tokens.token import OPEN_PATHS, TokenScope
from tests.streams.serve.conftest import ready
from tests.streams.serve.shop import Shop, client, shop_settings
from tests.streams.tokens.making import token, write

pytestmark = pytest.mark.anyio

ACK = "/api/v1/alerts/0123456789abcdef/ack"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """One token of each scope, and an expired one."""
    old = token("old", TokenScope.ADMIN, expires_ms=now_ms() - 1000)
    return write(tmp_path / "tokens.json", *(token(right.value, right) for right in TokenScope), old)


@pytest.fixture
async def guarded(redis_url: str, open_shop: Shop, tokens: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with tokens."""
    async with client(shop_settings(redis_url, tokens_file=str(tokens))) as made:
        await ready(made)
        yield made


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer sp_{name}"}


async def test_every_route_but_probes_needs_a_token(guarded: httpx.AsyncClient, tokens: Path) -> None:
    document = create_app(Settings(tokens_file=str(tokens))).openapi()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert ("POST", "/api/v1/silences") in routes, "also those that another package declares"
    for method, path in routes | {("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/")}:
        answer = await guarded.request(method, path.format_map(_Anything()))
        assert (answer.status_code == 401) is (path not in OPEN_PATHS), (method, path)


async def test_unknown_paths_need_a_token(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/nothing/here")).status_code == 401


@pytest.mark.parametrize("right", list(TokenScope))
async def test_every_scope_can_read(guarded: httpx.AsyncClient, right: TokenScope) -> None:
    for path in ("/api/v1/kpis", "/metrics", "/openapi.json", "/docs", "/api/v1/alerts"):
        assert (await guarded.get(path, headers=bearer(right))).status_code == 200


async def test_acknowledging_needs_ack_and_silencing_needs_admin(guarded: httpx.AsyncClient) -> None:
    wish = {"by": "me", "comment": "no", "matchers": [], "ends_at": "nonsense"}

    async def status(method: str, path: str, right: TokenScope) -> int:
        return (await guarded.request(method, path, headers=bearer(right), json=wish)).status_code

    # 404 and 422: the request reached the route.
    assert [await status("POST", ACK, right) for right in TokenScope] == [403, 422, 422]
    assert [await status("POST", "/api/v1/silences", right) for right in TokenScope] == [403, 403, 422]
    assert [await status("DELETE", "/api/v1/silences/none", right) for right in TokenScope] == [403, 403, 404]


async def test_a_rejected_token_has_a_fix_in_its_message(guarded: httpx.AsyncClient) -> None:
    none, unknown = await guarded.get("/metrics"), await guarded.get("/metrics", headers=bearer("stranger"))
    old, weak = await guarded.get("/metrics", headers=bearer("old")), await guarded.post(ACK, headers=bearer("read"))
    errors = [
        (answer.json()["error"]["code"], answer.json()["error"]["message"]) for answer in (none, unknown, old, weak)
    ]
    assert [code for code, _ in errors] == ["unauthorized", "unauthorized", "unauthorized", "forbidden"]
    assert "Authorization: Bearer TOKEN" in errors[0][1]
    assert "salepulse tokens create" in errors[1][1]
    assert "'old' expired at " in errors[2][1]
    assert "needs a token of scope ack, and 'read' has scope read" in errors[3][1]
    assert not any("sp_" in message for _, message in errors)


async def test_a_browser_sends_the_token_as_password(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/docs")).headers["www-authenticate"].startswith("Basic ")
    assert (await guarded.get("/docs", auth=("anybody", "sp_read"))).status_code == 200
    assert (await guarded.get("/docs", auth=("sp_read", "anybody"))).status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_cross_site_form_with_a_valid_token_is_rejected(guarded: httpx.AsyncClient, kind: str) -> None:
    wish = b'{"matchers": ["rule=x"], "duration": "2h", "by": "me"}'
    answer = await guarded.post(
        "/api/v1/silences", content=wish, headers={"content-type": kind}, auth=("anybody", "sp_admin")
    )
    assert answer.status_code == 415
    assert (await guarded.get("/api/v1/silences", auth=("anybody", "sp_admin"))).json() == {"silences": []}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "sp_read", "Basic sp_read", "Basic ////", "Digest sp_read", "Bearer sp_read, sp_read"],
)
async def test_malformed_tokens_are_rejected(guarded: httpx.AsyncClient, header: str) -> None:
    assert (await guarded.get("/metrics", headers={"authorization": header})).status_code == 401


async def test_tokens_that_are_not_utf8_are_rejected(guarded: httpx.AsyncClient) -> None:
    header = b"Basic " + base64.b64encode(b"\xff\xfe:\xff")
    assert (await guarded.get("/metrics", headers={b"authorization": header})).status_code == 401


async def test_without_a_tokens_file_no_token_is_needed(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v1/kpis")).status_code == 200


class _Anything(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "anything"
