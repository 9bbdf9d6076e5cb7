"""Wrong clocks of producers, workers and servers: numbers stay exact, and ages are right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any

import httpx
import pytest

from consumers.kafka.producer import OutgoingMessage
from consumers.settings import Clock
from consumers.topics import Topic
from streams.clock import now_ms
from tests.support.combinations import on_alternate_brokers
from tests.support.salepulse import salepulse
from tests.support.servers import Server
from tests.support.stack import Shop, stack
from tests.support.wait import eventually

pytestmark = pytest.mark.slow

FAST_MS = 240_000
"""Offset of a producer's clock, within `future_limit_s`."""
LATE_MS = 1_200_000
"""Age of the events of a late feed."""
ONE_MINUTE_MS = 60_000


class Sale:
    """Orders written in real time by producers with clocks of their own, and the expected answers over time."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._ids = count(1)
        self.times: list[int] = []
        """Event times of all orders."""

    def orders(self, times: list[int], **fields: Any) -> None:
        """Orders paid at these times, all written now."""
        self.times += times
        self._shop.send([_paid(f"o-{next(self._ids)}", at_ms, **fields) for at_ms in times])

    def clicks(self, times: list[int], **fields: Any) -> None:
        """Page views at these times, written now."""
        self._shop.send([_viewed(f"c-{next(self._ids)}", at_ms, **fields) for at_ms in times])

    def in_minute(self, as_of_ms: int) -> int:
        """Orders in the minute before an as-of."""
        return sum(as_of_ms - ONE_MINUTE_MS <= at_ms < as_of_ms for at_ms in self.times)


def _paid(order_id: str, at_ms: int, **fields: Any) -> OutgoingMessage:
    event = {"event_id": order_id, "type": "order_paid", "ts": at_ms, "order_id": order_id, "user_id": "u"}
    event |= {"items": [{"sku": "s", "qty": 1, "unit_price": 100}], **fields}
    return OutgoingMessage(Topic.ORDERS, order_id.encode(), json.dumps(event).encode())


def _viewed(event_id: str, at_ms: int, **fields: Any) -> OutgoingMessage:
    event = {"event_id": event_id, "type": "page_view", "ts": at_ms, "user_id": event_id, "session_id": event_id}
    return OutgoingMessage(Topic.CLICKS, event_id.encode(), json.dumps(event | fields).encode())


def _asked(shop: Shop) -> httpx.Response:
    """The API's answer for the last minute."""
    return httpx.get(f"{shop.api.url}/api/v1/kpis", params={"window": "1m"}, timeout=5)


def _check(shop: Shop, sale: Sale) -> dict[str, Any]:
    """Assert that an answer's as-of is past, its age right and its numbers exact; returns it."""
    asked_ms = now_ms()
    reported = _asked(shop)
    answered_ms = now_ms()
    assert reported.status_code == httpx.codes.OK, f"{reported.status_code} {reported.text}; {_diagnostics(shop)}"
    answer: dict[str, Any] = reported.json()
    assert answer["as_of"] <= answered_ms, "the as-of is ahead of the clock"
    assert 0 <= answer["age_ms"] <= answered_ms - answer["as_of"] + 100
    assert answer["age_ms"] >= asked_ms - answer["as_of"] - 100
    assert answer["values"]["orders_paid"] == sale.in_minute(answer["as_of"]), answer
    return answer if answer["live"] else answer | {"standing": _diagnostics(shop)}


def _diagnostics(shop: Shop) -> str:
    """Diagnostics for a missing answer: `/readyz`, and the state of every partition."""
    ready = httpx.get(f"{shop.api.url}/readyz", timeout=5).text
    return "\n".join([ready, f"now {now_ms()}", *(f"{name}: {held}" for name, held in shop.state().partitions.items())])


def _assert_live(answers: list[dict[str, Any]]) -> None:
    """Assert that answers are live, except at moments when the machine was too busy to poll Redis."""
    stale = [answer["stale"] for answer in answers if answer["stale"]]
    lasting = [two["standing"] for one, two in pairwise(answers) if not (one["live"] or two["live"])]
    assert not stale
    assert not lasting


def _play(shop: Shop, sale: Sale, *, seconds: float, **fast: Any) -> list[dict[str, Any]]:
    """A sale in real time with a fast producer; checks and returns every answer."""
    sale.clicks([now_ms()])
    sale.orders([now_ms() - 50_000 + 40 * i for i in range(1200)])  # from 50 s to 2 s ago
    shop.until_counted_to_the_end()
    started, found = time.monotonic(), []
    while time.monotonic() - started < seconds:
        sale.orders([now_ms() + FAST_MS], **fast)
        sale.clicks([now_ms() + FAST_MS], **fast)
        sale.orders([now_ms()])
        time.sleep(0.2)
        if time.monotonic() - started > 3:
            found.append(_check(shop, sale))
    return found


def _metrics(shop: Shop) -> str:
    return httpx.get(f"{shop.api.url}/metrics", timeout=5).text


def _worker_metrics(shop: Shop) -> str:
    return httpx.get(f"http://{shop.workers[0].address}/metrics", timeout=5).text


