"""Every error has the same shape, the right status, and a message with the fix."""

from __future__ import annotations

import httpx
import pytest

from streams.settings import Settings
from tests.streams.serve.conftest import soon
from tests.streams.serve.shop import at, client

pytestmark = pytest.mark.anyio

CASES = [
    ("/api/v1/kpis?window=7m", 422, "unknown_window", "unknown window '7m'; known: 1m, 5m, 15m"),
    ("/api/v1/kpis?scope=moon", 422, "unknown_scope", "unknown scope 'moon'; known: all, promotion, channel"),
    ("/api/v1/top?scope=chanel", 422, "unknown_scope", "did you mean 'channel'?"),
    ("/api/v1/kpis?value=x", 422, "invalid_parameter", "scope all has no values"),
    ("/api/v1/kpis?as_of=noon", 422, "invalid_parameter", "as_of"),
    (f"/api/v1/kpis?as_of={at(61)}", 422, "not_answerable", "later than the newest"),
    (f"/api/v1/kpis?as_of={at(-30 * 86400)}", 422, "not_answerable", "further back than panes are kept"),
    ("/api/v1/kpis?as_of=1", 422, "not_answerable", "as_of 1 is further back than panes are kept (3 days)"),
    ("/api/v1/kpis?window=promotion&promotion=none", 422, "not_answerable", "known: spring"),
    ("/api/v1/top?by=aov", 422, "unknown_counter", "unknown counter 'aov'; known: page_views"),
    ("/api/v1/top?by=discounts", 422, "not_answerable", "scope sku has no discounts"),
    ("/api/v1/top?n=0", 422, "invalid_parameter", "n"),
    ("/api/v1/series/gvm", 422, "unknown_kpi", "unknown kpi 'gvm'; known: page_views"),
    ("/api/v1/series/gmv?scope=channel", 422, "invalid_parameter", "add value="),
    ("/api/v1/series/gmv?step=1500", 422, "invalid_parameter", "step: it must be a multiple of 1000"),
    ("/api/v1/series/gmv?step=1000", 422, "too_many_points", "use step=2000 or more"),
    (f"/api/v1/series/gmv?start={at(9)}&end={at(8)}", 422, "invalid_parameter", "after end"),
    (f"/api/v1/series/gmv?end={at(99)}", 422, "not_answerable", "later than the newest"),
    ("/api/v1/kpis?windo=5m", 422, "unknown_parameter", "unknown parameter 'windo'; known: window, scope, value"),
    ("/api/v1/kpis?windo=5m", 422, "unknown_parameter", "did you mean 'window'?"),
    ("/api/v1/kpis?windo=7m&scope=moon", 422, "unknown_parameter", "'windo'"),
    ("/api/v1/kpis?window=1m&window=5m", 422, "invalid_parameter", "window is given 2 times: give it once"),
    ("/api/v1/kpis?window=1m&window=1m&windo=", 422, "invalid_parameter", "window is given 2 times"),
    ("/api/v1/top?top=5", 422, "unknown_parameter", "unknown parameter 'top'; known: by, window"),
    ("/api/v1/series/gmv?names=1", 422, "unknown_parameter", "unknown parameter 'names'; known: window"),
    ("/api/v1/stock?sku=x", 422, "unknown_parameter", "unknown parameter 'sku'; known: "),
    ("/api/v1/stock/s1?n=1", 422, "unknown_parameter", "known: promotion, as_of"),
    ("/api/v1/alerts?rules=bogus", 422, "unknown_parameter", "known: state, severity, rule; did you mean 'rule'?"),
    ("/api/v1/silences?a=1", 422, "unknown_parameter", "unknown parameter 'a'; there are none here"),
    ("/api/v1/stream?as_of=1", 422, "unknown_parameter", "known: window, scope, value"),
    ("/api/v1/promotions/spring?asof=1", 422, "unknown_parameter", "did you mean 'as_of'?"),
    ("/api/v1/nothing", 404, "not_found", "/docs"),
]


@pytest.mark.parametrize(("path", "status", "code", "message"), CASES)
async def test_an_error_has_its_status_code_and_message(
    api: httpx.AsyncClient, path: str, status: int, code: str, message: str
) -> None:
    answer = await api.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == code
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/metrics?collect[]=a", "/healthz?probe=1", "/?series=gmv&since=1&utm_source=chat"])
async def test_paths_outside_the_api_accept_any_parameter(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code == 200


async def test_the_api_of_numbers_is_read_only(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/kpis")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_queries_before_the_first_event_are_503(settings: Settings) -> None:
    async with client(settings) as api:

        async def redis_answers() -> bool:
            return "no worker" in (await api.get("/readyz")).text

        await soon(redis_answers)
        for path in ("/api/v1/kpis", "/api/v1/top", "/api/v1/series/gmv"):
            answer = await api.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        assert (await api.get("/healthz")).status_code == 200
        assert "salepulse_ready 0.0" in (await api.get("/metrics")).text
