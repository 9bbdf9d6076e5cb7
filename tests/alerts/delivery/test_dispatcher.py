"""Delivery with real local receivers and a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from redis.asyncio import Redis

from alerts.delivery.dispatcher import Dispatcher
from alerts.findings import Finding, Severity
from alerts.metrics import AlertMetrics
from alerts.notify.http import Http
from alerts.notify.receivers import ReceiversFile, build_receivers
from alerts.state.notices import DueNotices
from alerts.store.outbox import Outbox
from tests.alerts.builders import T0, finding
from tests.alerts.engine import KEYS, Process, expire_lease
from tests.alerts.notify.notices import PLACE, many
from tests.alerts.state.alert_play import BAD, FINE
from tests.support.receiving import CannedResponse, HttpReceiver, http_receiver

pytestmark = pytest.mark.anyio


@dataclass
class Sending:
    """A process that sends to the receiver `chat`, with the test's clock."""

    redis: Redis
    http: Http
    url: str
    name: str = "a"
    rate: int = 20
    now_ms: int = T0

    def __post_init__(self) -> None:
        config = {"name": "chat", "type": "dingtalk", "url": self.url, "rate_per_minute": self.rate}
        file = ReceiversFile.model_validate({"receivers": [config], "allow_networks": ["127.0.0.1"]})
        self.metrics = AlertMetrics()
        self.outbox = Outbox(self.redis, KEYS, self.name, lease_ms=30_000)
        self.dispatcher = Dispatcher(
            self.outbox,
            build_receivers(file, self.http),
            PLACE,
            self.metrics,
            clock=lambda: self.now_ms,
            longest_send_s=2,
        )

    async def at(self, second: float) -> int | None:
        self.now_ms = T0 + round(1000 * second)
        return await self.dispatcher.dispatch("chat")


@dataclass
class Stage:
    service: HttpReceiver
    redis: Redis
    http: Http

    def process(self, **fields: object) -> Sending:
        return Sending(self.redis, self.http, self.service.url, **fields)  # type: ignore[arg-type]

    async def owed(self, second: float, *found: Finding) -> None:
        await Process(self.redis).evaluate(second, *found)

    @property
    def texts(self) -> list[str]:
        return [got.json["markdown"]["text"] for got in self.service.requests]

    @property
    def heads(self) -> list[str]:
        return [text.split("］")[0] for text in self.texts]


@pytest.fixture
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    redis = Redis.from_url(redis_url)
    async with http_receiver() as service, Http([ip_network("127.0.0.1")], timeout_s=2) as http:
        yield Stage(service, redis, http)
    await redis.aclose()


async def test_each_state_is_sent_once(stage: Stage) -> None:
    sending = stage.process()
    for second in range(10):
        await stage.owed(second, BAD if second < 5 else FINE)
        await sending.at(second)
    assert stage.heads == ["**［FIRING, critical", "**［RESOLVED"]
    assert await sending.outbox.waiting("chat") == 0


@pytest.mark.parametrize(
    "says",
    [CannedResponse(500), CannedResponse(after_s=5), CannedResponse(403), CannedResponse(body='{"errcode":-1}')],
    ids=["500", "silent", "403", "busy"],
)
async def test_a_failed_message_is_retried_until_delivered(stage: Stage, says: CannedResponse) -> None:
    stage.service.responses.extend([says, says])
    sending = stage.process()
    await stage.owed(0, BAD)
    for second in (0, 1, 3, 60, 120):
        await sending.at(second)
    assert len(stage.service.requests) == 3
    assert await sending.outbox.waiting("chat") == 0


async def test_every_process_respects_retry_after(stage: Stage) -> None:
    stage.service.responses.append(CannedResponse(429, headers={"Retry-After": "30"}))
    await stage.owed(0, BAD)
    one, two = stage.process(name="a"), stage.process(name="b")
    assert await one.at(0) == T0 + 30_000
    assert await two.at(29.9) == T0 + 30_000
    assert len(stage.service.requests) == 1
    await two.at(30)
    assert len(stage.service.requests) == 2


async def test_an_end_is_grouped_with_its_waiting_start(stage: Stage) -> None:
    stage.service.responses.append(CannedResponse(503, headers={"Retry-After": "60"}))
    sending = stage.process()
    await stage.owed(0, BAD)
    await sending.at(0)
    await stage.owed(10, FINE)
    await sending.at(60)
    assert "FIRING" in stage.texts[1]
    assert "RESOLVED" in stage.texts[1]
    assert await sending.outbox.waiting("chat") == 0


async def test_a_flood_stays_within_the_rate_limit_without_loss(stage: Stage) -> None:
    sending = stage.process(rate=5)
    await stage.owed(0, *many(50), finding(labels={"sku": "vip"}, severity=Severity.CRITICAL, incident="vip"))
    for second in range(0, 240, 2):
        await sending.at(second)
        assert len(stage.service.requests) <= 5 * (1 + second // 60)
    assert "SKU vip" in stage.texts[0]
    assert await sending.outbox.waiting("chat") == 0


async def test_a_kill_between_delivery_and_recording_repeats_a_message(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.owed(0, BAD)
    dying = stage.process(name="dying")

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dying.outbox, "record_outcome", killed)
    with pytest.raises(KeyboardInterrupt):
        await dying.at(0)
    other = stage.process(name="other")
    await other.at(0)
    assert len(stage.service.requests) == 1  # the other process still holds the claim
    await expire_lease(stage.redis, KEYS.turn("chat"))
    await other.at(0)
    assert len(stage.service.requests) == 2
    assert await other.outbox.waiting("chat") == 0


async def test_a_kill_before_sending_loses_no_message(stage: Stage) -> None:
    await stage.owed(0, BAD)
    dying = stage.process(name="dying")
    assert isinstance(await dying.outbox.claim_due("chat", T0, 60_000), DueNotices)
    assert await dying.outbox.begin_attempt("chat", T0, 60_000)
    await expire_lease(stage.redis, KEYS.turn("chat"))
    await stage.process(name="other").at(0)
    assert len(stage.service.requests) == 1


async def test_concurrent_processes_send_each_message_once(stage: Stage) -> None:
    senders = [stage.process(name=str(i), rate=600) for i in range(4)]
    for second in range(20):
        await stage.owed(second, *many(second % 3 + 1))
        await asyncio.gather(*(sender.at(second) for sender in senders))
    for sender in senders:
        await sender.at(30)
    lines = [line for text in stage.texts for line in text.splitlines() if "［" in line]
    written = await Process(stage.redis).store.unpublished()
    owed = [one for one in written if json.loads(one.json)["change"] in ("firing", "resolved")]
    assert len(lines) == len(owed) > 10


async def test_an_internal_error_of_one_notifier_does_not_stop_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = stage.process()
    await stage.owed(0, BAD)

    async def broken(*_: object) -> None:
        raise RuntimeError("t0ps3cret")

    with monkeypatch.context() as patch:
        patch.setattr(stage.http, "post", broken)
        await sending.at(0)
    await sending.at(60)
    assert len(stage.service.requests) == 1
    assert sending.metrics.registry.get_sample_value(
        "salepulse_notification_attempts_total", {"receiver": "chat", "outcome": "internal"}
    )
