"""Apprise, installed or not."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from alerts.notify.apprise import Apprise, AppriseConfig
from alerts.notify.outcome import Delivered, DeliveryFailure, Failed
from tests.alerts.notify.notices import message

pytestmark = pytest.mark.anyio

CONFIG = AppriseConfig.model_validate({"name": "it", "type": "apprise", "url": "tgram://t0ps3cret/chat"})


class Service:
    """The used part of the library."""

    def __init__(self, *, known: bool = True, sent: bool | Exception = True) -> None:
        self.known, self.sent, self.got = known, sent, list[dict[str, Any]]()

    def add(self, url: str) -> bool:
        assert url == "tgram://t0ps3cret/chat"
        return self.known

    def notify(self, **fields: Any) -> bool:
        self.got.append(fields)
        if isinstance(self.sent, Exception):
            raise self.sent
        return self.sent


def installed(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=lambda: service))


async def test_the_message_is_passed_to_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, service := Service())
    assert await Apprise(CONFIG).send(message()) == Delivered()
    assert await Apprise(CONFIG).send(message(over=True)) == Delivered()
    assert [got["notify_type"] for got in service.got] == ["failure", "success"]
    assert service.got[0]["title"] == "[FIRING, critical] Conversion dropped: channel app"


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        (Service(known=False), DeliveryFailure.REFUSED),
        (Service(sent=False), DeliveryFailure.UNREACHABLE),
        (Service(sent=RuntimeError("tgram://t0ps3cret")), DeliveryFailure.UNREACHABLE),
    ],
    ids=["unknown", "not sent", "raises"],
)
async def test_failures_contain_no_secrets(
    monkeypatch: pytest.MonkeyPatch, service: Service, fault: DeliveryFailure
) -> None:
    installed(monkeypatch, service)
    failed = await Apprise(CONFIG).send(message())
    assert isinstance(failed, Failed)
    assert failed.fault is fault
    assert "t0ps3cret" not in repr(failed)


async def test_without_it_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    failed = await Apprise(CONFIG).send(message())
    assert isinstance(failed, Failed)
    assert (failed.fault, "pip install apprise" in failed.detail) == (DeliveryFailure.NOT_INSTALLED, True)
