"""What a worker reports when its memory for event ids is full, and what the doctor says about it."""

from __future__ import annotations

import pytest

from streams.local.doctor.check_results import CheckStatus
from streams.local.doctor.workers import examine_workers
from tests.streams.shop import CLICKS_0
from tests.streams.worker.conftest import opened
from tests.support.events import click

pytestmark = pytest.mark.anyio

HOUR_S = 3_600


@pytest.mark.parametrize(("memory_mb", "short"), [(1, True), (64, False)])
async def test_doctor_warns_if_deduplication_covers_less_than_the_setting(
    redis_url: str, memory_mb: int, short: bool
) -> None:
    async with opened(redis_url, dedup_memory_mb=memory_mb, dedup_clicks_s=24 * HOUR_S) as office:
        for hour in range(0, 30, 3):
            office.topics.write(CLICKS_0, *(click(at=hour * HOUR_S + n / 10) for n in range(10_000)))
            await office.count(office.topics.fetch(CLICKS_0, most=10_000))
        for _ in range(2):
            await office.worker.tick()
        found = [one for one in await examine_workers(office.redis, office.settings) if one.check == "deduplication"]
        assert [one.status for one in found] == [CheckStatus.WARNING] * short
        if short:
            assert "deduplicates clicks over" in found[0].message
            assert "of 24 h" in found[0].message
            assert "dedup_memory_mb (now 1) to about 16 " in found[0].fix
        promised_s = office.metric("dedup_promised_seconds", topic="clicks")
        assert promised_s == 24 * HOUR_S
        assert (office.metric("dedup_horizon_seconds", topic="clicks") < promised_s) is short
