"""A real Alertmanager receives, groups and resolves alerts, and gets them resent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest

from alerts.findings import FindingReason, Severity
from alerts.notify.alertmanager import RESEND_RESOLVED_FOR_MS
from alerts.notify.alertmanager import Alertmanager as AlertmanagerReceiver
from alerts.notify.http import Http
from alerts.notify.message import NotificationMessage, worst_first
from alerts.notify.outcome import Delivered
from alerts.notify.receivers import Receiver, ReceiversFile, build_receivers
from alerts.state.policy import Timing
from tests.alerts.builders import T0, finding, to
from tests.alerts.notify.notices import PLACE
from tests.alerts.state.alert_play import Play
from tests.support.alertmanager import Alertmanager, alertmanager
from tests.support.receiving import HttpReceiver, http_receiver

pytestmark = pytest.mark.anyio


@dataclass
class Stage:
    manager: Alertmanager
    hook: HttpReceiver
    http: Http
    play: Play

    @property
    def receiver(self) -> Receiver:
        config = {"name": "manager", "type": "alertmanager", "url": self.manager.base, "resend_s": 1}
        file = ReceiversFile.model_validate({"receivers": [config], "allow_networks": ["127.0.0.1"]})
        return build_receivers(file, self.http)["manager"]

    async def tell(self) -> None:
        """The notices of the last evaluation."""
        message = NotificationMessage(worst_first(self.play.last.notices), PLACE, self.play.now_ms)
        assert await self.receiver.notifier.send(message) == Delivered()

    async def resend(self) -> None:
        channel = self.receiver.alertmanager
        assert isinstance(channel, AlertmanagerReceiver)
        request = channel.resend_request(self.play.alerts.values(), PLACE, self.play.now_ms)
        assert request is not None
        assert not channel.check_response(await self.http.post(request))  # type: ignore[arg-type]

    async def until(self, condition: Callable[[], Any], within_s: float = 15) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < deadline, [got.json for got in self.hook.requests]
            await asyncio.sleep(0.1)
        return found

    def received(self, status: str) -> list[Any]:
        return [got.json for got in self.hook.requests if got.json["status"] == status]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with http_receiver() as hook, Http([ip_network("127.0.0.1")]) as http:
        with alertmanager(hook.url) as manager:
            play = Play(Timing(), to("manager"))
            yield Stage(manager, hook, http, play)


def now_s() -> float:
    """Seconds since the start of the test, because Alertmanager uses the machine's clock."""
    return time.time() - T0 / 1000


APP, WEB = finding(), finding(labels={"channel": "web"})


async def test_receives_groups_and_resolves(stage: Stage) -> None:
    stage.play.at(now_s(), APP, WEB)
    await stage.tell()
    (group,) = await stage.until(lambda: stage.received("firing"))
    assert {alert["labels"]["channel"] for alert in group["alerts"]} == {"app", "web"}
    labels = group["commonLabels"]
    assert (labels["alertname"], labels["severity"], labels["alert_category"]) == (
        "conversion-drop",
        "critical",
        "business",
    )
    assert group["commonAnnotations"]["title"] == "Conversion dropped"
    await asyncio.sleep(0.1)
    stage.play.at(now_s(), replace(APP, reason=FindingReason.WITHIN), replace(WEB, reason=FindingReason.WITHIN))
    await stage.tell()
    (group,) = await stage.until(lambda: stage.received("resolved"))
    assert len(group["alerts"]) == 2
    assert await stage.until(lambda: not stage.manager.alerts())


async def test_a_digest_is_one_notification_with_a_list(stage: Stage) -> None:
    """By Alertmanager's own grouping; each alert keeps its labels."""
    skus = [replace(finding("stock-out", labels={"sku": f"s-{i}"}), severity=Severity.WARNING) for i in range(3)]
    stage.play.at(now_s(), *skus)
    await stage.tell()
    (group,) = await stage.until(lambda: stage.received("firing"))
    assert sorted(alert["labels"]["sku"] for alert in group["alerts"]) == ["s-0", "s-1", "s-2"]


