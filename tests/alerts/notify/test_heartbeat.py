"""The heartbeat is sent by the leader while the whole path works."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import SecretStr

from alerts.notify.heartbeat import MAX_AS_OF_AGE_MS, Heartbeat, HeartbeatOutcome, WrittenEvaluation, withhold_reason
from alerts.notify.http import Http
from consumers.settings import Clock
from streams.store.last_evaluation import EVALUATED_WITHIN_MS
from tests.support.receiving import CannedResponse, http_receiver

NOW = 1_762_776_000_000
WELL = WrittenEvaluation(NOW - 500, NOW - 3000)


def test_all_is_well() -> None:
    assert withhold_reason(WELL, NOW, Clock.WALL) is None


@pytest.mark.parametrize("last", [None, WrittenEvaluation(NOW - EVALUATED_WITHIN_MS - 1, NOW)])
def test_a_missing_evaluation_withholds_the_heartbeat(last: WrittenEvaluation | None) -> None:
    assert withhold_reason(last, NOW, Clock.WALL) is HeartbeatOutcome.NOT_EVALUATED


def test_an_old_as_of_withholds_the_heartbeat() -> None:
    stuck = WrittenEvaluation(NOW - 500, NOW - MAX_AS_OF_AGE_MS - 1)
    assert withhold_reason(stuck, NOW, Clock.WALL) is HeartbeatOutcome.BEHIND
    assert withhold_reason(stuck, NOW, Clock.EVENT) is None, "a recording is old"


@pytest.mark.anyio
async def test_the_leader_sends_the_heartbeat() -> None:
    local = (ipaddress.ip_network("127.0.0.1/32"),)
    async with http_receiver() as watcher, Http(local) as http:
        heart = Heartbeat(SecretStr(f"{watcher.url}/ping/t0ken"), http, Clock.WALL)
        assert await heart.beat(WELL, NOW, leading=False) is HeartbeatOutcome.STANDBY
        assert await heart.beat(None, NOW, leading=True) is HeartbeatOutcome.NOT_EVALUATED
        assert watcher.requests == []
        assert await heart.beat(WELL, NOW, leading=True) is HeartbeatOutcome.SENT
        assert [got.path for got in watcher.requests] == ["/ping/t0ken"]
        watcher.responses.append(CannedResponse(503))
        assert await heart.beat(WELL, NOW, leading=True) is HeartbeatOutcome.FAILED
        assert "503" in heart.failure
        assert "t0ken" not in heart.failure


@pytest.mark.anyio
async def test_a_forbidden_address_is_refused() -> None:
    async with http_receiver() as watcher, Http() as http:
        assert (
            await Heartbeat(SecretStr(watcher.url), http, Clock.WALL).beat(WELL, NOW, leading=True)
            is HeartbeatOutcome.FAILED
        )
        assert watcher.requests == []
