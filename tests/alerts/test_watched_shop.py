"""From events to pages, with a real broker, Redis, worker, `salepulse alerts`, and receiver."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.alerts.watched_shop import watched_shop
from tests.support.alertmanager import alertmanager
from tests.support.receiving import HttpReceiver, http_receiver
from tests.support.servers import Server, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HANGS_S = 20.0


async def test_a_conversion_drop_is_notified_with_cause_and_loss(
    embedded_broker: Server, redis_server: Server, tmp_path: Path
) -> None:
    incident = "conversion_drop@+16s/16s:size=0.9,stage=order"
    async with http_receiver() as beyond, contextlib.AsyncExitStack() as ending:
        manager = ending.enter_context(alertmanager(f"{beyond.url}/"))
        also = [{"name": "manager", "type": "alertmanager", "url": manager.base}]
        shop = watched_shop(embedded_broker, redis_server, tmp_path, incidents=[incident], also=also)
        watched = await ending.enter_async_context(shop)
        begins_ms = watched.began_ms + 16_000
        before_s = begins_ms / 1000 - time.time()
        assert before_s > 0, "the incident began before it was watched"
        await watched.until("a page is sent", lambda: watched.pages("business"), within_s=before_s + 54)
        page = watched.received[0]["data"]
        assert page["incident"] == "orders", page
        assert page["money_per_minute"] > 0
        assert page["since"] == pytest.approx(begins_ms, abs=12_000)
        assert page["value"] < page["expected"]
        assert page["runbook"]
        await watched.until("Alertmanager tells of it", lambda: "firing" in managed(beyond), within_s=10)
        await watched.until("it is over", lambda: watched.all_over("business"), within_s=90)
        await watched.until("Alertmanager says so", lambda: managed(beyond) == {"resolved"}, within_s=10)
        # At three orders per second, a part may page before the whole: the same page, updated.
        kinds = [one["type"].removeprefix("alert.") for one in watched.received]
        assert (kinds[0], kinds[-1]) == ("firing", "resolved"), watched.summaries
        assert set(kinds[1:-1]) <= {"updated", "worse"}, watched.summaries
        assert len({one["data"]["page"] for one in watched.received}) == 1, watched.summaries
        over = watched.received[-1]["data"]
        assert over["worst"] < over["expected"], "by how much, three orders per second cannot show"
        assert over["now"] is None or over["now"] > over["worst"], "None: too few recent orders"
        assert over["lost"] > 0
        assert watched.pages("data") == []
        assert watched.signs_of_life > 0


def managed(beyond: HttpReceiver) -> set[str]:
    """The last status of each alert at a receiver behind Alertmanager: firing, resolved."""
    alerts = [alert for got in beyond.requests for alert in got.json["alerts"]]
    return set({tuple(alert["labels"].items()): alert["status"] for alert in alerts}.values())


async def test_a_dead_worker_causes_one_data_page(
    embedded_broker: Server, redis_server: Server, tmp_path: Path
) -> None:
    async with watched_shop(embedded_broker, redis_server, tmp_path) as watched:
        await watched.until_leading()
        watched.shop.kill_worker()
        await watched.until("the data page is sent", lambda: watched.pages("data"), within_s=45)
        await anyio.sleep(5)
        assert watched.pages("data") == ["input-stale firing"]
        watched.shop.start_worker()
        await watched.until("it is over", lambda: len(watched.pages("data")) > 1, within_s=60)
        assert watched.pages("data") == ["input-stale firing", "input-stale resolved"]
        assert watched.pages("business") == [], watched.summaries


async def test_a_redis_that_hangs_for_a_while_is_one_incident(embedded_broker: Server, tmp_path: Path) -> None:
    with redis_server(aof=True) as store:
        async with watched_shop(embedded_broker, store, tmp_path) as watched:
            await watched.until_leading()
            store.pause()
            await anyio.sleep(HANGS_S)
            store.resume()
            await watched.until("Redis is back", lambda: "store-down resolved" in watched.pages("data"), within_s=60)
            await anyio.sleep(15)
            assert watched.pages("data") == ["store-down firing", "store-down resolved"], watched.summaries
            assert watched.pages("business") == [], watched.summaries
