"""The offset of a broker's clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiokafka.client import AIOKafkaClient

from consumers.kafka import metadata
from consumers.kafka.metadata import broker_clock_offset_s
from streams.local.doctor.broker import check_broker_clock
from streams.local.doctor.check_results import CheckStatus
from tests.support.servers import Server


async def ahead_s(broker: Server) -> float | None:
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap)
    try:
        await client.bootstrap()
        return await broker_clock_offset_s(client)
    finally:
        await client.close()


@pytest.mark.anyio
@pytest.mark.kafka
@pytest.mark.parametrize("wrong_s", [0, -90, 600])
async def test_apache_kafka_reports_its_clock(
    apache_kafka: Server, monkeypatch: pytest.MonkeyPatch, wrong_s: int
) -> None:
    """`wrong_s`: by how much this machine's clock is ahead."""
    real = metadata.time.time
    monkeypatch.setattr(metadata, "time", SimpleNamespace(time=lambda: real() + wrong_s))
    assert await ahead_s(apache_kafka) == pytest.approx(-wrong_s, abs=1)


@pytest.mark.anyio
async def test_a_broker_that_does_not_report_its_clock_is_no_error(embedded_broker: Server) -> None:
    assert await ahead_s(embedded_broker) is None


def test_the_doctor_warns_of_a_clock_that_differs() -> None:
    assert [check_broker_clock(seconds).status for seconds in (0.3, -1.9, 2.5, -90)] == [CheckStatus.OK] * 2 + [
        CheckStatus.WARNING
    ] * 2
    assert check_broker_clock(-90).message == "the broker's clock is 90.0 s behind this machine's"
