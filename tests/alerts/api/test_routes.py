"""Alerts and silences over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from alerts.api.routes import router
from alerts.rule_states import NO_RULE_STATES, RuleCondition, next_states
from streams.serve.app import create_app
from streams.store.keys import Keys
from streams.store.last_evaluation import EVALUATED_WITHIN_MS, write_awaiting_events, write_last_evaluation
from tests.alerts.builders import T0, finding, status
from tests.alerts.engine import Process, beside_servers
from tests.alerts.state.alert_play import BAD, FINE
from tests.streams.serve.shop import client, shop_settings

pytestmark = pytest.mark.anyio

WEB = finding(labels={"channel": "web"})


@pytest.fixture
async def process(redis_url: str) -> AsyncIterator[Process]:
    """A process with alerts: the one of `app` fires, the one of `web` is resolved."""
    async with beside_servers(redis_url) as made:
        await made.evaluate(0, WEB)
        await made.evaluate(10, BAD)
        yield made


@pytest.fixture
async def api(redis_url: str, process: Process) -> AsyncIterator[httpx.AsyncClient]:
    settings = shop_settings(redis_url, public_url="https://pulse.example")
    app = create_app(settings)
    if "/api/v1/alerts" not in app.openapi()["paths"]:  # installed packages declare them as entry points
        app.include_router(router)
    async with client(settings, app) as made:
        yield made


async def test_alerts_are_listed_newest_first_with_all_fields(api: httpx.AsyncClient) -> None:
    found = (await api.get("/api/v1/alerts")).json()["alerts"]
    assert [(one["labels"]["channel"], one["state"]) for one in found] == [("app", "firing"), ("web", "resolved")]
    assert found[0]["title"] == "Conversion dropped"
    assert found[0]["notification_status"] == "notified"
    assert found[0]["notified"] == [{"receiver": "chat", "at": T0 + 10_000, "times": 1}]
    assert found[0]["chart"].startswith("https://pulse.example/?series=conversion_rate")


async def test_rules_are_listed_with_their_state(api: httpx.AsyncClient, process: Process) -> None:
    nothing = (await api.get("/api/v1/alerts/rules")).json()
    assert nothing == {"as_of": None, "evaluated_at": None, "live": False, "rules": []}
    learning = status("refund-surge", RuleCondition.LEARNING, lacks="20 min until the lag is known", watching=0)
    states = next_states(NO_RULE_STATES, (status("order-drop"), learning), T0)
    assert await process.store.save_rules(process.held, states)
    now_ms = round(time.time() * 1000)
    await write_last_evaluation(process.redis, Keys("salepulse", 1), now_ms)
    answer = (await api.get("/api/v1/alerts/rules")).json()
    assert (answer["as_of"], answer["evaluated_at"], answer["live"]) == (T0, now_ms, True)
    assert [rule["state"] for rule in answer["rules"]] == ["watching", "learning"]
    (only,) = (await api.get("/api/v1/alerts/rules?state=learning")).json()["rules"]
    assert only == {
        "rule": "refund-surge",
        "title": "Fewer checkouts become orders",
        "state": "learning",
        "since": T0,
        "lacks": "20 min until the lag is known",
        "inhibited_by": [],
        "series": {"watching": 0, "learning": 0, "no_data": 0},
    }
    assert (await api.get("/api/v1/alerts/rules?state=asleep")).status_code == 422


async def test_the_time_of_the_last_evaluation_is_shown(api: httpx.AsyncClient, process: Process) -> None:
    async def status() -> tuple[object, object]:
        answer = (await api.get("/api/v1/alerts")).json()
        return answer["evaluated_at"], answer["live"]

    assert await status() == (None, False)
    now_ms = round(time.time() * 1000)
    for at_ms, live in ((now_ms, True), (now_ms - EVALUATED_WITHIN_MS - 1, False)):
        await write_last_evaluation(process.redis, Keys("salepulse", 1), at_ms)
        assert await status() == (at_ms, live)


async def test_the_wait_for_the_first_event_is_shown(api: httpx.AsyncClient, process: Process) -> None:
    keys, now_ms = Keys("salepulse", 1), round(time.time() * 1000)
    assert (await api.get("/api/v1/alerts")).json()["awaits_events"] is False
    await write_awaiting_events(process.redis, keys, now_ms)
    answer = (await api.get("/api/v1/alerts")).json()
    assert (answer["awaits_events"], answer["evaluated_at"], answer["live"]) == (True, None, False)
    await write_last_evaluation(process.redis, keys, now_ms)
    assert (await api.get("/api/v1/alerts")).json()["awaits_events"] is False


@pytest.mark.parametrize(
    ("query", "channels"),
    [
        ("state=firing", ["app"]),
        ("state=resolved", ["web"]),
        ("severity=critical", ["app", "web"]),
        ("severity=info", []),
        ("rule=conversion-drop&state=pending", []),
    ],
)
async def test_alerts_are_filtered(api: httpx.AsyncClient, query: str, channels: list[str]) -> None:
    found = (await api.get(f"/api/v1/alerts?{query}")).json()["alerts"]
    assert [one["labels"]["channel"] for one in found] == channels


async def test_an_unknown_state_lists_the_known_ones(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/v1/alerts?state=burning")
    assert answer.status_code == 422
    assert "firing" in answer.json()["error"]["message"]


async def test_an_alert_is_acknowledged(api: httpx.AsyncClient, process: Process) -> None:
    firing, over = (one["fingerprint"] for one in (await api.get("/api/v1/alerts")).json()["alerts"])
    answer = await api.post(f"/api/v1/alerts/{firing}/ack", json={"by": "ada", "comment": "on it"})
    assert (answer.status_code, answer.json()["ack"]["by"]) == (200, "ada")
    await process.evaluate(11, BAD)
    found = (await api.get("/api/v1/alerts?state=firing")).json()["alerts"]
    assert (found[0]["notification_status"], found[0]["suppressed_by"]) == ("acknowledged", "ada")
    assert (await api.post(f"/api/v1/alerts/{over}/ack", json={"by": "ada"})).status_code == 409
    assert (await api.post(f"/api/v1/alerts/{'0' * 16}/ack", json={"by": "ada"})).status_code == 404
    assert (await api.post("/api/v1/alerts/nonsense/ack", json={"by": "ada"})).status_code == 422
    assert (await api.post(f"/api/v1/alerts/{firing}/ack", json={})).status_code == 422


async def test_a_silence_is_created_listed_and_ended(api: httpx.AsyncClient) -> None:
    wish = {"matchers": ["rule=~conversion.*", "channel!=web"], "duration": "2h", "by": "ada", "promotion": "*"}
    made = await api.post("/api/v1/silences", json=wish)
    assert made.status_code == 201
    held = made.json()
    assert held["matchers"] == ["rule=~conversion.*", "channel!=web"]
    assert held["ends_at"] - held["starts_at"] == 7_200_000
    assert (await api.get("/api/v1/silences")).json()["silences"] == [held]
    assert (await api.delete(f"/api/v1/silences/{held['id']}")).status_code == 204
    assert (await api.get("/api/v1/silences")).json()["silences"][0]["ends_at"] <= time.time() * 1000
    assert (await api.delete("/api/v1/silences/nothing")).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"matchers": []},
        {"matchers": ["nonsense"]},
        {"matchers": ["severty=critical"]},
        {"matchers": ["rule=x", "owner=shop"]},
        {"duration": "long"},
        {"duration": None},
        {"ends_at": 5},
        {"duration": None, "ends_at": 5},
        {"duration": "900d"},
        {"weekly": {"start": "25:00", "end": "08:00"}},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_an_invalid_silence_is_refused(api: httpx.AsyncClient, change: dict[str, object]) -> None:
    wish = {"matchers": ["rule=x"], "duration": "2h", "by": "ada", **change}
    answer = await api.post("/api/v1/silences", json={name: held for name, held in wish.items() if held is not None})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


async def test_the_receivers_of_the_end_are_shown(api: httpx.AsyncClient, process: Process) -> None:
    await process.evaluate(12, FINE)
    (newest, _) = (await api.get("/api/v1/alerts")).json()["alerts"]
    assert (newest["state"], newest["resolved_because"], newest["notified"]) == ("resolved", "within", [])
