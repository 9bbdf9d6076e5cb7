"""A consumer stops within seconds, whatever its broker does."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from consumers.kafka import faust_transport
from consumers.kafka.faust_transport import BatchConsumerThread

pytestmark = pytest.mark.anyio


class Client:
    closed = False

    async def close(self) -> None:
        self.closed = True


def thread(client: Client) -> BatchConsumerThread:
    made = BatchConsumerThread.__new__(BatchConsumerThread)
    made._consumer = SimpleNamespace(_client=client)
    return made


async def test_a_cancellation_raised_by_aiokafka_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(AIOKafkaConsumerThread, "on_thread_stop", stop)
    client = Client()
    await thread(client).on_thread_stop()
    assert client.closed


async def test_shutdown_does_not_wait_for_a_hanging_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(_: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(AIOKafkaConsumerThread, "on_thread_stop", stop)
    monkeypatch.setattr(faust_transport, "_STOP_WITHIN_S", 0.1)
    client, began = Client(), time.monotonic()
    await thread(client).on_thread_stop()
    assert client.closed
    assert time.monotonic() - began < 2
