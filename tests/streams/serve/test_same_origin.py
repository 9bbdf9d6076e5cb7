"""Cross-site requests of browsers are rejected; scripts, proxies and the own page are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from streams.serve.same_origin import is_known_host
from streams.settings import Settings
from streams.tokens.token import TokenScope
from tests.streams.serve.conftest import ready
from tests.streams.serve.following import served
from tests.streams.serve.shop import Shop, client, shop_settings
from tests.streams.tokens.making import token, write

pytestmark = pytest.mark.anyio

SILENCE = {"matchers": ["rule=x"], "duration": "2h", "by": "me"}
FINGERPRINT = "0123456789abcdef"
WRITES = [
    ("POST", "/api/v1/silences"),
    ("POST", f"/api/v1/alerts/{FINGERPRINT}/ack"),
    ("DELETE", "/api/v1/silences/none"),
    ("PUT", "/api/v1/anything"),
]


async def refused(api: httpx.AsyncClient, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and error code of a request, with a JSON body if the method has one."""
    body = None if method in ("GET", "DELETE") else SILENCE
    answer = await api.request(
        method, path, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    code = answer.json().get("error", {}).get("code", "") if answer.content else ""
    return answer.status_code, code


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:8080", "127.0.0.1.rebound.example", "10.0.0.7"])
@pytest.mark.parametrize("method_path", [("GET", "/api/v1/kpis"), ("GET", "/"), ("GET", "/readyz"), *WRITES])
async def test_requests_with_a_rebound_host_name_are_rejected(
    api: httpx.AsyncClient, host: str, method_path: tuple[str, str]
) -> None:
    # A browser on a rebound name sends equal Origin and Host.
    origin = {} if method_path[0] == "GET" else {"origin": f"http://{host}", "sec_fetch_site": "same-origin"}
    assert await refused(api, *method_path, host=host, **origin) == (421, "unknown_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "shop.localhost"]
)
async def test_loopback_names_are_accepted(api: httpx.AsyncClient, host: str) -> None:
    assert (await api.get("/api/v1/kpis", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "[", "[::1", "::1", "localhost:8080:1", "evil@localhost", "localhost,evil", "a b"]
)
def test_malformed_hosts_are_rejected(host: str) -> None:
    assert is_known_host(host, ()) == (host in ("[::1", "localhost:8080:1"))  # these have our host name


async def test_host_names_of_settings_are_accepted(redis_url: str, open_shop: Shop) -> None:
    settings = shop_settings(
        redis_url, public_url="https://pulse.example.com/x", http_allowed_hosts="serve, Other:9000"
    )
    async with client(settings) as api:
        await ready(api)
        for host in ("pulse.example.com", "serve:8080", "other"):
            assert (await api.get("/healthz", headers={"host": host})).status_code == 200
        assert (await api.get("/healthz", headers={"host": "example.com"})).status_code == 421
        # A proxy may pass another Host than the public one.
        wish = {"json": SILENCE, "headers": {"host": "serve:8080", "origin": "https://pulse.example.com"}}
        assert (await api.post("/api/v1/silences", **wish)).status_code == 201


async def test_all_host_names_can_be_allowed(redis_url: str, open_shop: Shop) -> None:
    async with client(shop_settings(redis_url, http_allowed_hosts="*")) as api:
        assert (await api.get("/healthz", headers={"host": "anything"})).status_code == 200


@pytest.mark.parametrize("method_path", WRITES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://localhost.evil.example"},
        {"origin": "null"},
        {"origin": "chrome-extension://abc"},
        {"origin": "http://localhost", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_writes_from_other_sites_are_rejected(
    api: httpx.AsyncClient, method_path: tuple[str, str], headers: dict[str, str]
) -> None:
    assert await refused(api, *method_path, **headers) == (403, "foreign_origin")
    assert (await api.get("/api/v1/silences")).json() == {"silences": []}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost"},
        {"origin": "https://localhost:443", "host": "localhost:443"},
        {"origin": "http://localhost:8080", "host": "localhost:8080", "sec_fetch_site": "same-origin"},
    ],
)
async def test_writes_from_the_own_page_and_from_scripts_are_accepted(
    api: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert await refused(api, "POST", "/api/v1/silences", **headers) == (201, "")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
async def test_bodies_without_a_json_content_type_are_rejected(api: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = await api.post("/api/v1/silences", content=b'{"by": "me"}', headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "not_json")


async def test_reads_from_other_sites_get_no_cors_headers(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/v1/kpis", headers={"origin": "http://evil.example", "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_with_tokens_any_host_is_accepted_unless_hosts_are_set(
    redis_url: str, open_shop: Shop, tmp_path: Path
) -> None:
    """Browsers send a token only to its host, and Prometheus scrapes by address."""
    tokens = write(tmp_path / "tokens.json", token("reader", TokenScope.READ))
    bearer = {"authorization": "Bearer sp_reader", "host": "10.0.0.7:8080"}
    async with client(shop_settings(redis_url, tokens_file=str(tokens))) as api:
        assert (await api.get("/metrics", headers=bearer)).status_code == 200
        foreign = {"authorization": "Bearer sp_reader", "origin": "http://evil.example"}
        assert (await api.post("/api/v1/silences", json=SILENCE, headers=foreign)).status_code == 403
        assert (await api.post("/api/v1/silences", json=SILENCE, headers=foreign)).json()["error"]["code"] == (
            "foreign_origin"
        )
    async with client(shop_settings(redis_url, tokens_file=str(tokens), http_allowed_hosts="serve")) as api:
        assert (await api.get("/metrics", headers=bearer)).status_code == 421
        assert (await api.get("/metrics", headers={**bearer, "host": "serve:8080"})).status_code == 200
        assert (await api.get("/healthz", headers={"host": "10.0.0.7:8080"})).status_code == 200, "a probe of a pod"


async def test_http_1_0_requests_without_host_are_accepted(settings: Settings) -> None:
    from streams.serve.same_origin import SameOrigin

    reached = []

    async def app(*_: object) -> None:
        reached.append(True)

    scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": []}
    await SameOrigin(app, settings)(scope, app, app)  # type: ignore[arg-type]
    assert reached


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        ("http://localhost/readyz", "localhost", 200),
        ("http://127.0.0.1:1/api/v1/kpis?window=5m", "localhost", 200),
        ("HTTP://localhost?x=1", "localhost", 200),
        ("https://localhost/api/v1/stock/TEE%2FRED", "localhost", 200),
        ("http://localhost/readyz", "rebound.example", 200),
        ("http://rebound.example/readyz", "localhost", 421),
        ("http://localhost@rebound.example/readyz", "localhost", 421),
        ("http:///readyz", "localhost", 404),
        ("http://localhost/nothing", "localhost", 404),
    ],
)
async def test_the_host_of_an_absolute_form_target_is_checked(
    open_shop: Shop, settings: Settings, target: str, header: str, status: int
) -> None:
    async with served(settings) as url:
        async with httpx.AsyncClient(base_url=url) as api:
            await ready(api)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {header}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
