"""The sign of life: given while everything works, and by the one process that evaluates."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import SecretStr

from alerts.notify.heartbeat import FRESH_MS, Beat, Heartbeat, Last, withheld
from alerts.notify.http import Http
from consumers.settings import Clock
from streams.store.evaluated import EVALUATED_WITHIN_MS
from tests.support.receiving import Says, http_receiver

NOW = 1_762_776_000_000
WELL = Last(NOW - 500, NOW - 3000)


def test_all_is_well() -> None:
    assert withheld(WELL, NOW, Clock.WALL) is None


@pytest.mark.parametrize("last", [None, Last(NOW - EVALUATED_WITHIN_MS - 1, NOW)])
def test_an_evaluation_that_no_longer_happens_is_no_life(last: Last | None) -> None:
    assert withheld(last, NOW, Clock.WALL) is Beat.NOT_EVALUATED


def test_an_as_of_that_stands_still_is_no_life_though_it_is_evaluated() -> None:
    stuck = Last(NOW - 500, NOW - FRESH_MS - 1)
    assert withheld(stuck, NOW, Clock.WALL) is Beat.BEHIND
    assert withheld(stuck, NOW, Clock.EVENT) is None, "a recording is old"


@pytest.mark.anyio
async def test_the_leader_tells_the_watcher() -> None:
    local = (ipaddress.ip_network("127.0.0.1/32"),)
    async with http_receiver() as watcher, Http(local) as http:
        heart = Heartbeat(SecretStr(f"{watcher.url}/ping/t0ken"), http, Clock.WALL)
        assert await heart.beat(WELL, NOW, leading=False) is Beat.STANDBY
        assert await heart.beat(None, NOW, leading=True) is Beat.NOT_EVALUATED
        assert watcher.got == []
        assert await heart.beat(WELL, NOW, leading=True) is Beat.SENT
        assert [got.path for got in watcher.got] == ["/ping/t0ken"]
        watcher.says.append(Says(503))
        assert await heart.beat(WELL, NOW, leading=True) is Beat.FAILED
        assert "503" in heart.failure
        assert "t0ken" not in heart.failure


@pytest.mark.anyio
async def test_an_address_that_messages_may_not_go_to_is_refused() -> None:
    async with http_receiver() as watcher, Http() as http:
        assert await Heartbeat(SecretStr(watcher.url), http, Clock.WALL).beat(WELL, NOW, leading=True) is Beat.FAILED
        assert watcher.got == []
