"""The page is self-contained, has a strict CSP, and shows the current state in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode

import anyio
import httpx
import pytest

from streams.clock import now_ms
from streams.serve import page, stream
from streams.settings import Settings
from streams.store.keys import Keys
from streams.store.last_evaluation import write_last_evaluation
from streams.tokens.token import TokenScope
from tests.alerts.builders import finding
from tests.alerts.engine import beside_servers
from tests.alerts.state.alert_play import FINE
from tests.streams.serve.conftest import ready
from tests.streams.serve.following import served
from tests.streams.serve.shop import CLICKS, LOGISTICS, ORDERS, QUIET_S, Shop, at, click, client, paid, shop_settings
from tests.streams.tokens.making import token, write
from tests.support.browser import browser

pytestmark = pytest.mark.anyio

LIVE = 'id="status" data-live="yes"'
EVIL = "<img src=x onerror=\"document.title='broken into'\">"
APP, WEB, SMS = (finding(labels={"channel": channel}) for channel in ("app", "web", "sms"))
BETWEEN = """
// `passing`: what becomes of a question about alerts. It may be answered late: with what was true when it was asked.
passing = "none";
const real = fetch;
fetch = async (path, how) => {
  if (!path.includes("/alerts")) return real(path, how);
  if (passing === "none") return new Response('{"error": {"message": "broken"}}', {status: 500});
  const answer = await real(path, how);
  document.documentElement.dataset.held = "yes";
  while (passing !== "all") await new Promise((on) => setTimeout(on, 50));
  return answer;
};
"""


async def test_the_page_is_self_contained_and_its_csp_is_strict(api: httpx.AsyncClient) -> None:
    text = (await api.get("/")).text
    for name in page._TYPES:
        answer = await api.get(f"/page/{name}")
        assert answer.status_code == 200
        assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in str(answer.headers)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w|innerHTML|eval\(", answer.text), name
        text += answer.text
    assert set(re.findall(r"[\w.]+\.(?:js|css)\b", text)) <= page._TYPES.keys()
    assert "<style" not in text
    assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=|\sstyle=", text.partition("</html>")[0])
    assert (await api.get("/page/..%2fapp.py")).status_code == 404
    assert (await api.get("/page/app.py")).status_code == 404


async def test_with_tokens_the_page_asks_for_one(redis_url: str, open_shop: Shop, tmp_path: Path) -> None:
    tokens = write(tmp_path / "tokens.json", token("read", TokenScope.READ))
    async with client(shop_settings(redis_url, tokens_file=str(tokens))) as made:
        await ready(made)
        for path in ("/", "/page/main.js"):
            refused = await made.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
            assert (await made.get(path, auth=("", "sp_read"))).status_code == 200


@pytest.mark.slow
async def test_the_page_shows_the_current_state_in_a_browser(
    settings: Settings, redis_url: str, open_shop: Shop, tmp_path: Path
) -> None:
    """A user follows the link of an alert with hostile texts and keeps the page open."""
    link = {"series": "gmv", "window": "1m", "scope": "channel", "value": EVIL}
    with browser(tmp_path) as chromium:

        async def seen(so: Callable[[str], object]) -> str:
            return await anyio.to_thread.run_sync(chromium.until, so)

        async with beside_servers(redis_url) as process, served(settings) as url:
            await process.evaluate(0, finding(title=EVIL))
            await anyio.to_thread.run_sync(
                chromium.open, f"{url}/?{urlencode({**link, 'start': at(0), 'end': at(60), 'since': at(30)})}"
            )
            html = await seen(lambda html: LIVE in html and "<polyline" in html and "critical: " in html)
            assert re.search(r'id="age">numbers are \d+ h old<', html), "the shop is one of 2025, and it says so"
            assert numbers(html) | {"gmv": "CN¥13.00", "orders_paid": "2", "stockout_skus": "0"} == numbers(html)
            (alert,) = re.findall(r"<li data-severity=.*?</li>", html, re.DOTALL)
            assert "critical: &lt;img src=x onerror=" in alert
            assert alert.count("&lt;img src=x onerror=") == 1, "the summary begins with the title"
            assert "gmv, channel &lt;img src=x" in html
            assert ">began " in html
            await open_shop.send(CLICKS, click(61, user="u9"))
            await open_shop.send(ORDERS, paid(61, 700, "u9"), paid(62, 1, "u9"))
            await open_shop.send(CLICKS, click(62, user="u9"))
            await open_shop.send(LOGISTICS, {"type": "shipment_dispatched", "ts": at(62), "order_id": "o-u2"})
            await process.evaluate(60, FINE)
            await seen(lambda html: numbers(html)["gmv"] == "CN¥20.00" and "Alerts were never evaluated" in html)
            await write_last_evaluation(process.redis, Keys("salepulse", 1), now_ms())
            await seen(lambda html: ">No firing alerts.<" in html)
            await write_last_evaluation(process.redis, Keys("salepulse", 1), at(0))
            await seen(lambda html: "Alerts were not evaluated since " in html and ">No firing alerts.<" not in html)
            await open_shop.silent_since(ORDERS, QUIET_S + 60)
            await seen(lambda html: LIVE not in html and "partition orders/0 is stale" in html)
            await open_shop.attend()
            await seen(lambda html: LIVE in html)
            assert re.search(r'id="incomplete" hidden', html)
            await process.redis.hset(Keys("salepulse", 1).state(0), "incomplete:orders/0", at(60))
            await seen(lambda html: ">incomplete since 12/1/2025" in html and LIVE in html)
        html = await seen(lambda html: LIVE not in html and "the server does not answer" in html)
        assert "<title>salepulse</title>" in html


def numbers(html: str) -> dict[str, str]:
    return dict(re.findall(r'<dd data-name="(\w+)">([^<]*)</dd>', html))


@pytest.mark.slow
async def test_the_page_is_not_live_without_a_server_or_stream(
    settings: Settings, open_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(page, "_content", quick)
    with browser(tmp_path) as chromium:
        async with served(settings) as url:

            def play() -> None:
                chromium.open(url)
                chromium.until(lambda html: LIVE in html)
                # A proxy answers instead of the server.
                chromium.run('real = fetch; fetch = async () => new Response(\'{"message": "no"}\', {status: 502})')
                chromium.until(lambda html: LIVE not in html and "the server does not answer" in html)
                chromium.run("fetch = real")
                chromium.until(lambda html: LIVE in html)
                # The stream stays open without events, and so does its replacement.
                monkeypatch.setattr(stream, "HEARTBEAT_S", 3600)
                chromium.run("EventSource = class extends EventTarget { close() {} }")
                chromium.until(lambda html: LIVE not in html and "the stream of numbers is interrupted" in html)

            await anyio.to_thread.run_sync(play)


@pytest.mark.slow
async def test_the_page_shows_no_alerts_before_they_were_read(
    settings: Settings, redis_url: str, open_shop: Shop, tmp_path: Path
) -> None:
    """The first read fails; the next answer is older than a change."""
    with browser(tmp_path) as chromium:

        async def seen(so: Callable[[str], object]) -> str:
            return await anyio.to_thread.run_sync(chromium.until, so)

        async with beside_servers(redis_url) as process, served(settings) as url:
            await process.evaluate(0, APP, WEB)
            chromium.run(BETWEEN, before_pages=True)
            await anyio.to_thread.run_sync(chromium.open, url)
            await seen(lambda html: "Alerts unknown: broken" in html)
            await process.evaluate(60, APP)  # web has resolved, app still fires
            await process.evaluate(61, APP, SMS)
            html = await seen(lambda html: html.count("<li data-severity") == 1)
            assert "Alerts unknown: broken" in html
            chromium.run("passing = 'held'")
            await seen(lambda html: 'data-held="yes"' in html)
            await process.evaluate(62, APP, SMS, WEB)
            await seen(lambda html: html.count("<li data-severity") == 2)
            chromium.run("passing = 'all'")
            html = await seen(lambda html: "Alerts unknown" not in html)
            assert html.count("<li data-severity") == 3


@pytest.mark.slow
async def test_a_chart_may_have_only_one_negative_number(settings: Settings, open_shop: Shop, tmp_path: Path) -> None:
    points, form = [[0, -500], [1000, -500]], "{number: String, hour: String}"
    with browser(tmp_path) as chromium:
        async with served(settings) as url:

            def play() -> str:
                chromium.open(url)
                chromium.until(lambda html: "<title>salepulse" in html)
                script = f"chart.drawChart({points}, null, {form}, 'net_gmv').outerHTML"
                return str(chromium.run(f"import('{url}/page/chart.js').then((chart) => {script})"))

            drawn = await anyio.to_thread.run_sync(play)
    assert "<polyline" in drawn
    assert "NaN" not in drawn


def quick(name: str) -> bytes:
    """A file of the page, with a shorter timeout for silent streams."""
    found = files("streams.serve").joinpath("assets", name).read_text()
    assert ("SILENT_MS = 25000" in found) == (name == "main.js")
    return found.replace("SILENT_MS = 25000", "SILENT_MS = 2000").encode()
