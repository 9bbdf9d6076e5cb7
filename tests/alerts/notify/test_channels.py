"""What each channel sends, verified as its service does, and how it interprets responses."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import TypeAdapter

from alerts.findings import Severity
from alerts.notify.http import Http
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed
from alerts.notify.receivers import AnyReceiverConfig, Receiver, ReceiversFile, build_receivers
from tests.alerts.builders import finding
from tests.alerts.notify.notices import NOW_MS, digest, many, message
from tests.support.receiving import CannedResponse, HttpReceiver, http_receiver, mail_server

pytestmark = pytest.mark.anyio

LOOPBACK = ip_network("127.0.0.0/8")
KEY = base64.b64encode(bytes(range(32))).decode()
CONFIG: TypeAdapter[Any] = TypeAdapter(AnyReceiverConfig)


@pytest.fixture
async def service() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


async def receiver(http: Http, **config: object) -> Receiver:
    file = ReceiversFile.model_validate({"receivers": [{"name": "it", **config}], "allow_networks": ["127.0.0.0/8"]})
    return build_receivers(file, http)["it"]


async def send(what: Any, **config: object) -> Any:
    async with Http([LOOPBACK], timeout_s=0.5) as http:
        return await (await receiver(http, **config)).notifier.send(what)


class TestDingTalk:
    async def test_is_signed_and_describes_the_alert(self, service: HttpReceiver) -> None:
        url = f"{service.url}/robot/send?access_token=t0ken"
        assert await send(message(), type="dingtalk", url=url, secret="SECabc") == Delivered()
        (got,) = service.requests
        stamp = got.query["timestamp"]
        expected = hmac.new(b"SECabc", f"{stamp}\nSECabc".encode(), hashlib.sha256).digest()
        assert base64.b64decode(got.query["sign"]) == expected
        assert (stamp, got.query["access_token"]) == (str(NOW_MS), "t0ken")
        assert got.json["msgtype"] == "markdown"
        text = got.json["markdown"]["text"]
        for expected in (
            "Conversion dropped",
            "channel app",
            "4 %",
            "CNY 12,300 a minute",
            "https://pulse.example/?series=",
        ):
            assert expected in text

    async def test_mentions_only_in_critical_messages(self, service: HttpReceiver) -> None:
        config = {"type": "dingtalk", "url": service.url, "mobiles": ["13800000000"]}
        await send(message(), **config)
        await send(message(finding(severity=Severity.WARNING)), **config)
        await send(message(over=True), **config)
        assert [got.json["at"]["atMobiles"] for got in service.requests] == [["13800000000"], [], []]

    @pytest.mark.parametrize(
        ("code", "fault"),
        [(130101, DeliveryFailure.RATE_LIMITED), (310000, DeliveryFailure.REFUSED), (-1, DeliveryFailure.SERVER_ERROR)],
    )
    async def test_detects_errors_in_a_200_response(
        self, service: HttpReceiver, code: int, fault: DeliveryFailure
    ) -> None:
        service.responses.append(CannedResponse(body=f'{{"errcode":{code},"errmsg":"no"}}'))
        failed = await send(message(), type="dingtalk", url=service.url)
        assert isinstance(failed, Failed)
        assert failed.fault is fault


class TestFeishu:
    async def test_is_signed(self, service: HttpReceiver) -> None:
        assert await send(message(), type="feishu", url=f"{service.url}/hook/x", secret="s3cret") == Delivered()
        held = service.requests[0].json
        key = f"{held['timestamp']}\ns3cret".encode()
        assert base64.b64decode(held["sign"]) == hmac.new(key, b"", hashlib.sha256).digest()
        assert held["timestamp"] == str(NOW_MS // 1000)
        assert held["card"]["header"]["template"] == "red"

    async def test_detects_errors_by_code(self, service: HttpReceiver) -> None:
        service.responses.append(CannedResponse(body='{"code":9499,"msg":"too many request"}'))
        service.responses.append(CannedResponse(body='{"code":19021,"msg":"sign match fail"}'))
        faults = [(await send(message(), type="feishu", url=service.url)).fault for _ in range(2)]
        assert faults == [DeliveryFailure.RATE_LIMITED, DeliveryFailure.REFUSED]


class TestWeCom:
    async def test_keeps_within_its_limit_with_all_critical_alerts(self, service: HttpReceiver) -> None:
        assert await send(message(*many(20, Severity.CRITICAL)), type="wecom", url=service.url) == Delivered()
        content = service.requests[0].json["markdown"]["content"]
        assert len(content.encode()) <= 4096
        assert all(f"SKU s-{i}" in content for i in range(20))

    async def test_detects_errors_in_a_200_response(self, service: HttpReceiver) -> None:
        service.responses.append(CannedResponse(body='{"errcode":45009,"errmsg":"freq"}'))
        assert (await send(message(), type="wecom", url=service.url)).fault is DeliveryFailure.RATE_LIMITED


class TestSlack:
    async def test_sections_are_no_longer_than_it_takes(self, service: HttpReceiver) -> None:
        assert await send(message(*many(20)), type="slack", url=service.url) == Delivered()
        blocks = service.requests[0].json["blocks"]
        assert all(0 < len(block["text"]["text"]) <= 3000 for block in blocks)

    async def test_429_has_the_retry_delay(self, service: HttpReceiver) -> None:
        service.responses.append(CannedResponse(429, "", {"Retry-After": "7"}))
        failed = await send(message(), type="slack", url=service.url)
        assert (failed.fault, failed.retry_after_s) == (DeliveryFailure.RATE_LIMITED, 7)


class TestPagerDuty:
    async def test_one_incident_has_one_dedup_key(self, service: HttpReceiver) -> None:
        service.responses.extend([CannedResponse(202), CannedResponse(202)])
        begin, end = message(), message(over=True)
        both = replace(begin, notices=(*end.notices, *begin.notices))
        config = {"type": "pagerduty", "url": service.url, "routing_key": "r" * 32}
        assert await send(both, **config) == Delivered()
        trigger, resolve = (got.json for got in service.requests)
        assert [trigger["event_action"], resolve["event_action"]] == ["trigger", "resolve"]
        assert trigger["dedup_key"] == resolve["dedup_key"]
        assert trigger["payload"]["severity"] == "critical"
        assert trigger["payload"]["custom_details"]["Lost"] == "CNY 6,170 so far, CNY 12,300 a minute"
        assert {"text": "Runbook", "href": "https://wiki.example/conversion"} in trigger["links"]

    async def test_a_digest_is_one_incident_with_a_list_until_its_last_end(self, service: HttpReceiver) -> None:
        service.responses.extend([CannedResponse(202)] * 3)
        config = {"type": "pagerduty", "url": service.url, "routing_key": "r" * 32}
        for sent in (
            digest("s-1", "s-2", "s-3"),
            digest("s-2", over=True, is_open=True),
            digest("s-1", "s-3", over=True),
        ):
            assert await send(sent, **config) == Delivered()
        trigger, resolve = (got.json for got in service.requests)
        assert [trigger["event_action"], resolve["event_action"]] == ["trigger", "resolve"]
        assert trigger["dedup_key"] == resolve["dedup_key"] == "salepulse-stock-out-1"
        assert list(trigger["payload"]["custom_details"]) == ["SKU s-1", "SKU s-2", "SKU s-3"]
        assert trigger["payload"]["summary"].endswith("(and 2 more)")


class TestWebhook:
    async def test_verifies_by_the_standard(self, service: HttpReceiver) -> None:
        assert await send(message(), type="webhook", url=service.url, secret=f"whsec_{KEY}") == Delivered()
        (got,) = service.requests
        name, stamp = got.headers["webhook-id"], got.headers["webhook-timestamp"]
        signed = name.encode() + b"." + stamp.encode() + b"." + got.body
        version, _, signature = got.headers["webhook-signature"].partition(",")
        assert version == "v1"
        assert base64.b64decode(signature) == hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
        assert got.json["type"] == "alert.firing"
        assert got.json["data"]["labels"] == {"channel": "app"}
        assert got.json["data"]["money_per_minute"] == 1_234_500
        assert got.json["text"]["headline"] == "[FIRING, critical] Conversion dropped: channel app"
        assert {"name": "Lost", "text": "CNY 6,170 so far, CNY 12,300 a minute"} in got.json["text"]["lines"]

    async def test_matches_the_example_of_the_standard(self) -> None:
        from alerts.notify.webhook import sign

        secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
        assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )

    async def test_a_repeat_has_the_same_id(self, service: HttpReceiver) -> None:
        for _ in range(2):
            await send(message(), type="webhook", url=service.url, secret=f"whsec_{KEY}")
        assert service.requests[0].headers["webhook-id"] == service.requests[1].headers["webhook-id"]

    async def test_a_digest_is_one_event_with_its_alerts(self, service: HttpReceiver) -> None:
        sent = digest("s-1", "s-2")
        assert await send(sent, type="webhook", url=service.url, secret=f"whsec_{KEY}") == Delivered()
        (got,) = service.requests
        assert (got.json["type"], got.json["data"]["digest"]) == ("alert.digest", "stock-out-1")
        events = got.json["data"]["events"]
        assert [event["type"] for event in events] == ["alert.firing"] * 2
        assert [event["data"]["labels"] for event in events] == [{"sku": "s-1"}, {"sku": "s-2"}]
        assert len(got.json["text"]["summary"].splitlines()) == 2


class TestEmail:
    async def test_arrives_in_plain_text_and_html(self) -> None:
        async with mail_server() as server:
            config = {"host": "127.0.0.1", "port": server.port, "encryption": "none", "sender": "pulse@shop.example"}
            assert await send(message(), type="email", to=["ada@shop.example"], **config) == Delivered()
        letter = email.message_from_bytes(server.letters[0], policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        assert letter["Subject"] == "[FIRING, critical] Conversion dropped: channel app"
        assert letter["Message-ID"].endswith("@shop.example>")
        for kind in ("plain", "html"):
            part = letter.get_body((kind,))
            assert part is not None
            assert "CNY 12,300 a minute" in part.get_content()

    @pytest.mark.parametrize(
        ("says", "fault"), [("451 later", DeliveryFailure.SERVER_ERROR), ("550 no", DeliveryFailure.REFUSED)]
    )
    async def test_classifies_the_servers_response(self, says: str, fault: DeliveryFailure) -> None:
        async with mail_server() as server:
            server.responses.append(says)
            config = {"host": "127.0.0.1", "port": server.port, "encryption": "none", "sender": "pulse@shop.example"}
            assert (await send(message(), type="email", to=["ada@shop.example"], **config)).fault is fault

    async def test_a_server_without_encryption_gets_no_message(self) -> None:
        async with mail_server() as server:
            config = {"host": "127.0.0.1", "port": server.port, "sender": "pulse@shop.example"}
            assert (
                await send(message(), type="email", to=["ada@shop.example"], **config)
            ).fault is DeliveryFailure.REFUSED
        assert not server.letters


class TestAnyHttp:
    """What all of them have in common, tried on one."""

    @pytest.mark.parametrize(
        ("says", "fault"),
        [
            (CannedResponse(500), DeliveryFailure.SERVER_ERROR),
            (CannedResponse(503, headers={"Retry-After": "3"}), DeliveryFailure.SERVER_ERROR),
            (CannedResponse(429), DeliveryFailure.RATE_LIMITED),
            (CannedResponse(403), DeliveryFailure.REFUSED),
            (CannedResponse(302, headers={"Location": "http://169.254.169.254/"}), DeliveryFailure.REFUSED),
            (CannedResponse(after_s=5), DeliveryFailure.TIMEOUT),
            (CannedResponse(body="<html>"), DeliveryFailure.REFUSED),
        ],
        ids=lambda value: str(getattr(value, "status", value)),
    )
    async def test_faults(self, service: HttpReceiver, says: CannedResponse, fault: DeliveryFailure) -> None:
        service.responses.append(says)
        failed = await send(message(), type="wecom", url=f"{service.url}/send?key=t0ps3cret")
        assert failed.fault is fault
        assert "t0ps3cret" not in repr(failed)
        assert len(service.requests) == 1  # no redirect is followed

    async def test_an_unreachable_host_is_a_failure(self) -> None:
        failed = await send(message(), type="slack", url="http://127.0.0.1:1/t0ps3cret")
        assert failed.fault is DeliveryFailure.UNREACHABLE
        assert "t0ps3cret" not in repr(failed)