@contextmanager
def _open(broker: Server, redis_server: Server, **how: Any) -> Iterator[tuple[Shop, Sale]]:
    how = {"partitions": 2, "clock": Clock.WALL, "retain": "", **how}
    with stack(broker, redis_server, **how) as shop:
        if shop.workers:
            shop.until_all_partitions_worked()
        yield shop, Sale(shop)


def _doctor(shop: Shop) -> tuple[int, str]:
    """Exit code and output of the doctor."""
    done = salepulse("doctor", cwd=shop.folder, env=shop.environment)
    return done.returncode, done.stdout + done.stderr


def test_a_fast_producer_clock_does_not_advance_the_as_of(broker: Server, redis_server: Server) -> None:
    with _open(broker, redis_server) as (shop, sale):
        answers = _play(shop, sale, seconds=9, source="till-7")
        assert any(answer["values"]["orders_paid"] >= 1_200 for answer in answers)
        _assert_live(answers)
        assert max(answer["age_ms"] for answer in answers) < 12_000, "at most as old as the idle time of a partition"
        state = shop.state().partitions.values()
        assert all(held.newest_ms is None or held.newest_ms <= now_ms() + 2_000 for held in state)
        text = eventually(lambda: _named(_worker_metrics(shop)), what="who is ahead is named")
        assert 'source="till-7"' in text
        assert 235 < float(text.rpartition(" ")[2]) <= 240
        code, reported = _doctor(shop)
        assert code == 1
        assert "till-7" in reported
        assert "NTP" in reported
        assert not shop.dead_letters()


def _named(metrics: str) -> str:
    return next((line for line in metrics.splitlines() if line.startswith("salepulse_source_clock_ahead_seconds{")), "")


@pytest.mark.parametrize(("broker", "clock"), on_alternate_brokers(("-10m",), ("+90s",)), indirect=["broker"])
def test_a_wrong_clock_of_a_workers_machine_has_no_effect(broker: Server, redis_server: Server, clock: str) -> None:
    with _open(broker, redis_server, workers=0) as (shop, sale):
        shop.start_worker(clock=clock)
        shop.until_all_partitions_worked()
        answers = _play(shop, sale, seconds=8, source="till-7")
        _assert_live(answers)
        assert not shop.dead_letters()
        code, reported = _doctor(shop)
        assert (code, "clock of worker" in reported) == (1, True), reported
        assert shop.log().count("differs from Redis's and is not trusted") == 1
        shop.kill_worker()
        killed_s = time.monotonic()
        eventually(lambda: _asked(shop).json().get("stale"), within_s=15, what="a dead worker is noticed")
        assert time.monotonic() - killed_s <= 15


def test_a_wrong_clock_of_a_servers_machine_has_no_effect(embedded_broker: Server, redis_server: Server) -> None:
    with _open(embedded_broker, redis_server, serve_clock="-10m") as (shop, sale):
        _assert_live(_play(shop, sale, seconds=7))
        (line,) = (
            one for one in _metrics(shop).splitlines() if one.startswith("salepulse_server_clock_offset_seconds")
        )
        assert abs(float(line.split()[1]) + 600) < 1


def _shipped(order_id: str, at_ms: int) -> OutgoingMessage:
    event = {"event_id": order_id, "type": "shipment_dispatched", "ts": at_ms, "order_id": order_id}
    return OutgoingMessage(Topic.LOGISTICS, order_id.encode(), json.dumps(event).encode())


@pytest.mark.parametrize(
    ("broker", "as_of_topics"),
    on_alternate_brokers(("clicks,orders,logistics",), ("clicks,orders",)),
    indirect=["broker"],
)
def test_a_late_feed_is_reported_with_its_age(broker: Server, redis_server: Server, as_of_topics: str) -> None:
    with _open(broker, redis_server, as_of_topics=as_of_topics, partitions=1) as (shop, sale):
        dispatched, answers, started = [], [], time.monotonic()
        while time.monotonic() - started < 6:
            dispatched.append(now_ms() - LATE_MS)
            shop.send([_shipped(f"s-{len(dispatched)}", dispatched[-1])])
            sale.orders([now_ms()])
            sale.clicks([now_ms()])
            time.sleep(0.2)
            if time.monotonic() - started > 3:
                answers.append(_check(shop, sale))
        ready = httpx.get(f"{shop.api.url}/readyz", timeout=5).json()
        code, reported = _doctor(shop)
        if "logistics" in as_of_topics:
            assert not any(answer["live"] for answer in answers)
            assert ready["codes"] == ["feed_late"]
            (reason,) = ready["reasons"]
            assert reason.startswith("logistics/0: its newest event is 20 min old: the feed is late")
            assert "as_of_topics" in reason
            assert (code, "late feed: logistics/0" in reported) == (1, True), reported
            return
        assert all(answer["live"] and answer["not_in_as_of"] == ["logistics"] for answer in answers)
        assert (ready["ready"], ready["not_in_as_of"]) == (True, ["logistics"])
        assert max(answer["age_ms"] for answer in answers) < 5_000
        assert "late feed" not in reported
        shop.until_counted_to_the_end()
        hour = httpx.get(f"{shop.api.url}/api/v1/kpis", params={"window": "1h"}, timeout=5).json()
        assert hour["values"]["dispatched"] == len(dispatched), "late events correct the panes of their time"