async def test_firing_alerts_end_unless_they_are_resent(stage: Stage) -> None:
    stage.play.at(now_s(), APP)
    await stage.tell()
    for _ in range(6):
        await stage.resend()
        stage.play.at(now_s(), APP)
        await asyncio.sleep(1)
    assert stage.manager.alerts()  # without the resend it would have ended after four seconds
    assert await stage.until(lambda: not stage.manager.alerts())


async def test_a_restarted_alertmanager_learns_of_firing_alerts(stage: Stage) -> None:
    stage.play.at(now_s(), APP)
    await stage.tell()
    stage.manager.restart()
    stage.play.at(now_s(), APP)
    await stage.resend()
    assert [alert["labels"]["channel"] for alert in stage.manager.alerts()] == ["app"]


async def test_a_worse_alert_ends_under_its_former_severity(stage: Stage) -> None:
    stage.play.at(now_s(), replace(APP, severity=Severity.WARNING))
    await stage.tell()
    await stage.until(lambda: stage.received("firing"))
    await asyncio.sleep(0.1)
    stage.play.at(now_s(), APP)
    await stage.tell()
    assert [alert["labels"]["severity"] for alert in stage.manager.alerts()] == ["critical"]


async def test_a_transferred_page_ends_under_its_former_labels(stage: Stage) -> None:
    whole = replace(finding(labels={}), continues=APP.series)
    stage.play.at(now_s(), APP)
    await stage.tell()
    await stage.until(lambda: stage.received("firing"))
    await asyncio.sleep(0.1)
    stage.play.at(now_s(), whole, finding(reason=FindingReason.PARENT, inhibited_by=whole.series))
    await stage.tell()
    assert ["channel" in alert["labels"] for alert in stage.manager.alerts()] == [False]


def test_resolved_alerts_are_resent_for_five_minutes() -> None:
    play = Play(Timing(), to("manager"))
    config = {"name": "manager", "type": "alertmanager", "url": "http://manager.example"}
    channel = build_receivers(ReceiversFile.model_validate({"receivers": [config]}), Http())["manager"].alertmanager
    assert channel is not None
    play.at(0, APP)
    play.at(10, replace(APP, reason=FindingReason.WITHIN))

    def ends(second: float) -> list[str]:
        request = channel.resend_request(play.alerts.values(), PLACE, T0 + round(1000 * second))
        return [] if request is None else [alert["endsAt"] for alert in json.loads(request.body)]

    assert ends(200) == ["2026-11-11T00:00:10.000Z"]
    assert ends(10 + RESEND_RESOLVED_FOR_MS / 1000) == []


def test_only_alerts_of_its_routes_are_resent() -> None:
    play = Play(Timing(), to("somebody-else"))
    config = {"name": "manager", "type": "alertmanager", "url": "http://manager.example"}
    channel = build_receivers(ReceiversFile.model_validate({"receivers": [config]}), Http())["manager"].alertmanager
    assert channel is not None
    play.at(0, APP)
    assert channel.resend_request(play.alerts.values(), PLACE, play.now_ms) is None


def test_an_alert_that_waits_for_its_digest_is_not_resent_before() -> None:
    play = Play(Timing(digest_ms=300_000), to("manager"))
    config = {"name": "manager", "type": "alertmanager", "url": "http://manager.example"}
    channel = build_receivers(ReceiversFile.model_validate({"receivers": [config]}), Http())["manager"].alertmanager
    assert channel is not None
    play.at(0, replace(APP, severity=Severity.WARNING))
    for second, is_sent in ((60, False), (300, True)):
        request = channel.resend_request(play.alerts.values(), PLACE, T0 + 1000 * second)
        assert (request is not None) is is_sent
